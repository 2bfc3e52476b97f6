# SPDX-License-Identifier: Apache-2.0
"""The offline trials and the planner node take the same steps for the same frames and seed.

Both meet one scripted hand: here through the real planner and world-model nodes over DDS, there
through the ports of the offline trials. The hand lags behind its commands, in position and in
orientation, so that a rule that differed would show.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
import yaml  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from jepa_wm_msgs.action import ReachGoal  # noqa: E402
from jepa_wm_msgs.msg import ArmCommand, ArmStatus  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros import actions, ros_image  # noqa: E402
from jepa_wm_ros.control.goal_sequence import GoalSequence  # noqa: E402
from jepa_wm_ros.control.loop import Reach  # noqa: E402
from jepa_wm_ros.control.progress import Limits, Phase  # noqa: E402
from jepa_wm_ros.control.session import ModelSession  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.evaluation.closed_loop.ports import TaskPorts  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.planning import load_profile  # noqa: E402
from jepa_wm_ros.planning.mpc import Mpc  # noqa: E402
from jepa_wm_ros.ros.base.convert import from_pose7, to_pose7  # noqa: E402
from jepa_wm_ros.ros.commander import JepaCommander  # noqa: E402
from jepa_wm_ros.ros.nodes.planner import PlannerNode  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from support.ros_peers import ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros
START = np.array([0.5, 0.0, 0.3, 3.0, 0.1, -0.2, 0.0])
LAG = np.array([0.002, -0.001, 0.003, 0.01, -0.02, 0.015, 0.0])
STEPS, SEED, TOLERANCE = 5, 5, 1e-9
PROFILE = {
    'planner': 'cem',
    'steps_executed': 2,
    'objective': {'kind': 'L1', 'sum_all': True, 'alpha': 0.5},
    'settings': {
        'horizon': 3,
        'iterations': 2,
        'num_samples': 24,
        'num_elites': 4,
        'var_scale': 0.05,
        'max_norms': [0.06, 0.1],
        'max_norm_dims': [[0, 1, 2], [3, 4, 5]],
        'frozen_dims': [6],
    },
}


class Hand:
    """A hand that is where it was commanded but for a lag, and the picture it makes: a `Task`."""

    def __init__(self):
        self.commanded = START.copy()
        self.targets = []

    @property
    def measured(self):
        return self.commanded - LAG

    def picture(self, pose):
        rows, columns = np.mgrid[0:96, 0:128]
        x, y = 64 + 150 * pose[1], 48 + 150 * (pose[0] - 0.5)
        disc = (columns - x) ** 2 + (rows - y) ** 2 < (10 + 20 * pose[2]) ** 2
        shade = np.where(disc, 230, 40 + columns)
        return np.stack([shade, shade // 2, rows + 60 * disc], axis=-1).astype(np.uint8)

    def goals(self):
        return [self.picture(START + 0.1)]

    def goal_states(self):
        return None

    def observe(self):
        return self.picture(self.measured), self.measured

    def waypoints(self, state, planned):
        return actions.waypoints(state, self.commanded, planned)

    def act(self, target, gripper):
        assert np.isnan(gripper)
        self.targets.append(target)
        self.commanded = np.array([*target[:6], 0.0])
        return False

    def error(self):
        return float(np.linalg.norm(self.measured - START))


class HandNode:
    """The same hand as camera and controller of a ROS graph. Like a picture of one moment, every
    tick says one pose with one stamp.
    """

    def __init__(self, hand):
        self.hand, self.node = hand, rclpy.create_node('franka_controller')
        self.status = ArmStatus(mode=ArmStatus.MODE_READY)
        publisher = self.node.create_publisher
        self.said = {
            'pose': publisher(PoseStamped, 'ee_pose', 10),
            'joints': publisher(JointState, 'joint_states', 10),
            'image': publisher(Image, 'image', 10),
            'status': publisher(ArmStatus, 'arm_status', 1),
        }
        self.node.create_subscription(ArmCommand, 'command', self.command, 1)
        self.node.create_service(Trigger, 'franka_controller/hold', self.hold)
        self.node.create_timer(1 / 30, self.say)

    def command(self, command):
        self.hand.act(to_pose7(command.target, 0.0), command.gripper)
        self.status.session, self.status.sequence = command.session, command.sequence
        self.status.outcome = ArmStatus.OUTCOME_DONE

    def hold(self, _, answer):
        answer.success = True
        return answer

    def say(self):
        header = Header(stamp=self.node.get_clock().now().to_msg(), frame_id=FR3.base_frame)
        picture, pose = self.hand.observe()
        joints = JointState(header=header, name=list(FR3.finger_joints), position=[0.04, 0.04])
        image = ros_image.fill_image(Image(), picture, 'rgb8')
        image.header = self.status.header = header
        self.status.pose = from_pose7(pose)
        self.status.commanded = from_pose7(self.hand.commanded)
        self.said['pose'].publish(PoseStamped(header=header, pose=self.status.pose))
        self.said['joints'].publish(joints)
        self.said['image'].publish(image)
        self.said['status'].publish(self.status)


def in_this_process(model, profile):
    """Steps and costs of the offline loop."""
    hand, costs = Hand(), []
    settings = load_profile(profile, settings={'seed': SEED})
    session = ModelSession.load(model=str(model), weights_dir='', device='cpu', threads=0)
    ports = TaskPorts(hand, session, settings)
    outcome = Reach(
        ports=ports,
        decider=Mpc(settings),
        gripper=None,
        goals=GoalSequence(1, 'cost', TOLERANCE),
        limits=Limits(STEPS, 1e6),
        say=lambda said: said.phase is Phase.WAITING and costs.append(said.cost),
    ).run(ports.prepare())
    return outcome, hand.targets, costs


def over_dds(model, profile):
    """Steps and costs of the nodes."""
    hand, costs = Hand(), []

    def hear(said):
        if said.phase == ReachGoal.Feedback.WAITING_FOR_OBSERVATION:
            costs.append(said.cost)

    with ros(model=model, profile=profile, seed=SEED, no_progress_steps=0, max_image_age=5.0):
        planner, world_model, peer = PlannerNode(), WorldModelNode(), HandNode(hand)
        with spinning(planner, world_model, peer.node):
            for node in (world_model, planner):
                assert node.trigger_configure().name == 'SUCCESS', node.failure
                assert node.trigger_activate().name == 'SUCCESS', node.failure
            with JepaCommander(timeout=30.0) as arm:
                result = arm.reach(hand.goals(), hear, max_steps=STEPS, tolerance=TOLERANCE)
                heard = threading.Event()
                arm.on_frame = lambda _: heard.set()
                assert heard.wait(10.0)  # what was said before the result has been heard
        for node in (planner, world_model):
            node.close()
        for node in (planner, world_model, peer.node):
            node.destroy_node()
    return result, hand.targets, costs


@pytest.mark.parametrize('warm_start', [True, 'proposal'])
def test_the_offline_trials_and_the_planner_node_take_the_same_steps(
    ros_domain, tmp_path, warm_start
):
    model, profile = tiny_model(tmp_path, proposal_steps=4), tmp_path / 'both.yaml'
    settings = PROFILE['settings'] | {'warm_start': warm_start}
    profile.write_text(yaml.safe_dump(PROFILE | {'settings': settings}))
    offline, expected, costs = in_this_process(model, profile)
    live, commanded, heard = over_dds(model, profile)
    assert offline.code == live.error_code == FaultCode.MAX_STEPS
    assert offline.progress.step == live.steps == len(expected) == len(commanded) == STEPS
    commanded, expected = np.array(commanded), np.array(expected)
    np.testing.assert_allclose(commanded[:, :3], expected[:, :3], atol=1e-6)
    wrong = (
        Rotation.from_euler('xyz', commanded[:, 3:6])
        * Rotation.from_euler('xyz', expected[:, 3:6]).inv()
    )
    assert wrong.magnitude().max() < 1e-6
    np.testing.assert_allclose(heard, costs, rtol=1e-5)
    assert np.ptp(expected[:, :3], axis=0).min() > 0.001, 'the hand went somewhere'
