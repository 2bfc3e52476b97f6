# SPDX-License-Identifier: Apache-2.0
"""Tasks with the cube, drawn from a seed alone, and who knows how they are done.

The expert stands for the person who shows the goals on a real arm: it does the task once, and the
camera takes the goal pictures on the way. Metres and radians, base frame.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import DIM, GRIPPER, OPEN, POSITION, ROTATION
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.skills import TABLE, nearest_side
from jepa_wm_ros.sim.design import NOMINAL, CellDesign
from jepa_wm_ros.sim.variation import CellState, cell_of_seed

LOW, HIGH = (np.array([0.40, -0.18]), np.array([0.60, 0.18]))  # of places for cube and hand
CARRIED, PUSHED = (0.12, 0.30), (0.07, 0.12)  # how far it is to go
LIFT = 0.15  # height of a lifted hand
# Height of a hand that has let go and risen: in a picture of it the cube lies there by itself.
# Fingers that are open about a cube look nearly as if they were closed on it.
WITHDRAWN = 0.10
GRASP = 0.025  # height of a hand that grasps
PUSH = 0.05  # height of a hand that pushes
# From the middle of the cube to the hand that is about to push it; the second where the first leads
# out of the workspace whichever way the cube is to go, as in a corner.
BEHIND = (0.07, 0.06)
DRAWS = 10_000  # of places, for each of them
HALF = 0.025  # of the cube's edge
LIFTED = 0.03  # above how it lies: a cube in the air
CARRIED_NEAR = 0.06  # of its place, in the air
ON_TABLE = 0.01  # above how it lies: a cube that is no higher lies on the table
STEPS = {'pick_place': (10, 10, 10), 'push': (8, 12)}  # for each picture
PROFILES = {'pick_place': 'grasp', 'push': 'push'}  # that plan them
FAR_STEPS = {'pick_place': 150, 'push': 60}  # from the last picture alone, all tries together
# That plan to the last picture alone: where no other is given, and once one was missed.
FAR_PROFILES = {'pick_place': 'one_picture', 'push': 'one_picture_push'}
TRIES = 5  # times those steps at most: what was missed is tried again
PLACED, SHIFTED = 0.04, 0.03  # how near to its place a cube counts as placed, and as pushed there


@dataclass(frozen=True, slots=True, eq=False)
class CubeTask:
    """Where the hand starts (pose7), the cell with its cube, and where the cube is to lie (2,)."""

    kind: str
    start: np.ndarray
    cell: CellState
    place: np.ndarray

    @property
    def tolerance(self) -> float:
        """How near to its place the cube has to come."""
        return PLACED if self.kind == 'pick_place' else SHIFTED

    def in_air(self, cube: np.ndarray) -> bool:
        """Whether a cube at (3,) is lifted."""
        return bool(cube[2] - self.cell.height > LIFTED)

    def carried(self, cube: np.ndarray, place: np.ndarray) -> bool:
        """Whether a cube at (3,) is in the air above its place (2,), nearly."""
        return self.in_air(cube) and bool(np.linalg.norm(cube[:2] - place) <= CARRIED_NEAR)

    def placed(self, cube: np.ndarray, place: np.ndarray, closure: float) -> bool:
        """Whether a cube at (3,) lies on the table near enough to its place (2,), and is let go of
        by a hand of this measured closure.
        """
        near = np.linalg.norm(cube[:2] - place) <= self.tolerance
        lies = cube[2] - self.cell.height < ON_TABLE
        return bool(near and lies and (self.kind == 'push' or closure < OPEN))


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A pose7 to go to, then the gripper to its closure; `goal`: what is seen then is a goal."""

    pose: np.ndarray
    goal: bool = False


def sample_task(kind: str, seed: int, design: CellDesign = NOMINAL) -> CubeTask:
    """The task of a seed, with the cube where `reset_scene` lays it; the hand starts open above
    the table, closed where it is to push.
    """
    cell, rng = cell_of_seed(seed, design), np.random.default_rng([seed, 5])
    low, high = CARRIED if kind == 'pick_place' else PUSHED
    cube = cell.cube[:2]
    for by, _ in itertools.product(BEHIND, range(DRAWS)):
        place = rng.uniform(LOW, HIGH)
        away = float(np.linalg.norm(place - cube))
        if low <= away <= high and _in_workspace(_behind(cube, place, by)):
            break
    else:
        raise ValueError(f'no {kind} begins in the workspace with the cube at {cube}')
    start = np.zeros(DIM)
    start[POSITION] = [*rng.uniform(LOW, HIGH), rng.uniform(LIFT, 0.25)]
    start[ROTATION] = FR3.hand_down
    start[GRIPPER] = float(kind == 'push')
    return CubeTask(kind, start, cell, place)


def expert(task: CubeTask) -> list[Move]:
    """How the task is done from anywhere above the table: pick_place gives three goals (at the
    cube, lifted, placed with the hand risen from it), push two (behind the cube, and where it has
    pushed it).
    """
    return _carrying(task) if task.kind == 'pick_place' else _pushing(task)


def _carrying(task: CubeTask) -> list[Move]:
    x, y, yaw = task.cell.cube
    turn = nearest_side(float(yaw), 0.0)
    there = task.place
    return [
        Move(_pose([x, y, LIFT], turn, 0.0)),
        Move(_pose([x, y, GRASP], turn, 0.0), goal=True),
        Move(_pose([x, y, GRASP], turn, 1.0)),
        Move(_pose([x, y, LIFT], turn, 1.0), goal=True),
        Move(_pose([*there, LIFT], turn, 1.0)),
        Move(_pose([*there, GRASP + 0.003], turn, 1.0)),
        Move(_pose([*there, GRASP + 0.003], turn, 0.0)),
        Move(_pose([*there, WITHDRAWN], turn, 0.0), goal=True),
        Move(_pose([*there, LIFT], turn, 0.0)),
    ]


def _pushing(task: CubeTask) -> list[Move]:
    cube = task.cell.cube[:2]
    along = (task.place - cube) / np.linalg.norm(task.place - cube)
    begins = [_behind(cube, task.place, by) for by in BEHIND]
    behind = next(filter(_in_workspace, begins))
    reach = task.place - along * (HALF + 0.012)  # the fingers' own half
    return [
        Move(_pose([*behind, LIFT], 0.0, 1.0)),
        Move(_pose([*behind, PUSH], 0.0, 1.0), goal=True),
        *(
            Move(_pose([*(behind + share * (reach - behind)), PUSH], 0.0, 1.0))
            for share in (0.25, 0.5, 0.75)
        ),
        Move(_pose([*reach, PUSH], 0.0, 1.0), goal=True),
        Move(_pose([*reach, LIFT], 0.0, 1.0)),
    ]


def _behind(cube: np.ndarray, place: np.ndarray, by: float) -> np.ndarray:
    return cube - (place - cube) / np.linalg.norm(place - cube) * by


def _in_workspace(place: np.ndarray) -> bool:
    return TABLE.outside(np.append(place, PUSH)) == 0.0


def _pose(position, yaw: float, closure: float) -> np.ndarray:
    turn = FR3.hand_down + np.array([0.0, 0.0, yaw])
    return np.array([*position, *turn, closure])
