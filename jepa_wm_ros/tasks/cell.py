# SPDX-License-Identifier: Apache-2.0
"""The task of the simulated cell: bring the hand to where a picture shows it."""

from __future__ import annotations

import math

import numpy as np

from jepa_wm_ros import actions as convention
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.safety import SafetyEnvelope, WorkspaceError, limit
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.scene import SimError
from jepa_wm_ros.sim.variation import sample_reach_task
from jepa_wm_ros.tasks.frozen import NEAR, FrozenTasks

ENVELOPE = SafetyEnvelope()


class ReachCell:
    """`Task` in a DirectCell: no arm protocol, but the envelope that the arm's controller has.

    Start, goal, cube and light come from the seed alone, or from frozen tasks. States are pose7.
    """

    def __init__(self, cell: DirectCell, tasks: FrozenTasks | None = None) -> None:
        self._cell, self._frozen = cell, tasks
        self._near = tasks.tolerance if tasks else NEAR

    def reset(self, seed: int) -> None:
        """Stand at the start of `seed`."""
        frozen = self._frozen
        task = frozen.tasks[seed] if frozen else sample_reach_task(seed, self._cell.design)
        self.goal = task.goal  # pose7: the judge's, and the straight line's
        self._seen = self._cell.reset(task.start, task.cell)

    def goals(self) -> list[np.ndarray]:
        """The picture of the hand at the goal."""
        return [self._cell.goal_frame(self.goal)]

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Camera frame and measured pose7."""
        return self._seen

    def waypoints(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, 7) of actions (H, 7)."""
        return convention.waypoints(state, self._cell.commanded, actions)

    def act(self, target: np.ndarray, gripper: float) -> bool:
        """Go as far towards pose7 `target` as the envelope allows, and settle."""
        target = np.array(target, dtype=float)
        target[convention.GRIPPER] = (
            self._cell.commanded[convention.GRIPPER] if math.isnan(gripper) else gripper
        )
        try:
            step = limit(ENVELOPE, _pose(self._cell.pose), _pose(target))
            if step.clipped:
                target[convention.POSITION] = step.target.position
                target[convention.ROTATION] = convention.quaternion_to_euler(step.target.quaternion)
            self._seen = self._cell.move_to(target)
        except (WorkspaceError, SimError) as error:
            raise Fault(FaultCode.WORKSPACE_LIMIT, str(error)) from None
        return step.clipped

    def error(self) -> float:
        """Distance of the hand from the goal [m]."""
        return float(np.linalg.norm((self._cell.pose - self.goal)[convention.POSITION]))

    def success(self) -> bool:
        """Whether the hand is within the tolerance of the tasks, NEAR where they have none."""
        return self.error() <= self._near


def _pose(pose7: np.ndarray) -> Pose:
    return Pose.of(
        pose7[convention.POSITION], convention.euler_to_quaternion(pose7[convention.ROTATION])
    )
