# SPDX-License-Identifier: Apache-2.0
"""What a planner hears of the arm: fingers about a thing stay as they were told."""

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_msgs.msg import ArmStatus  # noqa: E402

from jepa_wm_ros.actions import GRIPPER  # noqa: E402
from jepa_wm_ros.control.gripper import GripperPolicy  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.ros.arm_alone import BlindPorts  # noqa: E402
from jepa_wm_ros.ros.base.convert import from_pose7  # noqa: E402

pytestmark = pytest.mark.ros
HERE = np.array([0.5, 0.0, 0.2, *FR3.hand_down, 0.0])


@pytest.fixture
def ports(ros_domain):
    rclpy.init()
    try:
        yield BlindPorts(rclpy.create_node('listener'))
    finally:
        rclpy.shutdown()


@pytest.mark.parametrize('measured', [0.2, 0.34, 0.38, 0.7])  # things of 6.4 to 2.4 cm
def test_a_thing_of_any_width_is_held_as_long_as_no_plan_opens_the_hand(ports, measured):
    pose = from_pose7(HERE)
    said = ArmStatus(pose=pose, commanded=pose, gripper=measured, commanded_gripper=1.0)
    ports.arm._on_status(said)
    assert ports.arm.measured()[GRIPPER] == measured and ports.arm.commanded()[GRIPPER] == 1.0
    keep, let_go = np.zeros((2, 1, 7))
    let_go[0, GRIPPER] = -1.0
    seen = ports.observe(0, 0)
    for action, closure in ((keep, 1.0), (let_go, 0.0)):
        target = ports.waypoints(seen, action)[1]
        hand = GripperPolicy(closed=True)
        assert hand.update(float(target[GRIPPER]), measured) == closure
