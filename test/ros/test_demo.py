# SPDX-License-Identifier: Apache-2.0
"""What the demo writes down of a run."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.action import ReachGoal  # noqa: E402
from jepa_wm_msgs.msg import ArmCommand, ArmStatus  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.ros.arm_alone import SETTINGS  # noqa: E402
from jepa_wm_ros.ros.base.convert import from_pose7, to_pose7  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell, StepWatch  # noqa: E402
from jepa_wm_ros.ros.demo.command import forget_films  # noqa: E402
from jepa_wm_ros.ros.demo.random_walk import RandomWalk  # noqa: E402
from jepa_wm_ros.ros_image import fill_image  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros
Said = ReachGoal.Feedback


def test_each_plan_counts_once_with_the_cost_seen_after_its_last_motion():
    told = [
        Said(phase=Said.WAITING_FOR_OBSERVATION, cost=0.5),
        Said(phase=Said.PLANNING, cost=0.5),
        *(Said(phase=Said.MOVING, step=n, cost=0.5, planning_seconds=0.1) for n in (1, 2)),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=2, cost=0.2),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=2, cost=0.19),
        Said(phase=Said.MOVING, step=3, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.MOVING, step=4, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.REPLAN_STATE_CHANGED, step=3, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=3, cost=0.0),
        Said(phase=Said.REACHED, step=3, cost=0.0),
    ]

    steps = []
    watch = StepWatch(lambda *step: steps.append(step))
    for said in told:
        watch(said)
    assert steps == [(0, 0.5, 0.0), (2, 0.2, 0.1), (3, 0.0, 0.3)]
    assert len(watch.latencies) == 4


class WalkedArm:
    """A controller whose arm goes where it is told, but for one command, which it refuses."""

    def __init__(self, refused):
        self.node, self.refused = rclpy.create_node('franka_controller'), refused
        self.poses = [np.array([0.5, 0.0, 0.3, np.pi, 0.0, 0.0, 0.0])]
        self.status, self.commands = ArmStatus(mode=ArmStatus.MODE_READY), 0
        self.heard = threading.Event()  # the walker has been found
        self.said = self.node.create_publisher(ArmStatus, 'arm_status', 1)
        self.node.create_subscription(ArmCommand, 'command', self.command, 1)
        self.node.create_timer(0.02, self.say)

    def command(self, command):
        self.commands += 1
        self.status.session, self.status.sequence = command.session, command.sequence
        self.status.outcome = ArmStatus.OUTCOME_WORKSPACE
        if self.commands != self.refused:
            assert np.isnan(command.gripper) and command.header.frame_id == FR3.base_frame
            self.poses.append(to_pose7(command.target, 0.0))
            self.status.outcome = ArmStatus.OUTCOME_DONE

    def say(self):
        if self.node.count_publishers('command') and self.said.get_subscription_count():
            self.heard.set()
        self.status.pose = self.status.commanded = from_pose7(self.poses[-1])
        self.said.publish(self.status)


def test_a_demo_of_many_episodes_keeps_one_film_of_small_pictures():
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    cell, frames = SimpleNamespace(), []
    with DemoCell.filming(cell, frames.append):
        cell.on_frame(fill_image(Image(), picture, 'rgb8'))
    assert np.array_equal(frames[0], picture[::2, ::2])
    assert frames[0].base is None, 'a view would keep the whole picture'
    records = [SimpleNamespace(frames=list(f)) for f in ([], [1, 2], [], [3], [4])]
    forget_films(records)
    assert [r.frames for r in records] == [[], [1, 2], [], [], []]


def test_random_steps_go_through_the_loop_and_on_after_a_refused_one(ros_domain, monkeypatch):
    monkeypatch.setitem(SETTINGS, 'controller_timeout', 20.0)  # the nodes have to find each other
    with ros():
        arm, node = WalkedArm(refused=3), rclpy.create_node('walker')
        walk = RandomWalk(node)
        with spinning(arm.node, node):
            assert arm.heard.wait(20.0)
            walk.take(seed=1, steps=4)
        node.destroy_node()
        arm.node.destroy_node()
    steps = np.linalg.norm(np.diff(np.array(arm.poses)[:, :3], axis=0), axis=1)
    assert len(steps) == 4 and arm.commands == 5
    assert (steps > 0.001).all() and (steps <= FR3.max_step + 1e-9).all()
