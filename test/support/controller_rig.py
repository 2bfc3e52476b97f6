# SPDX-License-Identifier: Apache-2.0
"""What the tests of the controller node share: the node, and a planner at its door."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import threading

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.msg import ArmCommand, ArmStatus
from jepa_wm_msgs.srv import MoveTo
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from jepa_wm_ros.ros.base.convert import pose_message, position_and_quaternion, to_ns
from jepa_wm_ros.ros.nodes.franka_controller import FrankaController
from support.ros_peers import call

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
CENTRE = np.array([0.5, 0.0, 0.25])
PATIENT = {  # a loaded machine must not look like a stale command or a dead arm
    'relative_dynamics_factor': 0.3,
    'max_command_age': 3.0,
    'max_state_age': 1.5,
    'gripper_timeout': 20.0,
    'connect_timeout': 30.0,
}


class Planner:
    """What a planner does at the controller's door: send commands, listen to the arm."""

    def __init__(self):
        self.node = rclpy.create_node('peer')
        self.session, self.sequence = 42, 0
        self.news = threading.Condition()
        self.status = self.joints = self.pose = self.diagnostics = None
        self.heard, self.history = 0, []
        self._publisher = self.node.create_publisher(ArmCommand, 'command', 1)
        for kind, topic, name in (
            (ArmStatus, 'arm_status', 'status'),
            (JointState, 'joint_states', 'joints'),
            (PoseStamped, 'ee_pose', 'pose'),
            (DiagnosticArray, '/diagnostics', 'diagnostics'),
        ):
            self.node.create_subscription(
                kind, topic, lambda message, name=name: self._hear(name, message), 5
            )

    def _hear(self, name, message):
        with self.news:
            setattr(self, name, message)
            if name == 'status':
                self.history.append((message.session, message.sequence, message.outcome))
            self.heard += 1
            self.news.notify_all()

    def until(self, condition, timeout=30.0):
        with self.news:
            assert self.news.wait_for(condition, timeout), f'never true; last: {self.status}'
        return self.status

    def fresh_status(self):
        """A status that was sent after this call."""
        now = self.node.get_clock().now().nanoseconds
        return self.until(lambda: self.status and to_ns(self.status.header.stamp) > now)

    def command(self, to=None, shift=(0, 0, 0), **fields):
        """An ArmCommand from the present pose; `fields` replace its parts."""
        self.until(lambda: self._publisher.get_subscription_count() > 0)
        status = self.fresh_status()
        measured, _ = position_and_quaternion(status.pose)
        position, quaternion = position_and_quaternion(status.commanded)
        self.sequence += 1
        message = ArmCommand(
            session=self.session,
            sequence=self.sequence,
            planned_from=status.pose,
            target=pose_message(measured + shift if to is None else to, quaternion),
            gripper=math.nan,
        )
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = 'fr3_link0'
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def send(self, message, wait=True):
        """Publish a command and wait for its outcome."""
        self._publisher.publish(message)
        if wait:
            return self.until(
                lambda: (
                    self.said_of(message) and (self.status.outcome != ArmStatus.OUTCOME_EXECUTING)
                )
            )
        return self.until(lambda: self.said_of(message))

    def said_of(self, message):
        return (self.status.session, self.status.sequence) == (message.session, message.sequence)

    def ask(self, name, kind=Trigger, timeout=60.0, **fields):
        return call(self.node, kind, f'franka_controller/{name}', kind.Request(**fields), timeout)

    def move_to(self, position, quaternion=DOWN, frame='fr3_link0'):
        target = PoseStamped(pose=pose_message(position, quaternion))
        target.header.frame_id = frame
        return self.ask('move_to', MoveTo, target=target)


class Rig:
    """Controller and planner, spinning; the arm's server is the caller's."""

    def __init__(self, server):
        self.server = server
        self.controller, self.planner = FrankaController(), Planner()

    def true_position(self):
        return self.server.snapshot().hand_pose[:3]

    def up(self):
        assert self.controller.trigger_configure().name == 'SUCCESS', self.controller.failure
        assert self.controller.trigger_activate().name == 'SUCCESS', self.controller.failure

    def close(self):
        self.controller.close()
        self.controller.destroy_node()
        self.planner.node.destroy_node()


@contextlib.contextmanager
def controller_process(output=subprocess.PIPE, **parameters):
    """The node as its users start it, with `output` for its stdout and stderr; killed in the end
    whatever happens.
    """
    words = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    process = subprocess.Popen(
        [sys.executable, '-m', 'jepa_wm_ros.ros.nodes.franka_controller', '--ros-args', *words],
        stdout=output,
        stderr=output,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
