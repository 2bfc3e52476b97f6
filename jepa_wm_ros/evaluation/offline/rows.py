# SPDX-License-Identifier: Apache-2.0
"""One line of CSV per clip, model, planner and seed, written as it is known, read to resume."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from jepa_wm_ros.recordings.bags.findings import BagError

ZERO, RANDOM, EXPERT = 'zero', 'random', 'expert'  # baselines, beside the planners' names
BASELINES = (EXPERT, ZERO, RANDOM)


@dataclass(frozen=True, slots=True)
class Row:
    """What one planner (or baseline) of one model did with one clip.

    status: 'ok', or why the clip could not be evaluated (numbers are then NaN, curves empty).
    start_stamp [ns]. Errors: metrics.ActionErrors. cost: latent distance the actions end at;
    cost_start: of the first frame. costs (H+1,): along the imagined rollout, first frame first.
    planned, expert (H, 7). Only in expert rows: latent_errors (H,), distance of the imagined to
    the recorded frame's encoding after h steps; still_errors (H,), the same for "nothing moves";
    pose_errors (H, 3), decoded position [m], orientation [rad] and closure error; lpips (H,).
    """

    bag: str
    clip: int
    start_stamp: int
    model: str
    planner: str
    seed: int
    status: str
    e_xyz: float = float('nan')
    e_orientation: float = float('nan')
    e_closure: float = float('nan')
    cost: float = float('nan')
    cost_start: float = float('nan')
    evaluations: int = 0
    seconds: float = 0.0
    costs: tuple[float, ...] = ()
    latent_errors: tuple[float, ...] = ()
    still_errors: tuple[float, ...] = ()
    pose_errors: tuple[float, ...] = ()
    lpips: tuple[float, ...] = ()
    planned: tuple[float, ...] = ()
    expert: tuple[float, ...] = ()

    @property
    def key(self) -> tuple:
        """What makes the row the only one of its kind."""
        return self.bag, self.clip, self.model, self.planner, self.seed

    @property
    def ok(self) -> bool:
        return self.status == 'ok'


COLUMNS = [field.name for field in fields(Row)]
_INTS = {'clip', 'start_stamp', 'seed', 'evaluations'}
_CURVES = {f.name for f in fields(Row) if f.type.startswith('tuple')}
_FLOATS = {f.name for f in fields(Row) if f.type == 'float'}


def _encode(value) -> str:
    if isinstance(value, tuple):
        return ' '.join(repr(float(v)) for v in value)
    return repr(value) if isinstance(value, float) else str(value)


def _decode(name: str, text: str):
    if name in _CURVES:
        return tuple(float(v) for v in text.split())
    if name in _INTS:
        return int(text)
    return float(text) if name in _FLOATS else text


def curve(values) -> tuple[float, ...]:
    """Numbers of any array, flat, as a row holds them."""
    return tuple(float(v) for v in np.asarray(values, np.float64).ravel())


def read_rows(path: Path) -> list[Row]:
    """Rows of a CSV file; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    with path.open(newline='') as file:
        lines = list(csv.reader(file))
    if not lines or lines[0] != COLUMNS:
        raise BagError(f'{path}: not a clip table of this version; give another --out')
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append(
                Row(**{name: _decode(name, text) for name, text in zip(COLUMNS, line, strict=True)})
            )
        except ValueError as error:
            if number != len(lines):
                raise BagError(f'{path}: line {number} is damaged ({error}); remove it') from error
    return rows


class RowWriter:
    """Appends rows to a CSV file, each on disk before the next is made."""

    def __init__(self, path: Path) -> None:
        known = read_rows(path)
        write_rows(path, known)  # drops a line cut short
        self.done = {row.key for row in known}
        self._file = path.open('a', newline='')
        self._writer = csv.writer(self._file)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_exc) -> None:
        self._file.close()

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._writer.writerow([_encode(getattr(row, name)) for name in COLUMNS])
            self.done.add(row.key)
        self._file.flush()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a whole table, replacing the file in one move."""
    part = path.with_suffix('.part')
    with part.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([_encode(getattr(row, name)) for name in COLUMNS] for row in rows)
    part.replace(path)


def merge_rows(paths: Iterable[Path]) -> list[Row]:
    """Rows of several tables, each once, in the order of clips, models, planners and seeds."""
    rows = {row.key: row for path in paths for row in read_rows(path)}
    return [rows[key] for key in sorted(rows)]
