# SPDX-License-Identifier: Apache-2.0
"""Arm, gripper and safety envelope as one: what may be done now, and doing it.

What checks or judges, and `permit`, only looks and may be called from a callback. What moves or
waits belongs in a worker thread, one call at a time, and `stop` in a thread of its own. A motion
takes the permit that was given when it was accepted: a stop makes it void.
"""

from __future__ import annotations

import concurrent.futures
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.robot.arm_state import ArmMode
from jepa_wm_ros.robot.command import Command, CommandLimits, Outcome, RawPose, Record, pose_of
from jepa_wm_ros.robot.faults import ArmError, ErrorKind
from jepa_wm_ros.robot.franka import FrankaArm
from jepa_wm_ros.robot.gate import CommandGate
from jepa_wm_ros.robot.gripper import FrankaGripper
from jepa_wm_ros.robot.ledger import Permit
from jepa_wm_ros.robot.pose import Pose, UnsafeCommandError
from jepa_wm_ros.robot.safety import (
    ArmMovedError,
    LimitedStep,
    SafetyEnvelope,
    WorkspaceError,
    limit,
    moved,
    waypoints,
)

BUSY = 'arm is moving: wait until it rests or call ~/stop'
POLL_SECONDS = 0.02


class ArmDriver:
    """One arm, with a gripper or without, inside one envelope."""

    def __init__(
        self, arm: FrankaArm, gripper: FrankaGripper | None, envelope: SafetyEnvelope
    ) -> None:
        self.arm, self.gripper, self.envelope = arm, gripper, envelope
        self._gate = CommandGate()

    def connect(self) -> None:
        """Connect to arm and gripper. Raises ArmError with one line."""
        self.arm.connect()
        if self.gripper is not None:
            self.gripper.connect()

    def close(self) -> None:
        """Stop and let go of both. Safe to call twice."""
        self.arm.close()
        if self.gripper is not None:
            self.gripper.close()

    # Looking

    def trouble(self, max_state_age: float) -> JepaWmError | None:
        """What is wrong with the arm, if anything."""
        if self.arm.fault is not None:
            return self.arm.fault
        age = time.monotonic() - self.arm.state().stamp
        if age <= max_state_age:
            return None
        return JepaWmError(
            f'arm state is {age:.2f} s old: is the arm starved?', FaultCode.STALE_STATE
        )

    def check_idle(self, busy: bool) -> None:
        """Raises ArmError while a job is under way (`busy`) or the arm moves."""
        if busy or self.arm.state().mode is ArmMode.MOVING:
            raise ArmError(ErrorKind.BUSY, BUSY)

    def check_gripper(self, busy: bool) -> None:
        """Raises why the gripper may not move now; that of an arm in a fault may, to let go."""
        if self.arm.stopped is not None:
            raise self.arm.stopped
        self.check_idle(busy)

    def check_fit(self, max_state_age: float, busy: bool) -> None:
        """Raises why nothing may move now, if anything keeps it from moving."""
        if trouble := self.trouble(max_state_age):
            raise trouble
        self.check_idle(busy)

    def permit(self, until: float = math.inf) -> Permit:
        """Permission to move, until the next stop; take it where something is accepted."""
        return self.arm.permit(until)

    def judge(self, command: Command, limits: CommandLimits, busy: bool = False) -> LimitedStep:
        """What the envelope leaves of a command that may be executed now.

        Raises UnsafeCommandError when it must be refused, the arm's own fault when it has one,
        ArmMovedError when it was planned from elsewhere and WorkspaceError when less than a tenth
        of it is left; each carries its FaultCode, and nothing has moved.
        """
        if refusal := self._gate.refusal(
            command.session, command.sequence, command.age, limits.max_age
        ):
            raise UnsafeCommandError(refusal)
        self.check_frame(command.frame, limits.base_frame)
        closure = command.closure
        if closure is not None and not 0.0 <= closure <= 1.0:
            raise UnsafeCommandError(f'gripper closure {closure} is not within 0 .. 1')
        target = pose_of(command.target, 'target')
        planned_from = pose_of(command.planned_from, 'planned_from')
        self.check_fit(limits.max_state_age, busy)
        present = self.arm.state().pose
        if reason := moved(
            planned_from, present, limits.max_moved_distance, limits.max_moved_angle
        ):
            raise ArmMovedError(reason)
        return limit(self.envelope, present, target)

    def judge_target(self, sent: RawPose, frame: str, base_frame: str) -> Pose:
        """The pose of a set-up motion. Raises UnsafeCommandError, or WorkspaceError outside."""
        self.check_frame(frame, base_frame)
        target = pose_of(sent, 'target')
        if not self.envelope.contains(target):
            raise WorkspaceError(
                f'target {target.position.round(3).tolist()} m is outside the safety '
                'envelope: see workspace_low, workspace_high, max_reach and max_tilt'
            )
        return target

    @staticmethod
    def check_frame(sent: str, base_frame: str) -> None:
        """Raises UnsafeCommandError unless a pose was sent in the base frame, by name."""
        if sent != base_frame:
            raise UnsafeCommandError(f'target is in frame {sent!r}: send it in {base_frame!r}')

    # Moving

    def execute(
        self, record: Record, target: Pose, closure: float | None, permit: Permit
    ) -> Record:
        """One limited step, then the gripper (None leaves it); its record with how that ended."""

        def ended(outcome: Outcome, message: str, code: FaultCode) -> Record:
            return replace(record, outcome=outcome, message=message, code=code)

        try:
            if not self.arm.move_to(target, permit):
                return ended(Outcome.STOPPED, 'stopped before the target', FaultCode.STOPPED)
            if self.arm.touched:
                reasons = ', '.join(filter(None, (record.message, self._contact())))
                record = replace(record, clipped=True, message=reasons)
            if closure is not None and self.gripper is not None:
                self._close_to(self.gripper, closure, permit)
        except WorkspaceError as error:
            return ended(Outcome.WORKSPACE, str(error), error.code)
        except JepaWmError as error:
            stopped = error.code is FaultCode.STOPPED
            return ended(Outcome.STOPPED if stopped else Outcome.FAILED, str(error), error.code)
        return ended(Outcome.DONE, record.message, FaultCode.SUCCEEDED)

    def _contact(self) -> str:
        """What ended the last motion, in words."""
        return f'the hand pressed on something with {self.arm.touched:.0f} N on its way down'

    def drive_to(self, target: Pose, permit: Permit) -> str:
        """Straight to a pose inside the envelope in small steps, or down to what the hand presses
        on. Raises when it reaches neither.
        """
        for waypoint in waypoints(self.envelope, self.arm.state().pose, target):
            step = limit(self.envelope, self.arm.state().pose, waypoint)
            if not self.arm.move_to(step.target, permit):
                raise ArmError(ErrorKind.STOPPED, 'stopped before the target')
            if self.arm.touched:
                return self._contact()
        return 'the arm is there'

    def drive_home(self, q: Sequence[float], permit: Permit) -> str:
        """Joint motion to `q` (7,) [rad]. Raises when it is not reached."""
        if not self.arm.home(q, permit):
            raise ArmError(ErrorKind.STOPPED, 'stopped before home')
        return 'the arm is at home'

    def drive_gripper(self, closure: float, permit: Permit) -> str:
        """Open (0) or close (1) the gripper. Raises when it is not there, late or blocked."""
        if self.gripper is None:
            raise ArmError(ErrorKind.COMMAND, 'there is no gripper: use_gripper is false')
        if not self._close_to(self.gripper, closure, permit):
            raise ArmError(ErrorKind.COMMAND, self.gripper.failure or 'the gripper is closed down')
        return f'the gripper is at closure {self.gripper.closure:.2f}'

    def _close_to(self, gripper: FrankaGripper, closure: float, permit: Permit) -> bool:
        """Whether the gripper did as requested; a stop ends the wait.

        The fingers end their stroke by themselves: a hand that is preempted may never answer.
        """
        request, deadline = gripper.request(closure), time.monotonic() + gripper.patience
        while time.monotonic() < deadline:
            done, _ = concurrent.futures.wait([request], POLL_SECONDS)
            if done:
                return not request.cancelled() and request.result()
            if permit.stops != self.arm.permit().stops:
                request.cancel()  # where it has not begun
                raise ArmError(ErrorKind.STOPPED, 'stopped while the gripper moved')
        raise ArmError(ErrorKind.COMMAND, 'the gripper does not answer: call ~/recover')

    def hold(self) -> str:
        """End every motion and let none begin that was accepted before. Raises when the arm had
        to be stopped by force or does not come to rest."""
        return self._end_motion(latch=False)

    def stop(self) -> str:
        """As `hold`, and let none begin at all until `recover`."""
        return self._end_motion(latch=True) + ' until ~/recover is called'

    def _end_motion(self, latch: bool) -> str:
        if not self.arm.stop(latch):
            raise ArmError(ErrorKind.TIMEOUT, 'the arm has not come to rest yet: call ~/stop again')
        return 'the arm stands still'

    def recover(self) -> str:
        """Clear a stop, and faults of arm and gripper. Raises when that fails, and when a stop was
        asked for meanwhile.
        """
        arm = self.arm.recover()
        gripper = self.gripper is not None and self.gripper.recover()
        if self.arm.stopped is not None:
            raise self.arm.stopped
        return 'recovered' if arm or gripper else 'nothing to recover from: nothing was done'
