# SPDX-License-Identifier: Apache-2.0
"""Goals by services, for clients without actions: they are goals like all others."""

import json
import re
import threading

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.ros.base.qos import LATCHED  # noqa: E402
from support import policy  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.planner_rig import PICTURE, planning  # noqa: E402
from support.ros_peers import TIMEOUT, call, spinning  # noqa: E402

pytestmark = pytest.mark.ros


class Panel:
    """What Foxglove does: publish a picture, press buttons, read the status."""

    def __init__(self):
        self.node = rclpy.create_node('panel')
        self.said, self._news = [], threading.Condition()
        self.node.create_subscription(String, 'planner/status', self._hear, LATCHED)
        self._picture = self.node.create_publisher(Image, 'planner/goal_image', 1)

    def show(self, planner):
        """Publish the goal until the planner has it."""
        message = ros_image.fill_image(Image(), PICTURE, 'rgb8')
        while planner.by_services._picture is None:
            self._picture.publish(message)
            threading.Event().wait(0.05)

    def press(self, button):
        return call(self.node, Trigger, f'planner/{button}', Trigger.Request())

    def reads(self, pattern):
        """The first status that matches, from now on or already there."""
        with self._news:
            found = lambda: next((s for s in self.said if re.match(pattern, s)), None)  # noqa: E731
            assert self._news.wait_for(found, TIMEOUT), self.said
            return found()

    def _hear(self, message):
        with self._news:
            self.said.append(message.data)
            self._news.notify_all()


@pytest.fixture
def desk(ros_domain):
    with planning() as (planner, toy, client):
        panel = Panel()
        with spinning(panel.node):
            yield planner, toy, client, panel
        panel.node.destroy_node()


def test_a_goal_is_reached_by_services_alone(desk):
    planner, toy, _, panel = desk
    early = panel.press('reach')
    assert not early.success and 'goal_image' in early.message and not toy.moves
    panel.show(planner)
    assert not toy.moves, 'a picture alone moves nothing'
    assert panel.press('reach').success
    assert re.match(r'SUCCEEDED after [1-9]', panel.reads('SUCCEEDED'))
    assert toy.moves and panel.reads(r'moving: picture 1, step 1, cost \d')
    late = Panel()
    with spinning(late.node):
        assert late.reads('SUCCEEDED'), 'who comes late hears the last line'
    late.node.destroy_node()


def test_a_cancel_answers_when_the_arm_stands_and_says_when_nothing_ran(desk):
    planner, toy, client, panel = desk
    assert panel.press('cancel').message == 'no goal was running'
    panel.show(planner)
    toy.outcome = ArmStatus.OUTCOME_EXECUTING  # the arm moves until it is stopped
    assert panel.press('reach').success
    panel.reads('moving')
    busy = panel.press('reach')
    assert not busy.success and 'another goal' in busy.message
    assert panel.press('cancel').success and toy.stops >= 1
    assert not planner.slot.taken and panel.reads('CANCELED')
    moves = toy.moves
    toy.outcome = ArmStatus.OUTCOME_DONE
    assert client.reach().error_code == FaultCode.SUCCEEDED and toy.moves > moves


def test_a_goal_of_the_action_is_told_and_cancelled_alike(desk):
    _, toy, client, panel = desk
    toy.outcome = ArmStatus.OUTCOME_EXECUTING
    handle = client.send()
    panel.reads('moving')
    assert panel.press('cancel').message == 'the goal has ended'
    result = client.result(handle).result
    assert result.error_code == FaultCode.CANCELED and '~/cancel' in result.error_msg


def test_the_foxglove_layout_shows_and_presses_what_the_nodes_say_and_serve():
    layout = json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById']

    def placed(part):
        if isinstance(part, str):
            return {part}
        return placed(part['first']) | placed(part['second'])

    assert placed(layout['layout']) == panels.keys()
    everybody = policy.enclaves().values()
    said = set().union(*(allowed.publish for allowed in everybody))
    served = set().union(*(allowed.reply for allowed in everybody))
    buttons = {p['serviceName'] for name, p in panels.items() if name.startswith('CallService!')}
    assert buttons <= served and {'/planner/reach', '/planner/cancel'} < buttons
    assert {'/franka_controller/stop', '/franka_controller/recover'} < buttons
    topics = set(re.findall(r'"(/[a-z_/]+)[".]', json.dumps(panels))) - buttons
    assert topics <= said | {'/planner/goal_image'}
    assert {'/image', '/planner/goal_image', '/planner/status', '/diagnostics'} < topics
