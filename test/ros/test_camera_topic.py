# SPDX-License-Identifier: Apache-2.0
"""Where the camera is heard follows image_transport: <image>/compressed, after remapping."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics  # noqa: E402
from jepa_wm_ros.ros import camera_topic  # noqa: E402
from jepa_wm_ros.ros.base.convert import message_class  # noqa: E402
from jepa_wm_ros.ros.base.parameters import Parameters  # noqa: E402
from jepa_wm_ros.ros.commander import JepaCommander  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from support.ros_peers import ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros
CAMERA = '/camera/color/image_raw'
TYPES = {'raw': Image, 'compressed': CompressedImage}


@pytest.mark.parametrize(
    ('words', 'topic', 'kind'),
    [
        (['cell'], '/left/image', 'raw'),
        (['cell', '-p', f'image:={CAMERA}'], CAMERA, 'raw'),
        (['cell', '-p', f'image:={CAMERA}', '-p', 'transport:=raw'], CAMERA, 'raw'),
        (
            ['cell', '-p', f'image:={CAMERA}', '-p', 'transport:=compressed'],
            f'{CAMERA}/compressed',
            'compressed',
        ),
        (['cell', '-p', 'transport:=compressed'], '/left/image/compressed', 'compressed'),
        (
            ['cell', '-p', 'transport:=compressed', '-r', f'image:={CAMERA}'],
            f'{CAMERA}/compressed',
            'compressed',
        ),
        (['cell', '-p', f'image:={CAMERA}/compressed'], f'{CAMERA}/compressed', 'compressed'),
        (['cell_compressed'], '/left/image/compressed', 'compressed'),
        (['cell_compressed', '-p', 'transport:=raw'], '/left/image', 'raw'),
        (['robotiq', '-p', 'transport:=raw'], CAMERA, 'raw'),
    ],
)
def test_the_camera_is_heard_where_image_transport_would(ros_domain, words, topic, kind):
    topics, *words = words
    rclpy.init(args=['--ros-args', '-r', '__ns:=/left', *words])
    try:
        node = Parameters('world_model')
        camera_topic.declare(node)
        heard = camera_topic.heard(node, live_topics(TopicSpec.load(topics)).image)
        assert message_class(heard.kind) is TYPES[kind]
        assert node.create_subscription(TYPES[kind], heard.name, print, 1).topic_name == topic
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


def test_the_world_model_listens_there(ros_domain, tmp_path):
    with ros(model=tiny_model(tmp_path), image=CAMERA, transport='compressed'):
        node = WorldModelNode()
        with spinning(node):
            assert node.trigger_configure().name == node.trigger_activate().name == 'SUCCESS'
            heard = {s.topic_name: s.msg_type for s in node.subscriptions}
            assert heard[f'{CAMERA}/compressed'] is CompressedImage
            assert Image not in heard.values()
            node.close()
        node.destroy_node()


def test_a_transport_that_is_not_known_is_one_line(ros_domain):
    rclpy.init(args=['--ros-args', '-p', 'transport:=theora'])
    try:
        with pytest.raises(JepaWmError, match="transport is 'theora': use raw or compressed"):
            WorldModelNode()
    finally:
        rclpy.try_shutdown()


def test_the_commander_takes_its_picture_from_there_as_well(ros_domain):
    scene = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    scene = scene.repeat(16, axis=0).repeat(16, axis=1)
    with JepaCommander(image=CAMERA, transport='compressed') as arm:
        driver = rclpy.create_node('driver', context=arm.node.context)
        camera = driver.create_publisher(CompressedImage, f'{CAMERA}/compressed', 5)

        def shoot():
            message = ros_image.fill_compressed(CompressedImage(), scene)
            message.header.stamp = driver.get_clock().now().to_msg()
            camera.publish(message)

        driver.create_timer(0.05, shoot)
        with spinning(driver):
            assert np.abs(arm.picture().astype(int) - scene).mean() < 30
        driver.destroy_node()
