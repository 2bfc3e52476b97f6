# SPDX-License-Identifier: Apache-2.0
"""The tasks of the simulated cell: bring the hand, or the cube, to where pictures show it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from jepa_wm_ros import actions as convention
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.safety import SafetyEnvelope, WorkspaceError, limit
from jepa_wm_ros.sim.changes import AFTER, FAR, place_after, recoloured
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.manipulation import expert, sample_task
from jepa_wm_ros.sim.scene import SimError
from jepa_wm_ros.sim.variation import sample_reach_task
from jepa_wm_ros.tasks.frozen import NEAR, FrozenTasks


class CellTask:
    """What all tasks in a DirectCell share: no arm protocol, but the envelope that the arm's
    controller has. States are pose7.
    """

    def __init__(self, cell: DirectCell) -> None:
        self._cell = cell
        self._envelope = SafetyEnvelope(low=tuple(cell.low.tolist()))

    def goal_states(self) -> None:
        """Nothing: as on a real arm, a goal is its picture."""
        return

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Camera frame and measured pose7."""
        return self._seen

    @property
    def commanded(self) -> np.ndarray:
        """Pose7 that the hand was told last."""
        return self._cell.commanded

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
            step = limit(self._envelope, _pose(self._cell.pose), _pose(target))
            if step.clipped:
                target[convention.POSITION] = step.target.position
                target[convention.ROTATION] = convention.quaternion_to_euler(step.target.quaternion)
            self._seen = self._cell.move_to(target)
        except (WorkspaceError, SimError) as error:
            raise Fault(FaultCode.WORKSPACE_LIMIT, str(error)) from None
        return step.clipped


class ReachCell(CellTask):
    """`Task` of the hand. Start, goal, cube and light come from the seed alone, or from frozen
    tasks.
    """

    def __init__(self, cell: DirectCell, tasks: FrozenTasks | None = None) -> None:
        super().__init__(cell)
        self._frozen = tasks
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

    def error(self) -> float:
        """Distance of the hand from the goal [m]."""
        return float(np.linalg.norm((self._cell.pose - self.goal)[convention.POSITION]))

    def success(self) -> bool:
        """Whether the hand is within the tolerance of the tasks, NEAR where they have none."""
        return self.error() <= self._near


class CubeCell(CellTask):
    """`Task` of the cube, of a kind of sim/manipulation.py, in a DirectCell that lets the hand down
    to it. An expert does the task once for the goal pictures, of which the last `pictures` are
    given; where it leaves the cube is the goal. `change` is what is then otherwise, one of
    sim/changes.py.
    """

    def __init__(self, cell: DirectCell, kind: str, pictures: int = 0, change: str = '') -> None:
        """pictures: 0 gives them all."""
        super().__init__(cell)
        self.kind, self._pictures, self._change = kind, pictures, change

    def reset(self, seed: int) -> None:
        """Have the goals of `seed` shown, then stand at its start."""
        self._seed, self._steps = seed, 0
        self.task = sample_task(self.kind, seed, self._cell.design)
        if self._change == 'colour':
            self.task = replace(self.task, cell=recoloured(self.task.cell, seed))
        self._seen = self._cell.reset(self.task.start, self.task.cell)
        self._goals = []
        for move in expert(self.task):
            frame, _ = self._cell.move_to(move.pose)
            if move.goal:
                self._goals.append(frame)
        if self._change == 'far':
            self._goals[-1] = self._cell.lay(self._at(FAR))
        self.place = self._cell.cube[:2]
        self._seen = self._cell.reset(self.task.start, self.task.cell)
        self.lifted = self.carried = False

    def goals(self) -> list[np.ndarray]:
        """The pictures that the expert's camera took."""
        return self._goals[-self._pictures :]

    def act(self, target: np.ndarray, gripper: float) -> bool:
        """As `CellTask.act`; notes what has been done with the cube."""
        clipped = super().act(target, gripper)
        self.lifted |= self.task.in_air(self._cell.cube)
        self.carried |= self.task.carried(self._cell.cube, self.place)
        self._steps += 1
        if self._change in ('moved', 'taken') and self._steps == AFTER:
            cube, hand = self._cell.cube[:2], self._cell.pose[:2]
            place = place_after(self._change, self._seed, cube, hand)
            self._seen = self._cell.lay(self._at(place)), self._cell.pose
        return clipped

    def _at(self, place: np.ndarray) -> np.ndarray:
        """The pose (7,) of a cube that lies at (2,), turned as in the task."""
        return np.array([*place, *self.task.cell.cube_pose[2:]])

    def error(self) -> float:
        """Distance of the cube from its place, in the table's plane [m]."""
        return float(np.linalg.norm(self._cell.cube[:2] - self.place))

    @property
    def table_force(self) -> float:
        """The most that the arm has pressed on the table since its start [N]."""
        return self._cell.table_force

    def success(self) -> bool:
        """Whether the cube lies on the table near enough to its place, and is let go of."""
        closure = self._cell.pose[convention.GRIPPER]
        return self.task.placed(self._cell.cube, self.place, closure)


def _pose(pose7: np.ndarray) -> Pose:
    return Pose.of(
        pose7[convention.POSITION], convention.euler_to_quaternion(pose7[convention.ROTATION])
    )
