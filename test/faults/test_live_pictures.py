# SPDX-License-Identifier: Apache-2.0
"""Bad pictures, told to the real world-model node over DDS: none of them becomes a context that an
arm is moved from. What is seen and what the arm measures come from a test's own publisher.
"""

import contextlib

import numpy as np
import PIL.Image
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from jepa_wm_msgs.srv import FreezeContext, PrepareGoal  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.errors import FaultCode, JepaWmError  # noqa: E402
from jepa_wm_ros.ros.base.diagnostics import Diagnostics  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from jepa_wm_ros.sim.direct import DirectCell  # noqa: E402
from jepa_wm_ros.sim.variation import sample_reach_task  # noqa: E402
from support.camera_and_arm import CameraAndArm  # noqa: E402
from support.ros_peers import call, ros, spinning, unconfigured  # noqa: E402

pytestmark = pytest.mark.ros
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope='module')
def views():
    """Start, after one step, and goal of a task: (picture, hand position [m]) each."""
    task = sample_reach_task(4242)
    step = task.start.copy()
    step[:3] += 0.05 * (task.goal - task.start)[:3] / np.linalg.norm((task.goal - task.start)[:3])
    with DirectCell() as cell:
        cell.reset(task.start, task.cell)
        return [(cell.goal_frame(pose), tuple(pose[:3])) for pose in (task.start, step, task.goal)]


@contextlib.contextmanager
def graph_of(picture, **parameters):
    """The node with the shipped model, a cell that shows `picture`, and a client."""
    # Generous ages: a loaded machine must not look like a dead camera.
    with ros(threads=1, max_image_age=3.0, max_state_gap=3.0, **parameters):
        node, cell = WorldModelNode(), CameraAndArm(picture)
        client = rclpy.create_node('client')
        with spinning(node, cell.node, client):
            assert node.trigger_configure().name == 'SUCCESS'
            assert node.trigger_activate().name == 'SUCCESS'
            yield node, cell, client
        node.close()
        for each in (node, cell.node, client):
            each.destroy_node()


@pytest.fixture
def graph(ros_domain, views):
    with graph_of(views[0][0]) as (_, cell, client):
        yield cell, client


def prepare(client, *pictures):
    images = [ros_image.fill_image(Image(), p, 'rgb8') for p in pictures]
    return call(client, PrepareGoal, 'world_model/prepare_goal', PrepareGoal.Request(images=images))


def freeze(client, goal_id):
    """Freeze a frame that was taken after this call."""
    request = FreezeContext.Request(goal_id=goal_id, not_before=client.get_clock().now().to_msg())
    return call(client, FreezeContext, 'world_model/freeze_context', request)


def noise(picture):
    return RANDOM.integers(0, 256, picture.shape, np.uint8)


BAD = {  # of a live picture or a goal: what is seen, and the fault it must be
    'black': (lambda p: p // 32, FaultCode.BAD_IMAGE),
    'saturated': (lambda p: np.full_like(p, 255), FaultCode.BAD_IMAGE),
    'one colour': (lambda p: np.full_like(p, 1) * np.uint8([90, 120, 60]), FaultCode.BAD_IMAGE),
    'noise': (noise, FaultCode.UNFAMILIAR_VIEW),
    'upside down': (lambda p: p[::-1].copy(), FaultCode.UNFAMILIAR_VIEW),
}
BAD_GOALS = BAD | {'another aspect': (lambda p: p[:, :480].copy(), FaultCode.WRONG_ASPECT)}
BAD_LIVE = BAD_GOALS | {'another size': (lambda p: p[::2, ::2].copy(), FaultCode.WRONG_ASPECT)}


@pytest.mark.fault(2)
@pytest.mark.fault(13)
@pytest.mark.fault(15)
def test_a_live_picture_that_goes_bad_on_the_way_is_no_context(graph, views):
    cell, client = graph
    (start, _), (after, there), (goal, _) = views
    goal_id = prepare(client, goal).goal_ids[0]
    assert freeze(client, goal_id).error_code == 0
    cell.position = there
    for what, (spoil, code) in BAD_LIVE.items():
        cell.picture = spoil(after)
        answer = freeze(client, goal_id)
        assert (answer.error_code, answer.context_id) == (code, 0), f'{what}: {answer.error_msg}'
        assert answer.error_msg and '\n' not in answer.error_msg
    cell.picture = start  # frozen: the stamps advance, the measured hand has moved
    assert freeze(client, goal_id).error_code == FaultCode.STALE_IMAGE
    cell.picture = after
    assert freeze(client, goal_id).error_code == 0, 'a good picture is a context again'


@pytest.mark.fault(2)
def test_a_camera_that_freezes_in_the_middle_of_a_motion_is_noticed_at_its_end(graph, views):
    cell, client = graph
    _, (after, there), (goal, _) = views
    here, other = (prepare(client, goal).goal_ids[0] for _ in range(2))
    assert freeze(client, here).error_code == 0
    cell.picture = after
    assert freeze(client, other).error_code == 0  # seen by nobody who goes to the first goal
    cell.position = there
    answer = freeze(client, here)
    assert answer.error_code == FaultCode.STALE_IMAGE, answer.error_msg


@pytest.mark.fault(13)
@pytest.mark.fault(15)
def test_goal_pictures_have_the_same_judge(graph, views):
    _, client = graph
    goal = views[2][0]
    freeze(client, prepare(client, goal).goal_ids[0])  # a frame has arrived
    for what, (spoil, code) in BAD_GOALS.items():
        answer = prepare(client, goal, spoil(goal))
        assert (answer.error_code, list(answer.goal_ids)) == (code, []), what
        assert '1' in answer.error_msg and '\n' not in answer.error_msg


@pytest.mark.fault(27)
def test_goals_are_refused_until_the_camera_shows_its_reference_view(ros_domain, views, tmp_path):
    reference = tmp_path / 'reference.png'
    PIL.Image.fromarray(views[0][0]).save(reference)
    turned = np.roll(views[0][0], 40, axis=1)  # 40 px are about 4 degrees
    told = {'camera_reference': reference, 'require_camera_check': True}
    with graph_of(turned, **told) as (node, cell, client):
        answer = prepare(client, views[2][0])
        while 'no fresh picture' in answer.error_msg:  # none has arrived yet
            answer = prepare(client, views[2][0])
        assert (answer.error_code, list(answer.goal_ids)) == (FaultCode.UNFAMILIAR_VIEW, [])
        assert 'moved' in answer.error_msg and '\n' not in answer.error_msg
        level, said, _ = node.diagnostics.parts['view']()
        assert level == Diagnostics.WARN and 'moved' in said

        cell.picture = views[1][0]  # the camera is back; the arm is elsewhere
        answer = prepare(client, views[2][0])
        while answer.error_code:  # what was on its way shows the old view
            assert answer.error_code == FaultCode.UNFAMILIAR_VIEW
            answer = prepare(client, views[2][0])
        assert freeze(client, answer.goal_ids[0]).error_code == 0
        assert node.diagnostics.parts['view']()[0] == Diagnostics.OK


@pytest.mark.fault(27)
def test_without_being_required_the_check_only_warns(ros_domain, views, tmp_path):
    reference = tmp_path / 'reference.png'
    PIL.Image.fromarray(np.roll(views[0][0], 40, axis=1)).save(reference)
    with graph_of(views[0][0], camera_reference=reference) as (node, _, client):
        assert freeze(client, prepare(client, views[2][0]).goal_ids[0]).error_code == 0
        level, said, values = node.diagnostics.parts['view']()
        assert level == Diagnostics.WARN and float(values['difference']) > values['limit']


@pytest.mark.fault(27)
def test_a_check_without_a_usable_reference_fails_in_one_line(ros_domain, tmp_path):
    assert 'none.png' in unconfigured(WorldModelNode, camera_reference=tmp_path / 'none.png')
    with ros(require_camera_check=True), pytest.raises(JepaWmError, match='camera_reference'):
        WorldModelNode()
