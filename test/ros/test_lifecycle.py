# SPDX-License-Identifier: Apache-2.0
"""The life-cycle contract: what a phase makes it releases, and an inactive node keeps silent."""

import threading
import time
from importlib.util import find_spec
from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.srv import PrepareGoal  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError  # noqa: E402
from jepa_wm_ros.ros.base import worker as worker_room  # noqa: E402
from jepa_wm_ros.ros.base.faults import ErrorLog  # noqa: E402
from jepa_wm_ros.ros.base.node import NodeBase  # noqa: E402
from support import generated, policy  # noqa: E402
from support.controller_rig import PATIENT  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros
ROUNDS = 5
OF_EVERY_NODE = {'/rosout', '/parameter_events', '/diagnostics'}
TF = {'/tf', '/tf_static'}  # said where tf2_msgs is installed, which comes with ROS alone
SPOKEN = {  # topics and services of each active node
    'world_model': (
        {'/world_model/latent_distance', '/world_model/imagined'},
        {
            f'/world_model/{name}'
            for name in (
                'describe',
                'prepare_goal',
                'freeze_context',
                'score_actions',
                'interrupt_scoring',
            )
        },
    ),
    'planner': (
        {
            '/command',
            '/planner/plan',
            '/planner/status',
            '/reach_goal/_action/feedback',
            '/reach_goal/_action/status',
        },
        {'/planner/reach', '/planner/cancel'}
        | {f'/reach_goal/_action/{name}' for name in ('send_goal', 'cancel_goal', 'get_result')},
    ),
    'franka_controller': (
        {'/joint_states', '/ee_pose', '/arm_status'},
        {
            f'/franka_controller/{name}'
            for name in ('recover', 'stop', 'hold', 'home', 'move_to', 'set_gripper')
        },
    ),
    'recorder': (
        {'/recorder/status'},
        {f'/recorder/{name}' for name in ('start', 'stop', 'keep', 'redo', 'discard')},
    ),
    'sim_cell': (
        {'/image', '/camera_info', '/sim_cell/hand_pose', '/sim_cell/cube_pose'},
        {'/sim_cell/reset_scene'},
    ),
    'goal_gallery': (
        {
            f'/goal_gallery/{name}'
            for name in ('update', 'scene', 'arm', 'preview', 'goal', 'status')
        },
        {
            f'/goal_gallery/{name}'
            for name in (
                'get_interactive_markers',
                'capture',
                'plan',
                'append',
                'delete',
                'list',
                'stop',
                'recover',
            )
        },
    ),
}


def make_node(name: str, tmp_path, address: str):
    """Parameters and class of one of the nodes."""
    if name == 'world_model':
        from jepa_wm_ros.ros.nodes.world_model import WorldModelNode

        return {'model': tiny_model(tmp_path), 'threads': 1}, WorldModelNode
    if name == 'planner':
        from jepa_wm_ros.ros.nodes.planner import PlannerNode

        return {}, PlannerNode
    if name == 'franka_controller':
        from jepa_wm_ros.ros.nodes.franka_controller import FrankaController

        return {'arm_address': address, **PATIENT}, FrankaController
    if name == 'goal_gallery':
        from jepa_wm_ros.ros.nodes.goal_gallery import GoalGallery

        return {'library': tmp_path / 'goals'}, GoalGallery
    if name == 'recorder':
        from jepa_wm_ros.ros.nodes.recorder import Recorder

        return {'out': tmp_path / 'takes'}, Recorder
    from jepa_wm_ros.ros.nodes.sim_cell import SimCell

    return {'arm_address': address, 'width': 64, 'height': 48}, SimCell


@pytest.fixture
def arm(request, new_arm_address):
    """An address; an arm is served there when the node needs one."""
    address = new_arm_address()
    if request.node.callspec.params['name'] != 'franka_controller':
        yield address
        return
    from jepa_wm_ros.sim.server import ArmServer

    with ArmServer(address):
        yield address


def spoken(peer, name: str) -> tuple[set[str], set[str]]:
    """What others see of a node: its topics and services beyond those that every node has."""
    topics = {topic for topic, _ in peer.get_publisher_names_and_types_by_node(name, '/')}
    services = {service for service, _ in peer.get_service_names_and_types_by_node(name, '/')}
    everywhere = {
        f'/{name}/{service}'
        for service in (
            'change_state',
            'get_state',
            'get_available_states',
            'get_available_transitions',
            'get_transition_graph',
            'get_type_description',
            'describe_parameters',
            'get_parameter_types',
            'get_parameters',
            'list_parameters',
            'set_parameters',
            'set_parameters_atomically',
        )
    }
    return topics - OF_EVERY_NODE - TF - {f'/{name}/transition_event'}, services - everywhere


def done(peer, name: str) -> policy.Allowed:
    """What others see of all that a node says, hears, serves and asks."""
    return policy.Allowed(
        *(
            {entry for entry, _ in seen(name, '/')}
            for seen in (
                peer.get_publisher_names_and_types_by_node,
                peer.get_subscriber_names_and_types_by_node,
                peer.get_service_names_and_types_by_node,
                peer.get_client_names_and_types_by_node,
            )
        )
    )


def may(name: str) -> policy.Allowed:
    """What the security policy lets a node do; /clock it hears only with use_sim_time."""
    allowed = policy.enclaves()[PurePosixPath('/jepa_wm_ros', name)]
    allowed.subscribe.remove('/clock')
    if find_spec('tf2_msgs') is None:
        allowed.publish -= TF
    return allowed


def until(condition, seconds: float = 40.0):
    """Wait until the graph, which nobody announces, is as it should be."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition() and time.monotonic() < deadline:
        pause.wait(0.02)
    return condition()


def belongings(node) -> dict[str, int]:
    """How much of everything the node has now."""
    kinds = ('publishers', 'subscriptions', 'services', 'clients', 'timers', 'waitables')
    return {kind: len(list(getattr(node, kind))) for kind in kinds} | {
        'threads': threading.active_count()
    }


@pytest.mark.parametrize('name', SPOKEN)
def test_an_inactive_node_is_silent_and_every_round_leaves_nothing_behind(
    name, arm, tmp_path, ros_domain
):
    parameters, kind = make_node(name, tmp_path, arm)
    with ros(**parameters):
        node, peer = kind(), rclpy.create_node('peer')
        with spinning(node, peer):
            assert until(lambda: name in peer.get_node_names())
            silent = (set(), set())
            fresh = inactive = active = None
            for _ in range(ROUNDS):
                fresh = fresh or belongings(node)
                assert node.trigger_configure().name == 'SUCCESS', node.failure
                inactive = inactive or belongings(node)
                assert until(lambda: spoken(peer, name) == silent), spoken(peer, name)
                assert until(
                    lambda: any(
                        info.node_name == name
                        for info in peer.get_publishers_info_by_topic('/diagnostics')
                    )
                )
                assert node.trigger_activate().name == 'SUCCESS', node.failure
                active = active or belongings(node)
                assert until(lambda: spoken(peer, name) == SPOKEN[name]), (
                    spoken(peer, name),
                    peer.get_node_names(),
                )
                assert belongings(node) == active
                assert until(lambda: done(peer, name) == may(name)), (done(peer, name), may(name))
                interfaces = generated.interfaces(node)
                assert node.trigger_deactivate().name == 'SUCCESS', node.failure
                assert belongings(node) == inactive
                assert until(lambda: spoken(peer, name) == silent), spoken(peer, name)
                assert node.trigger_cleanup().name == 'SUCCESS', node.failure
                assert belongings(node) == fresh
        node.destroy_node()
        peer.destroy_node()
    generated.hold_node_page(kind, interfaces)


class Cell(NodeBase):
    """A node that can go wrong wherever a test wants it to."""

    def __init__(self) -> None:
        super().__init__('cell')
        self.wrong: dict[str, BaseException] = {}
        self.halts = self.teardowns = 0
        self.works, self.may_end = threading.Event(), threading.Event()
        self.said = []
        tell = self.get_logger().error
        self.errors = ErrorLog(
            SimpleNamespace(error=lambda text: self.said.append(text) or tell(text))
        )

    def setup(self) -> None:
        self.worker = self.create_worker('work')
        self._go_wrong('setup')

    def start(self) -> None:
        self.spoken = self.create_publisher(String, 'spoken', 1)
        self.create_service(Trigger, '~/work', self._on_work)
        self.create_service(PrepareGoal, '~/ask', self._on_ask)
        self._go_wrong('start')

    def halt(self) -> None:
        self.halts += 1
        self._go_wrong('halt')

    def teardown(self) -> None:
        self.teardowns += 1

    def _go_wrong(self, where: str) -> None:
        if where in self.wrong:
            raise self.wrong[where]

    def _work(self) -> None:
        self.works.set()
        self.may_end.wait(20.0)

    async def _on_work(self, _request, response):
        await self.worker.submit(self._work)
        response.success = True
        return response

    def _on_ask(self, _request, response):
        self._go_wrong('ask')
        return response


@pytest.fixture
def cell(ros_domain):
    with ros():
        node, peer = Cell(), rclpy.create_node('peer')
        with spinning(node, peer):
            node.fresh = belongings(node)
            yield node, peer
            node.may_end.set()
            node.close()
        node.destroy_node()
        peer.destroy_node()


def state(peer) -> str:
    return call(peer, GetState, 'cell/get_state', GetState.Request()).current_state.label


def change(peer, number: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=number))
    return call(peer, ChangeState, 'cell/change_state', request).success


@pytest.mark.parametrize(
    ('where', 'error', 'ends'),
    [
        ('setup', JepaWmError('no arm there'), 'unconfigured'),
        ('setup', ValueError('a bug'), 'unconfigured'),
        ('start', JepaWmError('no arm there'), 'inactive'),
        ('start', ValueError('a bug'), 'unconfigured'),
        ('halt', JepaWmError('the arm does not stop'), 'unconfigured'),
        ('halt', ValueError('a bug'), 'unconfigured'),
    ],
)
def test_an_error_in_a_transition_is_told_and_leaves_a_state_that_works_again(
    cell, where, error, ends
):
    node, peer = cell
    node.wrong[where] = error
    steps = [
        change(peer, number)
        for number in (
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_ACTIVATE,
            Transition.TRANSITION_DEACTIVATE,
        )
    ]
    assert not all(steps) and state(peer) == ends
    (told, *_) = [text for text in node.said if str(error) in text]
    assert ('Traceback' in told) == isinstance(error, ValueError)
    if ends == 'unconfigured':
        assert belongings(node) == node.fresh and node.teardowns == 1
    node.wrong.clear()
    if ends == 'unconfigured':
        assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE) and state(peer) == 'active'


def test_a_transition_that_is_none_of_the_present_state_is_refused_and_survived(cell):
    _, peer = cell
    assert not change(peer, Transition.TRANSITION_ACTIVATE)
    assert state(peer) == 'unconfigured'


def activate(node):
    assert node.trigger_configure().name == node.trigger_activate().name == 'SUCCESS'


def test_who_asked_before_the_deactivation_is_answered_and_then_the_service_goes(cell):
    node, peer = cell
    activate(node)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(call(peer, Trigger, 'cell/work', Trigger.Request()))
    )
    asking.start()
    assert node.works.wait(20.0)
    threading.Timer(0.3, node.may_end.set).start()
    assert node.trigger_deactivate().name == 'SUCCESS'
    asking.join(20.0)
    assert answers[0].success
    assert 'work' not in {service.srv_name.split('/')[-1] for service in node.services}


def test_a_worker_that_does_not_stop_is_told_and_the_node_lets_everything_go(cell, monkeypatch):
    node, peer = cell
    for method in ('call', 'drain', 'stop'):  # as its own limit, only sooner
        monkeypatch.setattr(getattr(worker_room.Worker, method), '__defaults__', (0.2,))
    activate(node)
    node.worker.submit(node._work)
    assert node.works.wait(20.0)
    assert node.trigger_deactivate().name == 'ERROR'
    assert state(peer) == 'unconfigured'
    assert any('did not' in text for text in node.said)
    assert not {'spoken'} & {publisher.topic_name.split('/')[-1] for publisher in node.publishers}


def test_a_service_answers_with_its_fault_and_an_unexpected_one_is_logged_once(cell):
    node, peer = cell
    activate(node)
    for error, code in (
        (Fault(FaultCode.BAD_IMAGE, 'no picture'), FaultCode.BAD_IMAGE),
        (ValueError('a bug'), FaultCode.INTERNAL),
    ):
        node.wrong['ask'] = error
        for _ in range(3):
            answer = call(peer, PrepareGoal, 'cell/ask', PrepareGoal.Request())
            assert answer.error_code == code and str(error) in answer.error_msg
    assert len([text for text in node.said if 'a bug' in text and 'Traceback' in text]) == 1


@pytest.mark.fault(12)
def test_a_lost_device_is_answered_and_leaves_the_node_unconfigured(cell):
    node, peer = cell
    activate(node)
    node.wrong['ask'] = Fault(FaultCode.DEVICE_LOST, 'the GPU has fallen off the bus')
    answer = call(peer, PrepareGoal, 'cell/ask', PrepareGoal.Request())
    assert answer.error_code == FaultCode.DEVICE_LOST
    assert until(lambda: state(peer) == 'unconfigured')
    assert until(lambda: belongings(node) == node.fresh)
    assert node.halts == 1 and any('fallen off the bus' in text for text in node.said)
