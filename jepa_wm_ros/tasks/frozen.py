# SPDX-License-Identifier: Apache-2.0
"""Tasks frozen in a file, so that everybody measures the same: config/tasks.

    jepa-wm tasks freeze my_tasks.json --cell 5 --seed 1000 --episodes 40

A file says all there is to a task (start, goal, cube, light), not only the seed that it was drawn
from, and the SHA-256 of what it says: a table names it, and a changed file is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jepa_wm_ros import resources
from jepa_wm_ros.errors import JepaWmError, exit_status
from jepa_wm_ros.sim.design import Appearance, cell_design
from jepa_wm_ros.sim.variation import CellState, ReachTask, sample_reach_task

LARGEST = 1 << 22  # bytes
NEAR = 0.04  # m
STEPS = 15


class TaskFileError(JepaWmError):
    """A file of frozen tasks that is missing, damaged or changed."""


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
    path = Path(name_or_path)
    if path.suffix != '.json':
        path = resources.find('config', 'tasks') / f'{name_or_path}.json'
    try:
        if path.stat().st_size > LARGEST:
            raise TaskFileError(f'{path}: larger than {LARGEST} bytes, which no file of tasks is')
        content = json.loads(path.read_text(encoding='utf-8'))
        said = content.pop('sha256')
        tasks = _made(content)
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


def write(tasks: FrozenTasks, path: Path) -> None:
    """Write a file of tasks; one that is there is not overwritten. Raises TaskFileError."""
    content = _content(tasks)
    try:
        with path.open('x', encoding='utf-8') as file:
            json.dump({**content, 'sha256': tasks.sha256}, file, indent=1)
            file.write('\n')
    except OSError as error:
        raise TaskFileError(f'{path}: cannot be written ({error.strerror})') from error


def _made(content: dict[str, Any]) -> FrozenTasks:
    """The tasks of what a file says, with its digest."""
    tasks = {int(one['seed']): _task(one) for one in content['tasks']}
    made = FrozenTasks(
        int(content['cell']), int(content['steps']), float(content['tolerance']), tasks, ''
    )
    if not tasks or made.cell < 0 or made.steps < 1 or not made.tolerance > 0:
        raise ValueError('no tasks, or a cell, steps or tolerance that cannot be')
    text = json.dumps(_content(made), sort_keys=True)
    return FrozenTasks(
        made.cell, made.steps, made.tolerance, tasks, hashlib.sha256(text.encode()).hexdigest()
    )


def _content(tasks: FrozenTasks) -> dict[str, Any]:
    return {
        'cell': tasks.cell,
        'steps': tasks.steps,
        'tolerance': tasks.tolerance,
        'tasks': [{'seed': seed, **_plain(asdict(t))} for seed, t in tasks.tasks.items()],
    }


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
    """Arrays as lists of numbers with eight decimals, which is less than anybody can measure."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return [round(float(number), 8) for number in value]
    return round(float(value), 8)


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='jepa-wm tasks freeze', description='Freeze tasks in a file.'
    )
    parser.add_argument('out', type=Path, help='file ending in .json')
    parser.add_argument('--cell', type=int, default=0)
    parser.add_argument('--seed', type=int, default=1000, help='of the first task')
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--steps', type=int, default=STEPS)
    options = parser.parse_args(arguments)
    tasks = draw(options.cell, range(options.seed, options.seed + options.episodes), options.steps)
    write(tasks, options.out)
    print(f'{options.out}: {tasks.summary()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
