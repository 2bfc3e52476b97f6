# SPDX-License-Identifier: Apache-2.0
"""Files of tasks: JSON that says its own SHA-256, so that a changed one is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jepa_wm_ros import resources
from jepa_wm_ros.errors import JepaWmError

LARGEST = 1 << 22  # bytes
DECIMALS = 8  # of numbers in a file: less than anybody can measure


class TaskFileError(JepaWmError):
    """A file of frozen tasks that is missing, damaged or changed."""


class Tasks(Protocol):
    """What a file says.

    sha256   of it
    """

    @property
    def sha256(self) -> str: ...

    def content(self) -> dict[str, Any]:
        """All of it but the digest, as JSON has it."""


Read = TypeVar('Read', bound=Tasks)


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of what a file says."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load(name_or_path: str | Path, make: Callable[[dict[str, Any]], Read]) -> Read:
    """The tasks of a .json file, or of the shipped one of that name.

    make: from what the file says to tasks; a ValueError or the like is a file that says something
    else. Raises TaskFileError.
    """
    path = Path(name_or_path)
    if path.suffix != '.json':
        path = resources.find('config', 'tasks') / f'{name_or_path}.json'
    try:
        if path.stat().st_size > LARGEST:
            raise TaskFileError(f'{path}: larger than {LARGEST} bytes, which no file of tasks is')
        content = json.loads(path.read_text(encoding='utf-8'))
        said = content.pop('sha256')
        tasks = make(content)
    except OSError as error:
        raise TaskFileError(f'{path}: cannot be read ({error.strerror})') from error
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise TaskFileError(
            f'{path} is no file of tasks ({type(error).__name__}: {str(error):.100}): make one '
            'with `jepa-wm tasks freeze`'
        ) from error
    if said != tasks.sha256:
        raise TaskFileError(
            f'{path} has been changed: it says SHA-256 {str(said):.12} and has '
            f'{tasks.sha256[:12]}; figures of changed tasks compare with nothing, draw others'
        )
    return tasks


def write(tasks: Tasks, path: Path) -> None:
    """Write a file of tasks, one a line; one that is there is not overwritten. Raises
    TaskFileError.
    """
    content = {**tasks.content(), 'sha256': tasks.sha256}
    lines = ',\n  '.join(json.dumps(one) for one in content.pop('tasks'))
    try:
        with path.open('x', encoding='utf-8') as file:
            file.write('{\n')
            file.writelines(
                f' {json.dumps(name)}: {json.dumps(content[name])},\n' for name in content
            )
            file.write(f' "tasks": [\n  {lines}\n ]\n}}\n')
    except OSError as error:
        raise TaskFileError(f'{path}: cannot be written ({error.strerror})') from error
