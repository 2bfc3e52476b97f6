# SPDX-License-Identifier: Apache-2.0
"""A peer that cannot be heard is named in /diagnostics."""

import threading

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (make setup)')

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from jepa_wm_ros.ros.base.node import NodeBase  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros


class Listener(NodeBase):
    """Hears a topic reliably and says another one."""

    def __init__(self) -> None:
        super().__init__('listener')

    def start(self) -> None:
        self.create_subscription(String, 'heard', lambda _: None, QoSProfile(depth=1))
        self.create_publisher(String, 'said', QoSProfile(depth=1))


class Peer:
    """Hears what the listener's diagnostics say of its topics."""

    def __init__(self) -> None:
        self.node, self.news, self.said = rclpy.create_node('peer'), threading.Condition(), None
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 5)

    def _hear(self, message) -> None:
        with self.news:
            self.said = next(s for s in message.status if s.name == '/listener: topics')
            self.news.notify_all()

    def until(self, condition) -> DiagnosticStatus:
        with self.news:
            assert self.news.wait_for(lambda: self.said and condition(self.said), 20.0), self.said
            return self.said


@pytest.fixture
def graph(ros_domain):
    with ros():
        node, peer = Listener(), Peer()
        with spinning(node, peer.node):
            assert node.trigger_configure().name == 'SUCCESS'
            assert node.trigger_activate().name == 'SUCCESS'
            yield peer
        node.close()
        node.destroy_node()
        peer.node.destroy_node()


@pytest.mark.fault(35)
def test_who_cannot_be_heard_is_named_until_it_goes(graph, reaction):
    graph.until(lambda said: said.level == DiagnosticStatus.OK)
    quiet = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    reaction.begin()
    wrong = graph.node.create_publisher(String, 'heard', quiet)
    said = graph.until(lambda said: said.level == DiagnosticStatus.ERROR)
    reaction.seen()
    for word in ('/heard', '/peer', '/listener', 'reliab'):
        assert word in said.message.lower()
    graph.node.destroy_publisher(wrong)
    graph.until(lambda said: said.level == DiagnosticStatus.OK)


@pytest.mark.fault(35)
def test_who_asks_for_more_than_is_offered_is_named(graph):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    graph.node.create_subscription(String, 'said', lambda _: None, latched)
    said = graph.until(lambda said: said.level == DiagnosticStatus.ERROR)
    assert said.message.index('/listener') < said.message.index('/peer')
    assert 'transient local' in said.message
