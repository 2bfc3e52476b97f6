# SPDX-License-Identifier: Apache-2.0
"""What differs from one episode to the next: cube pose, colours, light, and where to reach.

Everything is drawn from a seed with NumPy alone, so the recorder, the direct environment and the
ROS demo mean the same thing by the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.sim.design import NOMINAL, Appearance, CellDesign

CUBE_LOW, CUBE_HIGH = np.array([0.38, -0.21]), np.array([0.62, 0.21])
CUBE_CLEARANCE = 0.10  # m, horizontally between the cube and a start or goal below HAND_CLEAR
HAND_CLEAR = 0.14  # m, hand height above which the cube is never in the way


@dataclass(frozen=True, slots=True)
class CellState:
    """One drawing of the cell: cube pose x, y [m], yaw [rad] on the table, and appearance; the
    height [m] is that of the cube's centre.
    """

    cube: np.ndarray
    appearance: Appearance
    height: float = float(NOMINAL.cube_half[2])

    @property
    def cube_pose(self) -> np.ndarray:
        """Cube position [m] and quaternion (w, x, y, z), as MuJoCo's free joint has them (7,)."""
        x, y, yaw = self.cube
        return np.array([x, y, self.height, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])


@dataclass(frozen=True, slots=True)
class ReachTask:
    """Start and goal pose7 of the hand (pointing down, gripper open) and the cell around them."""

    start: np.ndarray
    goal: np.ndarray
    cell: CellState


def sample_cell(rng: np.random.Generator, design: CellDesign = NOMINAL) -> CellState:
    """Cube anywhere it can be reached, light +-10 %, colours +-3 % of the full scale."""
    nominal = design.appearance
    cube = np.array([*rng.uniform(CUBE_LOW, CUBE_HIGH), rng.uniform(-np.pi / 4, np.pi / 4)])
    return CellState(
        cube,
        Appearance(
            light=nominal.light * rng.uniform(0.9, 1.1, 3),
            ambient=nominal.ambient * rng.uniform(0.9, 1.1),
            table=_recolour(rng, nominal.table),
            floor=_recolour(rng, nominal.floor),
            cube=_recolour(rng, nominal.cube),
        ),
        float(design.cube_half[2]),
    )


def _recolour(rng: np.random.Generator, rgba: np.ndarray) -> np.ndarray:
    return np.concatenate([np.clip(rgba[:3] + rng.uniform(-0.03, 0.03, 3), 0, 1), rgba[3:]])


def cell_of_seed(seed: int, design: CellDesign = NOMINAL) -> CellState:
    """The cell that `reset_scene` sets up for this seed."""
    return sample_cell(np.random.default_rng([seed, 1]), design)


def sample_reach_task(
    seed: int, design: CellDesign = NOMINAL, low: float = 0.10, high: float = 0.25
) -> ReachTask:
    """Start and goal `low` to `high` metres apart, uniform in the workspace, clear of the cube."""
    cell = cell_of_seed(seed, design)
    rng = np.random.default_rng([seed, 2])
    while True:
        start, goal = rng.uniform(FR3.workspace_low, FR3.workspace_high, (2, 3))
        apart = low <= np.linalg.norm(goal - start) <= high
        if apart and _clear(start, cell) and _clear(goal, cell):
            return ReachTask(_pose(start), _pose(goal), cell)


def _clear(position: np.ndarray, cell: CellState) -> bool:
    beside = np.linalg.norm(position[:2] - cell.cube[:2]) >= CUBE_CLEARANCE
    return bool(beside or position[2] >= HAND_CLEAR)


def _pose(position: np.ndarray) -> np.ndarray:
    return np.concatenate([position, FR3.hand_down, [0.0]])
