# SPDX-License-Identifier: Apache-2.0
"""Tasks of the simulated cell frozen in a file: config/tasks/reach.json.

A file says all there is to a task (start, goal, cube, light), not only the seed that it was drawn
from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jepa_wm_ros.sim.design import Appearance, cell_design
from jepa_wm_ros.sim.variation import CellState, ReachTask, sample_reach_task
from jepa_wm_ros.tasks.task_file import DECIMALS, digest, load

NEAR = 0.04  # m
STEPS = 15


@dataclass(frozen=True, slots=True)
class FrozenTasks:
    """Tasks of one simulated cell by their seeds.

    cell       its number
    steps      that may be taken
    tolerance  distance from the goal that counts as success [m]
    sha256     of what the file says
    """

    cell: int
    steps: int
    tolerance: float
    tasks: dict[int, ReachTask]
    sha256: str

    def content(self) -> dict[str, Any]:
        """What a file says of them."""
        return {
            'cell': self.cell,
            'steps': self.steps,
            'tolerance': self.tolerance,
            'tasks': [{'seed': seed, **_plain(asdict(t))} for seed, t in self.tasks.items()],
        }

    def summary(self) -> str:
        """One line: what was asked of whoever is in the table."""
        away = [100 * np.linalg.norm((t.goal - t.start)[:3]) for t in self.tasks.values()]
        return (
            f'{len(self.tasks)} tasks of cell {self.cell} (SHA-256 {self.sha256[:12]}), goals '
            f'{min(away):.0f} to {max(away):.0f} cm away, at most {self.steps} steps'
        )


def draw(cell: int, seeds: range, steps: int = STEPS) -> FrozenTasks:
    """The tasks that these seeds mean now."""
    design = cell_design(cell)
    return _made(
        {
            'cell': cell,
            'steps': steps,
            'tolerance': NEAR,
            'tasks': [
                {'seed': seed, **_plain(asdict(sample_reach_task(seed, design)))} for seed in seeds
            ],
        }
    )


def read(name_or_path: str | Path) -> FrozenTasks:
    """The tasks of a .json file, or of the shipped one of that name. Raises TaskFileError."""
    return load(name_or_path, _made)


def _made(content: dict[str, Any]) -> FrozenTasks:
    """The tasks of what a file says, with its digest."""
    if 'world' in content:
        raise ValueError(f'these are tasks of {content["world"]!r:.40}, not of the simulated cell')
    tasks = {int(one['seed']): _task(one) for one in content['tasks']}
    made = FrozenTasks(
        int(content['cell']), int(content['steps']), float(content['tolerance']), tasks, ''
    )
    if not tasks or made.cell < 0 or made.steps < 1 or not made.tolerance > 0:
        raise ValueError('no tasks, or a cell, steps or tolerance that cannot be')
    return FrozenTasks(made.cell, made.steps, made.tolerance, tasks, digest(made.content()))


def _task(one: dict[str, Any]) -> ReachTask:
    cell, look = one['cell'], one['cell']['appearance']
    return ReachTask(
        _numbers(one['start'], 7),
        _numbers(one['goal'], 7),
        CellState(
            _numbers(cell['cube'], 3),
            Appearance(
                light=_numbers(look['light'], 3),
                ambient=float(_numbers([look['ambient']], 1)[0]),
                table=_numbers(look['table'], 4),
                floor=_numbers(look['floor'], 4),
                cube=_numbers(look['cube'], 4),
            ),
            float(_numbers([cell['height']], 1)[0]),
        ),
    )


def _numbers(values: Any, count: int) -> np.ndarray:
    array = np.array(values, dtype=float)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(f'{count} finite numbers are wanted, not {values!r:.60}')
    return array


def _plain(value: Any) -> Any:
    """Arrays as lists of numbers, rounded."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return [round(float(number), DECIMALS) for number in value]
    return round(float(value), DECIMALS)
