# SPDX-License-Identifier: Apache-2.0
"""Goal pictures on disk: one folder that a person can read and copy, two files for a goal.

    cup.png    the picture, as the camera gave it
    cup.json   its label: which camera took it and how, when, and where the arm was then (goal.py)

A goal is there when its .json is: that is written last and removed first, and each file is put in
its place whole. Files that are none of this are named and left alone.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from jepa_wm_ros import ros_image
from jepa_wm_ros.bounded_file import BoundedFile
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals.acceptable import check_content, size
from jepa_wm_ros.goals.goal import Goal, GoalError, View, check_name

FOLDER = '~/jepa_wm_goals'  # where goals lie unless somebody says otherwise
MOST_GOALS = 500
LARGEST_PICTURE = 64 << 20  # bytes of a file
LARGEST_LABEL = 64 << 10


class GoalLibrary:
    """The goals of one folder, which is made with the first of them. Methods raise JepaWmError."""

    def __init__(self, folder: str | Path = FOLDER) -> None:
        self.folder = Path(folder).expanduser()

    def add(self, goal: Goal, picture: np.ndarray) -> None:
        """Store a goal under a name that is free; picture: (H, W, 3) uint8 RGB of the goal's view.

        Refuses one that shows nothing.
        """
        view = goal.view
        if picture.shape != (view.height, view.width, 3) or picture.dtype != np.uint8:
            raise GoalError(
                f'goal {goal.name}: its label says {view.width}x{view.height} RGB, its picture is '
                f'{picture.shape} of {picture.dtype}'
            )
        check_content(picture, f'the picture of goal {goal.name}')
        if len(self._files('.json')) >= MOST_GOALS:
            raise GoalError(f'{self.folder} holds {MOST_GOALS} goals, the most: delete some first')
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, 'png')
        self._store(goal, stream.getvalue())

    def read(self) -> tuple[list[Goal], list[str]]:
        """The goals by name, and a line for each file that is damaged or belongs to none."""
        goals, complaints = [], []
        labels = [path.stem for path in self._files('.json')]
        if len(labels) > MOST_GOALS:
            complaints.append(f'{self.folder} holds {len(labels)} goals: {MOST_GOALS} are read')
        for name in labels[:MOST_GOALS]:
            try:
                goals.append(self.find(name))
            except GoalError as error:
                complaints.append(str(error))
        complaints += [
            f'{path}: no {path.stem}.json says what it is: import it under another name, or remove '
            'it'
            for path in self._files('.png')
            if path.stem not in labels
        ]
        return goals, complaints

    def find(self, name: str) -> Goal:
        """The goal of this name."""
        path = self._path(name, '.json')
        if not path.is_file():
            known = ', '.join(path.stem for path in self._files('.json')[:20])
            raise GoalError(f'no goal {name!r} in {self.folder}; there is {known or "none"}')
        return _read_label(path)

    def picture(self, name: str) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB of a goal."""
        view, path = self.find(name).view, self._path(name, '.png')
        pixels = read_picture(path)
        if pixels.shape[:2] != (view.height, view.width):
            raise GoalError(
                f'{path}: is {size(pixels.shape)}, {name}.json says {view.width}x{view.height}: '
                'restore the one that was changed'
            )
        return pixels

    def rename(self, name: str, new_name: str) -> Goal:
        """Give a goal another name that is free; returns it."""
        goal = dataclasses.replace(self.find(name), name=check_name(new_name))
        self._store(goal, _bytes_of(self._path(name, '.png'), LARGEST_PICTURE))
        self.remove(name)
        return goal

    def remove(self, name: str) -> None:
        """Delete a goal, also one that cannot be read."""
        label, picture = self._path(name, '.json'), self._path(name, '.png')
        try:
            label.unlink()
            picture.unlink(missing_ok=True)
        except FileNotFoundError:
            self.find(name)
        except OSError as error:
            raise GoalError(f'cannot delete goal {name}: {error.strerror}: {label}') from None

    def free_name(self, stem: str = 'goal') -> str:
        """The first of stem, stem_2, stem_3, ... that no file has; what names may not hold is left
        out of the stem.
        """
        stem = re.sub(r'[^A-Za-z0-9_-]+', '_', stem).lstrip('_-')[:40] or 'goal'
        taken = {path.stem for path in (*self._files('.json'), *self._files('.png'))}
        number = 1
        while (name := stem if number == 1 else f'{stem}_{number}') in taken:
            number += 1
        return name

    def signature(self) -> dict[str, tuple[int, int]]:
        """The files of the goals with their size and time [ns]: changes when one of them does."""
        known = {}
        for path in (*self._files('.json'), *self._files('.png')):
            try:
                state = path.stat()
            except OSError:  # gone meanwhile
                continue
            known[path.name] = state.st_size, state.st_mtime_ns
        return known

    def _store(self, goal: Goal, png: bytes) -> None:
        label, picture = self._path(goal.name, '.json'), self._path(goal.name, '.png')
        table = dataclasses.asdict(goal)
        del table['name']
        if label.exists():
            raise GoalError(f'{label} is there already: choose another name')
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            picture.open('xb').close()  # of two who store under one name, one is told no
        except FileExistsError:
            raise GoalError(f'{picture} is there already: choose another name') from None
        except OSError as error:
            raise GoalError(f'cannot write {picture}: {error.strerror}') from None
        try:
            _put(png, picture)
            _put(json.dumps(table, indent=1).encode(), label)
        except OSError as error:
            raise GoalError(f'cannot write goal {goal.name}: {error.strerror}: {label}') from None
        finally:
            if not label.exists():
                picture.unlink(missing_ok=True)

    def _path(self, name: str, suffix: str) -> Path:
        return self.folder / (check_name(name) + suffix)

    def _files(self, suffix: str) -> list[Path]:
        try:
            found = [path for path in self.folder.iterdir() if path.suffix == suffix]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise GoalError(f'cannot read {self.folder}: {error.strerror}') from None
        return sorted(path for path in found if not path.name.startswith('.'))


def read_picture(path: Path) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB in a png or jpeg file. Raises GoalError."""
    data = _bytes_of(path, LARGEST_PICTURE)
    try:
        with Image.open(io.BytesIO(data), formats=('JPEG', 'PNG')) as picture:
            picture.verify()  # the check sums of a png, which decoding does not look at
        return ros_image.to_rgb8(SimpleNamespace(format=path.suffix[1:], data=data))
    except JepaWmError as error:
        raise GoalError(f'{path}: {error}', error.code) from None
    except Exception as error:  # Pillow's decoders raise anything on damaged bytes
        raise GoalError(f'{path}: no whole jpeg or png ({_short(error)}): replace it') from None


def _read_label(path: Path) -> Goal:
    data = _bytes_of(path, LARGEST_LABEL)
    wanted = {field.name for field in dataclasses.fields(Goal)} - {'name'}
    try:
        table = json.loads(data)
        if not isinstance(table, dict) or table.keys() != wanted:
            raise GoalError(f'it must be a table of {", ".join(sorted(wanted))}')
        view = table.pop('view')
        if not isinstance(view, dict):
            raise GoalError('view must be a table')
        return Goal(path.stem, View(**_with_tuples(view)), **_with_tuples(table))
    except (ValueError, RecursionError, TypeError, OverflowError, GoalError) as error:
        raise GoalError(
            f'{path}: no label of a goal ({_short(error)}): mend or delete it'
        ) from None


def _with_tuples(table: dict) -> dict:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def _bytes_of(path: Path, most: int) -> bytes:
    try:
        if not path.is_file():
            raise GoalError(f'{path}: not there, or no file: look where it is')
        with BoundedFile(path) as file:
            if file.size > most:
                raise GoalError(f'{path}: has {file.size} bytes, at most {most} are read')
            return file.read()
    except OSError as error:
        raise GoalError(f'cannot read {path}: {error.strerror}') from None


def _put(data: bytes, path: Path) -> None:
    """Write a file beside `path` and put it there whole."""
    beside = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with open(beside, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _short(error: BaseException) -> str:
    return ' '.join(str(error).split())[:200] or type(error).__name__
