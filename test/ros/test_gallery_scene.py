# SPDX-License-Identifier: Apache-2.0
"""The messages that viewers draw: what was seen to work in RViz 2, and what ends it or is black."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')
yaml = pytest.importorskip('yaml')

from geometry_msgs.msg import Point  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from visualization_msgs.msg import InteractiveMarkerControl, Marker  # noqa: E402

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.goals.thumbnail import thumbnail  # noqa: E402
from jepa_wm_ros.ros import frames  # noqa: E402
from jepa_wm_ros.ros import gallery_scene as look  # noqa: E402
from jepa_wm_ros.ros.base.convert import pose_message  # noqa: E402
from jepa_wm_ros.ros.base.qos import LATCHED  # noqa: E402
from jepa_wm_ros.ros.plan_markers import plan_markers  # noqa: E402
from support import policy  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = pytest.mark.ros


def arrays(points: list[Point]) -> np.ndarray:
    return np.array([(p.x, p.y, p.z) for p in points])


@pytest.fixture
def marker():
    jpeg = thumbnail(np.full((48, 64, 3), 200, np.uint8), 'cup')
    return look.clickable('cup', jpeg, look.PICTURE, look.place_of_goal(0), 'fr3_link0', menu=True)


def test_a_picture_is_a_button_at_stamp_0_in_the_base_with_a_texture_that_rviz_survives(marker):
    assert marker.header.frame_id == 'fr3_link0' and marker.header.stamp.sec == 0
    (control,) = marker.controls
    assert control.interaction_mode == InteractiveMarkerControl.BUTTON and control.always_visible
    assert control.orientation.w == 1.0 and marker.description == ''
    front, back = control.markers
    assert front.texture_resource.startswith('embedded://') and front.texture.format == 'jpeg'
    with Image.open(io.BytesIO(bytes(front.texture.data)), formats=('JPEG',)) as decoded:
        assert decoded.width / decoded.height == pytest.approx(look.PICTURE[0] / look.PICTURE[1])
    for each in (front, back):
        assert each.header == Header() and each.type == Marker.TRIANGLE_LIST
        assert (each.scale.x, each.scale.y, each.scale.z, each.color.a) == (1, 1, 1, 1)
        assert len(each.points) == 6
    assert (front.id, front.ns) != (back.id, back.ns) and not back.texture_resource


def test_the_picture_faces_the_viewer_upright_and_its_back_looks_away(marker):
    front, back = marker.controls[0].markers
    for each, way in ((front, 1.0), (back, -1.0)):
        for a, b, c in arrays(each.points).reshape(2, 3, 3):
            normal = np.cross(b - a, c - a)
            np.testing.assert_allclose(normal / np.linalg.norm(normal), (way, 0, 0), atol=1e-9)
    uv = np.array([(each.u, each.v) for each in front.uv_coordinates])
    # seen from +x right is +y; u grows to the right and v downwards
    width, height = look.PICTURE
    np.testing.assert_allclose(arrays(front.points)[:, 1], (uv[:, 0] - 0.5) * width)
    np.testing.assert_allclose(arrays(front.points)[:, 2], (0.5 - uv[:, 1]) * height)
    assert {tuple(each) for each in uv} == {(0, 0), (0, 1), (1, 1), (1, 0)}
    assert arrays(back.points)[:, 0].max() < arrays(front.points)[:, 0].min()


def test_the_menu_has_every_action_and_asks_twice_before_it_deletes(marker):
    titles = {entry.id: entry for entry in marker.menu_entries}
    actions = [look.ACTIONS[number] for number in titles]
    assert {'preview', 'plan', 'append', 'capture', 'rename', 'delete', 'stop'} < {*actions}
    (delete,) = (number for number in titles if look.ACTIONS[number] == 'delete')
    assert look.ACTIONS[titles[delete].parent_id] == ''


def test_no_two_pictures_overlap_and_all_stay_clear_of_the_workspace():
    places = [look.place_of_goal(index) for index in range(24)]
    places = [(p.position.x, p.position.y, p.position.z) for p in places]
    width, height = look.PICTURE
    for index, (_, y, z) in enumerate(places):
        for _, other_y, other_z in places[:index]:
            assert abs(y - other_y) > width or abs(z - other_z) > height
    assert max(x for x, _, _ in places) < FR3.workspace_low[0] and min(z for *_, z in places) > 0
    below = look.place_of_button(0, 3).position
    assert below.z + look.BUTTON[1] / 2 < min(z for *_, z in places) - height / 2


def test_outlines_are_around_their_goals_and_the_text_is_above_all():
    outlines = [look.Outline('b', look.GREEN, 0.0), look.Outline('gone', look.BLUE, 0.0)]
    clear, ring, text = look.scene('base', {'a': 0, 'b': 7}, outlines, 'hello').markers
    assert clear.action == Marker.DELETEALL and text.text == 'hello' and text.color.a == 1.0
    middle = look.place_of_goal(7).position
    points = arrays(ring.points)
    np.testing.assert_allclose(points[:-1].mean(axis=0)[1:], (middle.y, middle.z))
    assert (points[0] == points[-1]).all() and points[0, 0] > middle.x
    assert text.pose.position.z > middle.z + look.PICTURE[1] / 2
    assert {each.header.frame_id for each in (ring, text)} == {'base'}


def test_the_arm_is_a_line_from_its_base_to_its_hand():
    q = np.array([0.3, -0.5, 0.2, -2.0, 0.1, 1.8, 0.4])
    line = look.arm_line('base', FR3, q)
    points = arrays(line.points)
    np.testing.assert_allclose(points[0], 0.0)
    np.testing.assert_allclose(points[-1], FR3.hand_pose(q)[:3, 3])
    assert len(points) == 9 and np.linalg.norm(np.diff(points, axis=0), axis=1).max() < 0.4


def test_planned_waypoints_are_green_where_cheap_and_red_where_dear():
    path = np.linspace((0.4, 0.0, 0.2), (0.5, 0.1, 0.3), 4)
    line, balls = plan_markers(path, 2.0, 0.0, 2.0, Header(frame_id='base')).markers
    for each in (line, balls):
        np.testing.assert_allclose(arrays(each.points), path)
        assert len(each.colors) == 4 and each.header.frame_id == 'base'
        red, green = (np.array([getattr(c, k) for c in each.colors]) for k in 'rg')
        assert (np.diff(red) <= 0).all() and (np.diff(green) >= 0).all()
        assert (red[0], green[0], red[-1], green[-1]) == (1.0, 0.0, 0.0, 1.0)
    assert line.id != balls.id
    for cost, worst in ((np.nan, 2.0), (1.0, 0.0), (1.0, np.inf)):
        markers = plan_markers(path, cost, cost, worst, Header()).markers
        assert {(c.r, c.g, c.b) for c in markers[0].colors} == {(0.5, 0.5, 0.5)}


class Ear:
    """A node that has tf2_msgs, and hears what is said."""

    def __init__(self, monkeypatch) -> None:
        self.said, self.topic = [], None
        monkeypatch.setattr(frames, 'message_class', lambda _: SimpleNamespace)

    def create_publisher(self, _kind, topic, qos):
        self.topic, self.qos = topic, qos
        return SimpleNamespace(publish=self.said.append)


def test_frames_are_said_where_tf2_is_installed(monkeypatch):
    ear = Ear(monkeypatch)
    pose = pose_message((1.0, 2.0, 3.0), (0.0, 0.6, 0.0, 0.8))
    stamp = Header().stamp
    frames.FrameSpeaker(ear, fixed=True).say(frames.transform('base', 'camera', pose, stamp))
    ((said,),) = (message.transforms for message in ear.said)
    assert ear.topic == '/tf_static' and ear.qos == LATCHED
    assert (said.header.frame_id, said.child_frame_id) == ('base', 'camera')
    place = said.transform.translation
    assert (place.x, place.y, place.z) == (1.0, 2.0, 3.0)
    assert said.transform.rotation == pose.orientation
    frames.FrameSpeaker(ear, fixed=False)
    assert ear.topic == '/tf'


def test_rviz_shows_what_the_nodes_say_and_says_what_they_hear():
    config = yaml.safe_load((ROOT / 'config' / 'plan.rviz').read_text())['Visualization Manager']
    shown = {each['Name']: each for each in config['Displays']}
    operator = policy.enclaves()[policy.OPERATOR]
    topics = {f'/{each["Topic"]["Value"]}' for each in shown.values() if 'Topic' in each}
    assert topics <= operator.subscribe
    (goals,) = (each for each in shown.values() if 'Interactive Markers Namespace' in each)
    namespace = f'/{goals["Interactive Markers Namespace"]}'
    assert f'{namespace}/update' in operator.subscribe
    assert f'{namespace}/feedback' in operator.publish
    assert f'{namespace}/get_interactive_markers' in operator.request
    (point,) = (tool for tool in config['Tools'] if tool['Class'].endswith('PublishPoint'))
    assert f'/{point["Topic"]["Value"]}' in operator.publish
    assert config['Global Options']['Fixed Frame'] == FR3.base_frame
    assert {'Robot model', 'Goals', 'Camera', 'Goal', 'Preview', 'Plan', 'Imagined'} <= shown.keys()
