# SPDX-License-Identifier: Apache-2.0
"""What every node inherits: errors in transitions, answers before a rest, workers, lost devices."""

import threading
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
from support.ros_peers import belongings, call, ros, spinning, until  # noqa: E402

pytestmark = pytest.mark.ros


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
