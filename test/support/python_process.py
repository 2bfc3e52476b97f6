# SPDX-License-Identifier: Apache-2.0
"""Nodes and commands as their users start them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def python(*words: str, output=subprocess.PIPE) -> Iterator[subprocess.Popen]:
    """Python in a process of its own, what it says in one pipe or file; killed in the end."""
    started = subprocess.Popen(
        [sys.executable, *words], stdout=output, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def node(name: str, output=subprocess.PIPE, params_file=None, **parameters):
    """A node of jepa_wm_ros/ros/nodes with a parameters file and these parameters, as `python`."""
    words = [word for key, value in parameters.items() for word in ('-p', f'{key}:={value}')]
    words += ['--params-file', str(params_file)] if params_file else []
    return command(name, '--ros-args', *words, output=output)


def command(name: str, *words: str, output=subprocess.PIPE):
    """A command or node of jepa_wm_ros/cli.py with these words, as `python`."""
    return python('-m', 'jepa_wm_ros', name, *words, output=output)
