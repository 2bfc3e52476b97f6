# SPDX-License-Identifier: Apache-2.0
"""What took long to make is not written over, unless somebody wants it."""

from __future__ import annotations

import argparse
from pathlib import Path

from jepa_wm_ros.errors import JepaWmError


def add_force(parser: argparse.ArgumentParser) -> None:
    """The option that wants it."""
    parser.add_argument('--force', action='store_true', help='write over what is there')


def refuse_what_is_there(path: Path | None, force: bool) -> None:
    """Raise JepaWmError where a file that is to be made is there already; None: none is made."""
    if path is not None and path.exists() and not force:
        raise JepaWmError(
            f'{path} is there already: give another name, or --force to write over it'
        )
