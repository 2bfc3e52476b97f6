# SPDX-License-Identifier: Apache-2.0
"""Tasks of the paper's worlds frozen in a file: config/tasks/WORLD.json.

A start and a goal state say all there is to a task (world.World), so a file has both, and what was
drawn with another version of a simulator stays the same task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jepa_wm_ros.tasks.task_file import DECIMALS, TaskFileError, digest, load
from jepa_wm_ros.tasks.world import World, WorldTask

States = tuple[np.ndarray, np.ndarray]  # of a start and of a goal, (S,) each


@dataclass(frozen=True, slots=True)
class WorldTasks:
    """Tasks of one world by their seeds, which are also those of who acts in them.

    world      its name
    steps      of the world until the judge looks
    tolerance  distance from the goal that counts as success, in the world's unit
    sha256     of the whole file, also where these are only the first of its tasks
    """

    world: str
    steps: int
    tolerance: float
    tasks: dict[int, States]
    sha256: str = ''

    def content(self) -> dict[str, Any]:
        """What a file says of them."""
        return {
            'world': self.world,
            'steps': self.steps,
            'tolerance': self.tolerance,
            'tasks': [
                {'seed': seed, 'start': start.tolist(), 'goal': goal.tolist()}
                for seed, (start, goal) in self.tasks.items()
            ],
        }

    def first(self, count: int) -> WorldTasks:
        """The first so many, of the same file. Raises TaskFileError where there are fewer, or
        none is asked for.
        """
        if not 1 <= count <= len(self.tasks):
            raise TaskFileError(
                f'{count} episodes are asked for, and the file has {len(self.tasks)} tasks of '
                f'{self.world}: ask for 1 to {len(self.tasks)}, or make a longer file with '
                '`jepa-wm tasks freeze`'
            )
        kept = dict(list(self.tasks.items())[:count])
        return WorldTasks(self.world, self.steps, self.tolerance, kept, self.sha256)

    def summary(self) -> str:
        """In a few words: which tasks these are."""
        return f'{len(self.tasks)} tasks of {self.world} (SHA-256 {self.sha256[:12]})'


class FrozenTask(WorldTask):
    """A world whose tasks are those of a file."""

    def __init__(self, world: World, tasks: WorldTasks) -> None:
        super().__init__(world)
        self._tasks = tasks.tasks

    def reset(self, seed: int) -> None:
        """Stand at the start of a task of the file."""
        self.state, self.goal = self._tasks[seed]


def sampled(world: World, seed: int) -> States:
    """The task that a seed means now."""
    return world.sample(np.random.default_rng([seed, 4]))


def draw(world: World, seeds: Iterable[int]) -> WorldTasks:
    """The tasks that these seeds mean now, rounded as in a file."""
    spec = world.spec
    tasks = {}
    for seed in seeds:
        start, goal = sampled(world, seed)
        tasks[seed] = _rounded(start), _rounded(goal)
    return _with_digest(WorldTasks(spec.name, spec.steps, spec.tolerance, tasks))


def read(name_or_path: str | Path, world: World) -> WorldTasks:
    """The tasks of a .json file, or of the shipped one of that name. Raises TaskFileError, also for
    those of another world, and where its steps or its tolerance have changed since.
    """
    tasks, spec = load(name_or_path, made), world.spec
    if (tasks.world, tasks.steps, tasks.tolerance) != (spec.name, spec.steps, spec.tolerance):
        raise TaskFileError(
            f'{name_or_path}: {tasks.steps} steps of {tasks.world} to within {tasks.tolerance:g}, '
            f'not {spec.steps} of {spec.name} to within {spec.tolerance:g}'
        )
    return tasks


def made(content: dict[str, Any]) -> WorldTasks:
    """The tasks of what a file says, with its digest. Raises ValueError and the like."""
    if 'cell' in content:
        raise ValueError("these are tasks of the simulated cell, not of one of the paper's worlds")
    tasks = {int(one['seed']): _states(one) for one in content['tasks']}
    if not tasks or len(tasks) < len(content['tasks']):
        raise ValueError('no tasks, or two of one seed')
    if len({len(state) for states in tasks.values() for state in states}) > 1:
        raise ValueError('states of several lengths')
    told = str(content['world']), int(content['steps']), float(content['tolerance'])
    return _with_digest(WorldTasks(*told, tasks))


def _with_digest(tasks: WorldTasks) -> WorldTasks:
    return WorldTasks(
        tasks.world, tasks.steps, tasks.tolerance, tasks.tasks, digest(tasks.content())
    )


def _states(one: dict[str, Any]) -> States:
    start, goal = (np.array(one[name], dtype=float) for name in ('start', 'goal'))
    if start.ndim != 1 or not (np.isfinite(start).all() and np.isfinite(goal).all()):
        raise ValueError(f'the states of seed {one["seed"]} are no finite numbers')
    return start, goal


def _rounded(state: np.ndarray) -> np.ndarray:
    return np.round(state, DECIMALS) + 0.0  # no -0.0
