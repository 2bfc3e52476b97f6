# SPDX-License-Identifier: Apache-2.0
"""The simulated cell over DDS: pictures, camera model and truth belong together."""

import threading

import numpy as np
import pytest

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky_sim')

import rclpy  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from jepa_wm_msgs.srv import ResetScene  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.ros.base.convert import to_ns  # noqa: E402
from jepa_wm_ros.ros.nodes import sim_cell  # noqa: E402
from jepa_wm_ros.ros.nodes.sim_cell import SimCell  # noqa: E402
from jepa_wm_ros.sim.design import NOMINAL  # noqa: E402
from jepa_wm_ros.sim.variation import cell_of_seed  # noqa: E402
from support.ros_peers import call, ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]


class Viewer:
    """Keeps everything the cell says, by topic and stamp."""

    def __init__(self):
        self.node = rclpy.create_node('viewer')
        self.news = threading.Condition()
        self.heard = {}
        for kind, topic, qos in (
            (Image, 'image', qos_profile_sensor_data),
            (CameraInfo, 'camera_info', qos_profile_sensor_data),
            (PoseStamped, 'sim_cell/hand_pose', 10),
            (PoseStamped, 'sim_cell/cube_pose', 10),
        ):
            self.heard[topic] = {}
            self.node.create_subscription(kind, topic, self.keeper(topic), qos)

    def keeper(self, topic):
        def keep(message):
            with self.news:
                self.heard[topic][to_ns(message.header.stamp)] = message
                self.news.notify_all()

        return keep

    def after(self, stamp):
        """The first set of messages of one stamp later than `stamp` [ns], by topic."""

        def found():
            common = set.intersection(*(set(said) for said in self.heard.values()))
            return min((s for s in common if s > stamp), default=None)

        with self.news:
            assert self.news.wait_for(found, 20), 'the cell is silent'
            return {topic: said[found()] for topic, said in self.heard.items()}


@pytest.fixture
def graph(new_arm_address, ros_domain):
    with ros(arm_address=new_arm_address(), arm_prefix='left_', width=320, height=240):
        cell, viewer = SimCell(), Viewer()
        with spinning(cell, viewer.node):
            assert cell.trigger_configure().name == 'SUCCESS'
            assert cell.trigger_activate().name == 'SUCCESS'
            yield cell, viewer
            cell.close()
        cell.destroy_node()


def test_one_stamp_joins_picture_camera_model_and_truth_and_reset_scene_shows_in_all(graph):
    cell, viewer = graph
    before = cell.now_ns()
    heard = viewer.after(before)
    image, info = heard['image'], heard['camera_info']
    assert to_ns(image.header.stamp) <= cell.now_ns()
    assert image.header.frame_id == info.header.frame_id == 'left_exterior_optical_frame'
    assert (image.encoding, image.width, image.height) == ('rgb8', 320, 240)
    np.testing.assert_allclose(np.reshape(info.k, (3, 3)), NOMINAL.camera_matrix(320, 240))
    hand = heard['sim_cell/hand_pose']
    assert hand.header.frame_id == 'left_fr3_link0'
    np.testing.assert_allclose([hand.pose.position.x, hand.pose.position.y], [0.457, 0], atol=2e-3)
    assert cell.now_ns() - to_ns(viewer.after(cell.now_ns())['image'].header.stamp) < 2e9

    assert call(viewer.node, ResetScene, 'sim_cell/reset_scene', ResetScene.Request(seed=9)).success
    changed = viewer.after(cell.now_ns())
    position = changed['sim_cell/cube_pose'].pose.position
    np.testing.assert_allclose([position.x, position.y], cell_of_seed(9).cube[:2], atol=1e-3)
    pictures = [ros_image.to_rgb8(said['image']).astype(int) for said in (heard, changed)]
    assert np.abs(pictures[0] - pictures[1]).mean() > 1.0


def test_nothing_is_said_after_deactivation_and_the_address_is_free_after_cleanup(graph):
    cell, viewer = graph
    viewer.after(0)
    assert cell.trigger_deactivate().name == 'SUCCESS'
    last = cell.now_ns()
    threading.Event().wait(0.5)
    assert max(viewer.heard['image']) <= last
    assert cell.trigger_cleanup().name == 'SUCCESS'
    assert cell.trigger_configure().name == 'SUCCESS'
    assert cell.trigger_activate().name == 'SUCCESS'
    viewer.after(last)


def test_beside_a_real_camera_it_draws_nothing_and_still_tells_the_truth(
    ros_domain, new_arm_address, monkeypatch
):
    monkeypatch.setattr(sim_cell, 'CellRenderer', lambda *_: pytest.fail('a camera was opened'))
    with ros(arm_address=new_arm_address(), pictures=False):
        cell, viewer = SimCell(), Viewer()
        with spinning(cell, viewer.node):
            assert cell.trigger_configure().name == 'SUCCESS', cell.failure
            assert cell.trigger_activate().name == 'SUCCESS', cell.failure
            asked = ResetScene.Request(seed=9)
            assert call(viewer.node, ResetScene, 'sim_cell/reset_scene', asked).success
            with viewer.news:
                assert viewer.news.wait_for(lambda: viewer.heard['sim_cell/hand_pose'], 20)
            assert viewer.node.count_publishers('image') == 0 and not viewer.heard['image']
            cell.close()
        cell.destroy_node()


def test_a_wrong_address_or_camera_fails_to_configure_in_one_line(ros_domain, new_arm_address):
    for parameters, complaint in (
        ({'arm_address': '10.0.0.5'}, 'not a loopback address'),
        ({'arm_address': new_arm_address(), 'camera': 'wrist'}, "no camera 'wrist'"),
    ):
        with ros(**parameters):
            cell = SimCell()
            assert cell.trigger_configure().name == 'FAILURE'
            assert complaint in cell.failure and '\n' not in cell.failure
            assert cell.server is None
            cell.destroy_node()
