# SPDX-License-Identifier: Apache-2.0
"""What the tests of the planner node share: a toy world model and a toy arm that share one hand."""

from __future__ import annotations

import contextlib
import math
import threading
from dataclasses import dataclass, field

import numpy as np
import rclpy
from geometry_msgs.msg import Pose
from jepa_wm_msgs.action import ReachGoal
from jepa_wm_msgs.msg import ArmCommand, ArmStatus
from jepa_wm_msgs.srv import (
    DescribeModel,
    FreezeContext,
    InterruptScoring,
    PrepareGoal,
    ScoreActions,
)
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from jepa_wm_ros import ros_image
from jepa_wm_ros.ros.base.convert import from_pose7, to_pose7
from jepa_wm_ros.ros.nodes.planner import PlannerNode
from support.ros_peers import TIMEOUT, meet, ros, spinning, wait

PICTURE = np.full((48, 64, 3), 100, np.uint8)


@dataclass
class Toy:
    """A hand in space, and what is wrong with its world."""

    hand: np.ndarray = field(default_factory=lambda: np.array([0.5, 0, 0.3, math.pi, 0, 0, 0.0]))
    goal: np.ndarray = field(default_factory=lambda: np.array([0.5, 0.12, 0.3]))
    costs: str = 'distance'  # or 'nan', 'some nan', 'most nan'
    score_seconds: float = 0.0
    outcome: int = ArmStatus.OUTCOME_DONE
    error_code: int = 0  # what the arm tells with it
    freeze_error: int = 0
    unanswered: int = 0  # how many questions what the model is stay without an answer
    action_dim: int = 7
    silent_arm: bool = False
    said_pose: Pose | None = None  # in place of where the arm is
    scoring: threading.Event = field(default_factory=threading.Event)
    moves: int = 0
    stops: int = 0
    interrupted: int = 0
    interrupt: threading.Event = field(default_factory=threading.Event)


class ToyModel:
    """The world model's services; the cost of a candidate is how far it leaves the hand."""

    def __init__(self, toy):
        self.toy, self.node = toy, rclpy.create_node('world_model')
        group = ReentrantCallbackGroup()  # a question may stay without an answer
        for kind, name in (
            (DescribeModel, 'describe'),
            (PrepareGoal, 'prepare_goal'),
            (FreezeContext, 'freeze_context'),
            (ScoreActions, 'score_actions'),
            (InterruptScoring, 'interrupt_scoring'),
        ):
            self.node.create_service(kind, f'~/{name}', getattr(self, name), callback_group=group)

    async def describe(self, _, answer):
        if self.toy.unanswered:
            self.toy.unanswered -= 1
            await Future()
        answer.name, answer.action_dim, answer.reached_distance = 'toy', self.toy.action_dim, 0.02
        return answer

    def prepare_goal(self, request, answer):
        answer.goal_ids = list(range(1, 1 + len(request.images) + len(request.compressed)))
        return answer

    def freeze_context(self, _, answer):
        if self.toy.freeze_error:
            answer.error_code, answer.error_msg = self.toy.freeze_error, 'as the test asked'
        answer.context_id, answer.pose = 1, from_pose7(self.toy.hand)
        answer.image_stamp = self.node.get_clock().now().to_msg()
        answer.distance = float(np.linalg.norm(self.toy.goal - self.toy.hand[:3]))
        return answer

    def score_actions(self, request, answer):
        self.toy.scoring.set()
        if self.toy.score_seconds:
            threading.Event().wait(self.toy.score_seconds)
        actions = np.array(request.actions).reshape(request.candidates, request.horizon, -1)
        ends = self.toy.hand[:3] + actions[:, :, :3].sum(1)
        costs = np.linalg.norm(ends - self.toy.goal, axis=1)
        if self.toy.costs != 'distance':
            costs[
                {
                    'nan': slice(None),
                    'some nan': slice(1, None, 4),
                    'most nan': slice(None, len(costs) * 2 // 3),
                }[self.toy.costs]
            ] = math.nan
        answer.costs = costs.astype(np.float32).tolist()
        return answer

    def interrupt_scoring(self, request, answer):
        self.toy.interrupted = request.context_id
        self.toy.interrupt.set()
        answer.interrupted = True
        return answer


class ToyArm:
    """The controller's topics and its hold service; every command ends as the toy says."""

    def __init__(self, toy):
        self.toy, self.node = toy, rclpy.create_node('franka_controller')
        self.status = ArmStatus(mode=ArmStatus.MODE_READY)
        self._said = self.node.create_publisher(ArmStatus, 'arm_status', 1)
        self.node.create_subscription(ArmCommand, 'command', self.command, 1)
        self.node.create_service(Trigger, '~/hold', self.hold)
        self.node.create_timer(0.03, self.say)

    def command(self, command):
        self.toy.moves += 1
        self.status.session, self.status.sequence = command.session, command.sequence
        self.status.outcome, self.status.message = self.toy.outcome, 'as the test asked'
        self.status.error_code = self.toy.error_code
        if self.toy.outcome == ArmStatus.OUTCOME_DONE:
            self.toy.hand = to_pose7(command.target, 0.0)

    def hold(self, _, answer):
        self.toy.stops += 1
        if self.status.outcome == ArmStatus.OUTCOME_EXECUTING:
            self.status.outcome = ArmStatus.OUTCOME_STOPPED
        answer.success = True
        return answer

    def say(self):
        if self.toy.silent_arm:
            return
        self.status.header.stamp = self.node.get_clock().now().to_msg()
        self.status.pose = self.toy.said_pose or from_pose7(self.toy.hand)
        self.status.commanded = self.status.pose
        self._said.publish(self.status)


class Client:
    """Sends goals and collects what comes back."""

    def __init__(self, name='client'):
        self.patience = TIMEOUT  # s
        self.node = rclpy.create_node(name)
        self.action = ActionClient(self.node, ReachGoal, 'reach_goal')
        self.feedback = []

    def send(self, **fields):
        fields.setdefault('goals', [ros_image.fill_image(Image(), PICTURE, 'rgb8')])
        assert self.action.wait_for_server(60.0)
        meet(self.node, 'planner')
        goal = ReachGoal.Goal(**fields)
        return self.act(
            lambda: self.action.send_goal_async(
                goal, lambda message: self.feedback.append(message.feedback)
            )
        )

    def act(self, ask):
        """Ask in the spinning thread: rclpy's action client has no lock."""
        return wait(wait(self.node.executor.create_task(ask)), self.patience)

    def reach(self, **fields):
        handle = self.send(**fields)
        assert handle.accepted
        return self.result(handle).result

    def result(self, handle):
        """Status and result of a goal, when it has ended."""
        return self.act(handle.get_result_async)


@contextlib.contextmanager
def toys(*clients):
    """A toy world model and arm, and clients, all spinning."""
    toy = Toy()
    nodes = [each(toy).node for each in (ToyModel, ToyArm)] + [client.node for client in clients]
    try:
        with spinning(*nodes):
            yield toy
    finally:
        for node in nodes:
            node.destroy_node()


@contextlib.contextmanager
def planning(clients=1, **parameters):
    """An active planner in this process, its world, and clients."""
    with ros(controller_timeout=2.0, motion_timeout=5.0, **parameters):
        planner, them = PlannerNode(), [Client(f'client_{number}') for number in range(clients)]
        with toys(*them) as toy, spinning(planner):
            try:
                assert planner.trigger_configure().name == 'SUCCESS'
                assert planner.trigger_activate().name == 'SUCCESS'
                yield planner, toy, *them
            finally:
                planner.close()
                planner.destroy_node()
