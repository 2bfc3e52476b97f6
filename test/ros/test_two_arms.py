# SPDX-License-Identifier: Apache-2.0
"""Two arms side by side: each in its namespace, with names of its own, and no word of the other."""

import threading
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from jepa_wm_msgs.msg import ArmCommand, ArmStatus  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from visualization_msgs.msg import MarkerArray  # noqa: E402

from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402
from jepa_wm_ros.ros.nodes.franka_controller import FrankaController  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
ARMS = ('left', 'right')
SEEDS = {'left': 4242, 'right': 4243}
SHARED = {'/diagnostics', '/rosout', '/parameter_events'}
HEARD = {
    'image': Image,
    'camera_info': CameraInfo,
    'joint_states': JointState,
    'ee_pose': PoseStamped,
    'arm_status': ArmStatus,
    'command': ArmCommand,
    'planner/plan': MarkerArray,
}


def test_a_prefix_is_in_every_name_the_controller_says(ros_domain):
    with ros(arm_prefix='left_'):
        node = FrankaController()
        node.driver = SimpleNamespace(gripper=SimpleNamespace(width=0.08, speed=0.0))
        state = SimpleNamespace(q=np.zeros(7), dq=np.zeros(7))
        said = node._joint_state(Header(), state)
        assert len(said.name) == 9 and all(name.startswith('left_fr3_') for name in said.name)
        assert node.value('base_frame') == 'left_fr3_link0'
        node.destroy_node()


class Names:
    """Every frame and joint that is said in each namespace."""

    def __init__(self) -> None:
        self.node = rclpy.create_node('names')
        self.heard = {(arm, topic): set() for arm in ARMS for topic in HEARD}
        for (arm, topic), names in self.heard.items():
            self.node.create_subscription(
                HEARD[topic],
                f'/{arm}/{topic}',
                lambda message, names=names: names.update(_names(message)),
                rclpy.qos.qos_profile_sensor_data,
            )

    def of(self, arm: str) -> set[str]:
        return set().union(*(names for (of, _), names in self.heard.items() if of == arm))


def _names(message):
    for part in getattr(message, 'markers', [message]):
        yield part.header.frame_id
    yield from getattr(message, 'name', [])


@pytest.fixture
def cells(ros_domain, new_arm_address):
    with ExitStack() as stack:
        cells = {}
        for arm in ARMS:
            processes = plan_processes(
                arm_address=new_arm_address(), namespace=arm, arm_prefix=f'{arm}_'
            )
            group = stack.enter_context(ProcessGroup(processes))
            cells[arm] = stack.enter_context(DemoCell(group, arm))
        for cell in cells.values():
            cell.wait_until_ready()
        yield cells


@pytest.mark.slow
def test_two_arms_reach_different_pictures_at_the_same_time(cells):
    names = Names()
    with spinning(names.node):
        goals = {arm: cell.prepare(SEEDS[arm]) for arm, cell in cells.items()}
        rests_while_the_other_moves(cells, goals)
        results = reach_together(cells, goals)
    for arm, other in (ARMS, ARMS[::-1]):
        hand = cells[arm].hand_position()
        assert np.linalg.norm(hand - goals[arm][1]) <= 0.04, results[arm].error_msg
        assert np.linalg.norm(hand - goals[other][1]) > 0.04, 'it went to the picture of the other'
        assert not FaultCode(results[arm].error_code).is_fault
        assert all(heard for (of, _), heard in names.heard.items() if of == arm), names.heard
    only = {arm: names.of(arm) - {''} for arm in ARMS}
    assert only['left'] and all(name.startswith('left_') for name in only['left'])
    assert only['right'] == {name.replace('left_', 'right_', 1) for name in only['left']}
    topics = {topic for topic, _ in names.node.get_topic_names_and_types()} - SHARED
    assert all(topic.startswith(tuple(f'/{arm}/' for arm in ARMS)) for topic in topics), topics
    names.node.destroy_node()


def rests_while_the_other_moves(cells, goals):
    """The left arm takes two steps; the right one, whose picture it was not, stands."""
    where = cells['right'].hand_position()
    result = cells['left'].reach([goals['left'][0]], max_steps=2)
    assert result.steps == 2
    assert np.linalg.norm(cells['right'].hand_position() - where) < 0.001


def reach_together(cells, goals):
    """Both goals at once; returns the results, and holds that they ran at the same time."""
    results, running, both = {}, set(), threading.Event()

    def reach(arm):
        def on_feedback(said):
            running.add(arm)
            if len(running) == len(ARMS):
                both.set()

        results[arm] = cells[arm].reach([goals[arm][0]], on_feedback, max_steps=14)
        running.discard(arm)

    threads = [threading.Thread(target=reach, args=(arm,)) for arm in ARMS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240.0)
    assert results.keys() == set(ARMS) and both.is_set(), 'the goals did not run together'
    return results
