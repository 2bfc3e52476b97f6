# SPDX-License-Identifier: Apache-2.0
"""The goal gallery, driven as RViz drives it: two viewers, 24 goals, a planner with a toy arm."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from geometry_msgs.msg import PointStamped  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.errors import FaultCode, JepaWmError  # noqa: E402
from jepa_wm_ros.goals.goal import Goal, View  # noqa: E402
from jepa_wm_ros.goals.library import GoalLibrary  # noqa: E402
from jepa_wm_ros.ros.nodes import goal_gallery  # noqa: E402
from jepa_wm_ros.ros.nodes.goal_gallery import GoalGallery  # noqa: E402
from jepa_wm_ros.ros.nodes.planner import PlannerNode  # noqa: E402
from support.camera_and_arm import CameraAndArm  # noqa: E402
from support.marker_client import Viewer  # noqa: E402
from support.planner_rig import Toy, ToyArm, ToyModel  # noqa: E402
from support.ros_peers import call, ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros
GOALS, BUTTONS = 24, {'_capture', '_plan', '_stop', '_recover'}
HOME = (0.1, -0.3, 0.2, -2.3, 0.0, 2.0, 0.785)


def picture(number: int) -> np.ndarray:
    """A picture of 64x48 that is like no other."""
    blocks = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def goal(number: int, camera: str = 'toy_optical_frame') -> Goal:
    pose7 = (0.4, 0.02 * number, 0.3, np.pi, 0.0, 0.0, 0.0)
    return Goal(f'g{number:02}', View(camera, 64, 48), 1 + number, 'fr3_link0', pose7)


class SeenModel(ToyModel):
    """Remembers the pictures it was asked to reach."""

    def prepare_goal(self, request, answer):
        self.toy.asked = [ros_image.to_rgb8(image) for image in request.images]
        return super().prepare_goal(request, answer)


class LatchedArm(ToyArm):
    """Moves no more after a stop, until it is let."""

    def __init__(self, toy):
        super().__init__(toy)
        toy.latched = False
        self.node.create_service(Trigger, '~/stop', self.stop)
        self.node.create_service(Trigger, '~/recover', self.recover)

    def stop(self, request, answer):
        self.toy.latched = True
        answer.message = 'recover lets it move again'
        return self.hold(request, answer)

    def recover(self, _request, answer):
        answer.success, self.toy.latched = self.toy.latched, False
        answer.message = '' if answer.success else 'nothing to recover from'
        return answer

    def command(self, command):
        if not self.toy.latched:
            return super().command(command)
        self.status.session, self.status.sequence = command.session, command.sequence
        self.status.outcome, self.status.error_code = ArmStatus.OUTCOME_REFUSED, FaultCode.STOPPED
        self.status.message = 'the arm is stopped'


@pytest.fixture(scope='module')
def cell(tmp_path_factory):
    """Everything: `viewers`, `library`, `camera`, the `toy` world and the `gallery` node."""
    patience = pytest.MonkeyPatch()
    patience.setattr(goal_gallery, 'LOOK_SECONDS', 0.2)
    library = GoalLibrary(tmp_path_factory.mktemp('goals') / 'library')
    for number in range(GOALS):
        library.add(goal(number), picture(number))
    with ros(library=library.folder, controller_timeout=5.0):
        toy, camera = Toy(), CameraAndArm(picture(99))
        toy.asked, camera.joints = [], HOME
        gallery, planner = GoalGallery(), PlannerNode()
        viewers = [Viewer('rviz'), Viewer('rviz_too')]
        toys = [SeenModel(toy).node, LatchedArm(toy).node, camera.node]
        nodes = [gallery, planner, *toys, *(viewer.node for viewer in viewers)]
        with spinning(*nodes):
            for node in (planner, gallery):
                assert node.trigger_configure().name == 'SUCCESS', node.failure
                assert node.trigger_activate().name == 'SUCCESS', node.failure
            for viewer in viewers:
                viewer.begin()
                viewer.until(lambda viewer=viewer: len(viewer.markers) == GOALS + len(BUTTONS))
            yield SimpleNamespace(
                viewers=viewers, library=library, camera=camera, toy=toy, gallery=gallery
            )
            for node in (gallery, planner):
                node.close()
        for node in nodes:
            node.destroy_node()
    patience.undo()


@pytest.fixture
def viewers(cell):
    """The two viewers, and afterwards everything as it was."""
    yield cell.viewers
    first, _ = cell.viewers
    cell.camera.camera, cell.camera.crop = 'toy_optical_frame', (0, 0, 0, 0)
    cell.toy.outcome, cell.toy.goal = ArmStatus.OUTCOME_DONE, Toy().goal
    cell.toy.hand = Toy().hand
    heard = len(first.said)
    first.click('_stop')
    first.hears('stopped: recover lets it move again', heard)
    first.until(lambda: not cell.gallery.reach.busy)
    first.until(lambda: cell.gallery.camera.view() == View('toy_optical_frame', 64, 48))
    cell.toy.latched = False
    assert all(viewer.missed == 0 for viewer in cell.viewers)


def previewed(viewer: Viewer, name: str) -> None:
    """Click on a goal and wait until the viewer sees it."""
    heard = len(viewer.said)
    viewer.click(name)
    viewer.hears(f'{name}: plan to it', heard)


def textures(viewer: Viewer, since: int) -> list[str]:
    """The markers that were sent whole, with their pictures, from update `since` on."""
    return [marker.name for update in viewer.updates[since:] for marker in update.markers]


def set_new_name(cell, name: str):
    request = SetParameters.Request(
        parameters=[Parameter('new_name', value=name).to_parameter_msg()]
    )
    answer = call(cell.viewers[0].node, SetParameters, 'goal_gallery/set_parameters', request)
    return answer.results[0]


def press(cell, service: str):
    return call(cell.viewers[0].node, Trigger, f'goal_gallery/{service}', Trigger.Request())


def test_every_viewer_sees_every_goal_and_the_buttons_whenever_it_comes(cell, viewers):
    late = Viewer('late')
    with spinning(late.node):
        late.begin()
        for viewer in (*viewers, late):
            assert viewer.markers.keys() == {f'g{n:02}' for n in range(GOALS)} | BUTTONS
        places = {
            (m.pose.position.x, m.pose.position.y, m.pose.position.z) for m in late.markers.values()
        }
        assert len(places) == GOALS + len(BUTTONS)
        late.until(lambda: late.scene is not None and late.said)
    late.node.destroy_node()


def test_a_click_shows_the_goal_to_everybody_and_moves_nothing(cell, viewers):
    first, second = viewers
    moves = cell.toy.moves
    previewed(first, 'g07')
    second.until(lambda: second.preview and (ros_image.to_rgb8(second.preview) == picture(7)).all())
    second.hears('g07: plan to it')
    second.until(lambda: [m for m in second.scene.markers if m.ns == 'outline'])
    assert cell.toy.moves == moves


def test_nothing_moves_to_a_goal_that_another_one_was_previewed_instead_of(cell, viewers):
    first, second = viewers
    moves = cell.toy.moves
    previewed(first, 'g01')
    previewed(second, 'g02')
    first.select('g01', 'plan to this')
    first.hears('preview g01 first')
    first.select('g03', 'append to sequence')
    second.hears('preview g03 first')
    assert cell.toy.moves == moves


def test_the_arm_goes_to_the_picture_that_was_previewed(cell, viewers):
    first, second = viewers
    moves, heard = cell.toy.moves, len(second.said)
    previewed(first, 'g05')
    first.select('g05', 'plan to this')
    first.hears('on the way to g05')
    second.hears('reached in', heard)
    (asked,) = cell.toy.asked
    np.testing.assert_array_equal(asked, picture(5))
    assert cell.toy.moves > moves
    assert (ros_image.to_rgb8(second.goal) == picture(5)).all()


def test_a_sequence_is_put_together_and_reached_in_its_order(cell, viewers):
    first, second = viewers
    for name in ('g08', 'g03', 'g08'):
        previewed(first, name)
        heard = len(second.said)
        first.select(name, 'append to sequence')
        second.hears('sequence', heard)
    assert second.said[-1] == 'sequence: g08, g03, g08'
    heard = len(first.said)
    second.click('_plan')
    first.hears('reached in', heard)
    assert [asked.tolist() for asked in cell.toy.asked] == [
        picture(number).tolist() for number in (8, 3, 8)
    ]
    second.click('_plan')  # the sequence is done with: this is the goal that is previewed
    first.until(lambda: len(cell.toy.asked) == 1)


def test_a_stop_ends_the_motion_and_forgets_the_sequence(cell, viewers):
    first, second = viewers
    cell.toy.outcome, stops = ArmStatus.OUTCOME_EXECUTING, cell.toy.stops
    previewed(first, 'g04')
    first.select('g04', 'append to sequence')
    first.hears('sequence: g04')
    moves = cell.toy.moves
    first.click('_plan')
    first.until(lambda: cell.toy.moves > moves)
    heard = len(second.said)
    second.select('g11', 'stop')
    first.hears('stopped', heard)
    first.until(lambda: not cell.gallery.reach.busy)
    assert cell.toy.stops > stops and cell.toy.latched
    cell.toy.outcome, there = ArmStatus.OUTCOME_DONE, cell.toy.hand
    for latched, end in ((True, 'the arm is stopped'), (False, 'reached in')):
        heard = len(first.said)
        if not latched:
            second.click('_recover')
            first.hears('recovered', heard)
        assert cell.toy.latched == latched
        first.click('_plan')  # no sequence any more: the goal that is previewed
        first.hears('on the way to g04', heard)
        first.hears(end, heard)
        assert (cell.toy.hand is there) == latched


def test_a_stop_wins_over_what_was_asked_for_before_it(cell, viewers):
    first, _ = viewers
    reach, moves = cell.gallery.reach, cell.toy.moves
    previewed(first, 'g04')
    asked_before, heard = reach.stops, len(first.said)
    first.click('_stop')
    first.hears('stopped', heard)
    with pytest.raises(JepaWmError, match='stopped before'):
        reach.begin([picture(4)], asked_before)
    assert not reach.busy and cell.toy.moves == moves


def test_a_capture_is_stored_with_its_label_and_sent_alone(cell, viewers):
    first, second = viewers
    assert set_new_name(cell, 'fresh').successful
    seen = len(second.updates)
    first.select('g00', 'capture the current view')
    first.hears('captured fresh')
    second.until(lambda: 'fresh' in second.markers)
    assert textures(second, seen) == ['fresh']
    stored = cell.library.find('fresh')
    np.testing.assert_array_equal(cell.library.picture('fresh'), picture(99))
    assert stored.view == View('toy_optical_frame', 64, 48)
    assert stored.frame == 'fr3_link0' and stored.joints == pytest.approx(HOME)
    assert stored.pose7 == pytest.approx((0.5, 0.1, 0.3, np.pi, 0, 0, 0.25))
    first.click('_capture')
    first.hears('captured fresh_2')
    for name in ('fresh', 'fresh_2'):
        first.select(name, 'delete', 'yes, delete it')
    second.until(lambda: len(second.markers) == GOALS + len(BUTTONS))
    assert set_new_name(cell, '').successful


def test_a_goal_is_renamed_and_deleted_without_sending_the_others_again(cell, viewers):
    first, second = viewers
    first.select('g00', 'rename to the parameter new_name')
    first.hears('set the parameter new_name first')
    assert not set_new_name(cell, '../out').successful
    assert set_new_name(cell, 'zz').successful
    seen, place = len(second.updates), second.markers['g00'].pose.position
    first.select('g00', 'rename to the parameter new_name')
    second.until(lambda: 'zz' in second.markers and 'g00' not in second.markers)
    assert textures(second, seen) == ['zz']
    assert second.markers['g01'].pose.position == place  # the rest moved up
    first.select('zz', 'delete', 'yes, delete it')
    second.until(lambda: 'zz' not in second.markers)
    assert textures(second, seen) == ['zz'] and not (cell.library.folder / 'zz.png').exists()
    first.select('g09', 'delete')  # only opens the sub-menu
    cell.library.add(goal(0), picture(0))  # as somebody does who copies files
    second.until(lambda: 'g00' in second.markers)
    assert 'g09' in second.markers and set_new_name(cell, '').successful


def test_a_clicked_point_previews_the_goal_with_the_nearest_hand(cell, viewers):
    first, second = viewers
    clicks = first.node.create_publisher(PointStamped, 'clicked_point', 1)
    first.until(clicks.get_subscription_count)
    point = PointStamped()
    point.point.x, point.point.y, point.point.z = 0.45, 0.245, 0.2
    for frame, said in (
        ('world', "no goal has a hand pose in frame 'world'"),
        ('fr3_link0', 'g12:'),
    ):
        point.header.frame_id = frame
        heard = len(second.said)
        clicks.publish(point)
        second.hears(said, heard)
    first.node.destroy_publisher(clicks)


@pytest.mark.parametrize(
    'field, value, said',
    [
        ('camera', 'other_frame', "taken by camera 'toy_optical_frame'"),
        ('crop', (4, 4, 32, 24), 'shows the whole sensor'),
    ],
)
def test_a_goal_of_another_camera_or_crop_is_refused_before_anything_moves(
    cell, viewers, field, value, said
):
    first, _ = viewers
    moves = cell.toy.moves
    setattr(cell.camera, field, value)
    first.until(lambda: getattr(cell.gallery.camera.view(), field) == value)
    first.click('g06')
    first.hears(said)
    heard = len(first.said)
    first.select('g06', 'plan to this')
    first.hears(said, heard)
    assert cell.toy.moves == moves


def test_viewers_without_such_markers_have_services(cell, viewers):
    first, _ = viewers
    assert press(cell, 'list').message.split(', ') == [f'g{n:02}' for n in range(GOALS)]
    previewed(first, 'g10')
    assert press(cell, 'append').message == 'sequence: g10'
    heard = len(first.said)
    assert press(cell, 'plan').success
    first.hears('reached in', heard)
    assert press(cell, 'capture').message == 'captured goal'
    first.until(lambda: 'goal' in first.markers)
    previewed(first, 'goal')
    assert press(cell, 'delete').message == 'deleted goal'
    refused = press(cell, 'delete')
    assert not refused.success and refused.message.startswith('preview a goal first')
    assert press(cell, 'stop').success and press(cell, 'recover').success
    refused = press(cell, 'recover')
    assert not refused.success and refused.message == 'nothing to recover from'


def test_a_damaged_file_is_named_and_the_other_goals_stay(cell, viewers):
    first, _ = viewers
    path = cell.library.folder / 'g13.png'
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    first.until(lambda: 'g13' not in first.markers)
    level, line, values = cell.gallery._state()
    assert 'g13.png' in line and '\n' not in line and values['goals'] == GOALS - 1
    path.write_bytes(whole)
    first.until(lambda: 'g13' in first.markers)
    assert json.loads((cell.library.folder / 'g13.json').read_text())['stamp'] == 14


def test_without_a_planner_that_is_said_and_nothing_is_sent(cell, viewers, monkeypatch):
    first, _ = viewers
    monkeypatch.setattr(
        cell.gallery.reach, '_reach', SimpleNamespace(server_is_ready=lambda: False)
    )
    previewed(first, 'g15')
    heard = len(first.said)
    first.select('g15', 'plan to this')
    first.hears('is the planner node running?', heard)
