# SPDX-License-Identifier: Apache-2.0
"""Nothing that a person did not ask the arm for moves it before somebody there has agreed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from jepa_wm_ros.errors import JepaWmError


def ask_consent(motion: str, yes: bool, answer: Callable[[str], str] = input) -> None:
    """Return when the arm may make a motion, told as one sentence. Raises JepaWmError where nobody
    says so.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise JepaWmError('this moves the arm: run it in a terminal and agree, or give --yes')
    said = answer(f'{motion} Is the cell clear, and the stop at hand? [y/N] ')
    if said.strip().lower() not in ('y', 'yes'):
        raise JepaWmError('not moved: nobody agreed')
