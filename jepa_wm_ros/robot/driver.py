# SPDX-License-Identifier: Apache-2.0
"""Arm, gripper and safety envelope as one: what may be done now, and doing it.

`unfit` and `judge` only look and may be called from a callback; everything else moves or waits
and belongs in a worker thread, one call at a time.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Sequence

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.robot.arm_state import ArmMode
from jepa_wm_ros.robot.faults import ArmError, ErrorKind
from jepa_wm_ros.robot.franka import FrankaArm
from jepa_wm_ros.robot.gripper import FrankaGripper
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.safety import SafetyEnvelope, WorkspaceError, limit, waypoints

BUSY = 'arm is moving: wait until it rests or call ~/stop'


class Outcome(enum.Enum):
    """How a command ended; values as in jepa_wm_msgs/ArmStatus."""

    NONE = 0
    EXECUTING = 1
    DONE = 2
    STOPPED = 3
    REFUSED = 4
    WORKSPACE = 5
    FAILED = 6


class ArmDriver:
    """One arm, with a gripper or without, inside one envelope."""

    def __init__(
        self, arm: FrankaArm, gripper: FrankaGripper | None, envelope: SafetyEnvelope
    ) -> None:
        self.arm, self.gripper, self.envelope = arm, gripper, envelope
        self.stopping = threading.Event()  # while set, motions end early

    def connect(self) -> None:
        """Connect to arm and gripper. Raises ArmError with one line."""
        self.arm.connect()
        if self.gripper is not None:
            self.gripper.connect()

    def close(self) -> None:
        """Stop and let go of both. Safe to call twice."""
        self.stopping.set()
        if self.gripper is not None:
            self.gripper.close()
        self.arm.close()

    def trouble(self, max_state_age: float) -> str:
        """What is wrong with the arm; empty when nothing is."""
        if self.arm.fault is not None:
            return str(self.arm.fault)
        age = time.monotonic() - self.arm.state().stamp
        return f'arm state is {age:.2f} s old: is the arm starved?' if age > max_state_age else ''

    def unfit(self, max_state_age: float) -> str:
        """Why nothing may move now; empty when the arm is ready."""
        moving = self.arm.state().mode is ArmMode.MOVING
        return self.trouble(max_state_age) or (BUSY if moving else '')

    def execute(self, target: Pose, closure: float | None) -> tuple[Outcome, str]:
        """One limited step, then the gripper (None leaves it); how it ended, and why."""
        try:
            if not self.arm.move_to(target, cancelled=self.stopping.is_set):
                return Outcome.STOPPED, 'stopped before the target'
            if closure is not None and self.gripper is not None:
                self.gripper.request(closure).result()
        except WorkspaceError as error:
            return Outcome.WORKSPACE, str(error)
        except JepaWmError as error:
            return Outcome.FAILED, str(error)
        return Outcome.DONE, ''

    def drive_to(self, target: Pose) -> str:
        """Straight to a pose inside the envelope in small steps. Raises when it is not reached."""
        for waypoint in waypoints(self.envelope, self.arm.state().pose, target):
            step = limit(self.envelope, self.arm.state().pose, waypoint)
            if not self.arm.move_to(step.target, cancelled=self.stopping.is_set):
                raise ArmError(ErrorKind.STOPPED, 'stopped before the target')
        return 'the arm is there'

    def drive_home(self, q: Sequence[float]) -> str:
        """Joint motion to `q` (7,) [rad]. Raises when it is not reached."""
        if not self.arm.home(q, cancelled=self.stopping.is_set):
            raise ArmError(ErrorKind.STOPPED, 'stopped before home')
        return 'the arm is at home'

    def drive_gripper(self, closure: float) -> str:
        """Open (0) or close (1) the gripper. Raises when it is not there, late or blocked."""
        if self.gripper is None:
            raise ArmError(ErrorKind.COMMAND, 'there is no gripper: use_gripper is false')
        if not self.gripper.request(closure).result():
            raise ArmError(ErrorKind.COMMAND, self.gripper.failure or 'the gripper is closed down')
        return f'the gripper is at closure {self.gripper.closure:.2f}'

    def recover(self) -> str:
        """Clear faults of arm and gripper where there are any. Raises when that fails."""
        arm = self.arm.recover()
        gripper = self.gripper is not None and self.gripper.recover()
        return 'recovered' if arm or gripper else 'no error to recover from: nothing was done'
