# SPDX-License-Identifier: Apache-2.0
"""One command at a time to the controller: told, waited for, stopped.

Everything but the subscription callback runs outside the executor's thread and may wait.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from jepa_wm_msgs.msg import ArmCommand, ArmStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from jepa_wm_ros.control.ports import Motion, MotionOutcome
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.recordings.readings import usable_pose
from jepa_wm_ros.ros.base.convert import from_pose7, position_and_quaternion, to_pose7, to_stamp

ENDED = {outcome.value for outcome in MotionOutcome}
POLL_SECONDS = 0.05  # how often a waiting worker looks for a cancel
STAND_SECONDS = 2.0  # longest wait for an arm that was told to stop ...
SILENT_SECONDS = 0.2  # ... by a controller that is silent already


class ArmPort:
    """The controller as one sender of commands knows it.

    `value` gives controller_timeout and motion_timeout [s] and base_frame by name.
    """

    def __init__(self, node: Node, value: Callable[[str], Any]) -> None:
        self._node, self._value = node, value
        self._session = random.getrandbits(63)
        self._sequence = 0
        self._status: ArmStatus | None = None
        self._status_heard = time.monotonic()
        self._gap = 0.0  # the longest silence since `begin` [s]
        self._news = threading.Condition()
        self._hold = node.create_client(
            Trigger, 'franka_controller/hold', callback_group=ReentrantCallbackGroup()
        )
        self._command = node.create_publisher(ArmCommand, 'command', 1)
        self._status_topic = node.resolve_topic_name('arm_status')
        node.create_subscription(ArmStatus, 'arm_status', self._on_status, 1)

    def begin(self) -> None:
        """From now on no silence longer than controller_timeout is overlooked, also when it is
        over: whoever was frozen meanwhile, the controller or this process, does not go on unasked.
        """
        with self._news:
            self._status, self._status_heard, self._gap = None, time.monotonic(), 0.0

    def measured(self) -> np.ndarray:
        """The measured pose7 of the arm."""
        status = self._fresh_status()
        return self._pose7(status.pose, status.gripper)

    def commanded(self) -> np.ndarray:
        """The last commanded pose7; fingers about a thing never come to the closure in it."""
        status = self._fresh_status()
        return self._pose7(status.commanded, status.commanded_gripper)

    def move(
        self,
        target: np.ndarray,
        planned_from: np.ndarray,
        gripper: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Motion:
        """Command one absolute waypoint (pose7) and wait until the controller says how it ended;
        it is told to stop when `cancelled`. Raises a Fault when the controller is lost or late.
        """
        self._fresh_status()
        self._publish(target, planned_from, gripper)
        timeout = self._value('motion_timeout')
        deadline, stopping = time.monotonic() + timeout, False
        while True:
            status = self._fresh_status()
            mine = (status.session, status.sequence) == (self._session, self._sequence)
            if mine and status.outcome in ENDED:
                return motion_of(status)
            if cancelled() and not stopping:
                stopping = True
                self.stop()
            if time.monotonic() > deadline:
                raise Fault(
                    FaultCode.CONTROLLER_LOST,
                    f'the controller did not finish a command within {timeout} s',
                )
            with self._news:
                self._news.wait(POLL_SECONDS)

    def stop(self) -> None:
        """Ask the controller to end the present motion smoothly."""
        if self._hold.service_is_ready():
            self._hold.call_async(Trigger.Request())

    def stand(self) -> bool:
        """Stop and wait until the controller says that the arm stands; False when it does not."""
        if not self._hold.service_is_ready():
            return False
        answered, future = threading.Event(), self._hold.call_async(Trigger.Request())
        future.add_done_callback(lambda _: answered.set())
        silence = time.monotonic() - self._status_heard
        silent = silence > self._value('controller_timeout')
        if not answered.wait(SILENT_SECONDS if silent else STAND_SECONDS):
            self._hold.remove_pending_request(future)
            return False
        return bool(future.result().success)

    def _pose7(self, pose: Pose, closure: float) -> np.ndarray:
        if usable_pose(*position_and_quaternion(pose)) is None:
            raise Fault(
                FaultCode.STALE_STATE,
                f'{self._status_topic} tells a pose that is not finite or has no orientation: '
                'look at the franka_controller node and its connection to the arm',
            )
        return to_pose7(pose, closure)

    def _publish(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> None:
        self._sequence += 1
        command = ArmCommand(session=self._session, sequence=self._sequence, gripper=gripper)
        command.header.stamp = to_stamp(self._node.get_clock().now().nanoseconds)
        command.header.frame_id = self._value('base_frame')
        command.target, command.planned_from = from_pose7(target), from_pose7(planned_from)
        self._command.publish(command)

    def _on_status(self, status: ArmStatus) -> None:
        with self._news:
            now = time.monotonic()
            self._gap = max(self._gap, now - self._status_heard)
            self._status, self._status_heard = status, now
            self._news.notify_all()

    def _fresh_status(self) -> ArmStatus:
        """The newest status; after controller_timeout without one the controller is lost."""
        timeout = self._value('controller_timeout')
        with self._news:
            if self._gap > timeout:
                raise Fault(
                    FaultCode.CONTROLLER_LOST,
                    f'no arm_status for {self._gap:.1f} s: the controller or this node stood still '
                    'meanwhile; look at the arm and send the goal again',
                )
            left = self._status_heard + timeout - time.monotonic()
            if left > 0 and self._news.wait_for(lambda: self._status, left):
                return self._status
        raise Fault(
            FaultCode.CONTROLLER_LOST,
            f'no arm_status for {timeout} s: is the '
            'franka_controller node running in this namespace?',
        )


def motion_of(status: ArmStatus) -> Motion:
    """How the last command of a status ended."""
    code, outcome = FaultCode(status.error_code), MotionOutcome(status.outcome)
    return Motion(outcome, status.clipped, code, status.message or ', '.join(status.errors))
