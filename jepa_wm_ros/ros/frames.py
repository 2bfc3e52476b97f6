# SPDX-License-Identifier: Apache-2.0
"""Frames for viewers: what is said on /tf and /tf_static, where tf2_msgs is installed.

It comes with every installed ROS 2 and is in no package registry: without it nothing is said, and
viewers whose fixed frame is the arm's base need nothing. Those topics are one for the whole graph,
so names carry the arm's prefix (fr3.Arm.prefix).
"""

from __future__ import annotations

from geometry_msgs.msg import Pose, TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.ros.base.convert import message_class
from jepa_wm_ros.ros.base.qos import LATCHED


class FrameSpeaker:
    """Says where one frame is in another: once and for all (`fixed`), or again and again."""

    def __init__(self, node: Node, *, fixed: bool) -> None:
        self._said = None
        try:
            self._kind = message_class('tf2_msgs/msg/TFMessage')
        except JepaWmError as error:
            node.get_logger().debug(f'no frames for viewers: {error}')
            return
        topic, qos = ('/tf_static', LATCHED) if fixed else ('/tf', QoSProfile(depth=100))
        self._said = node.create_publisher(self._kind, topic, qos)

    def say(self, *transforms: TransformStamped) -> None:
        """Publish transforms; on /tf_static all of them at once."""
        if self._said is not None:
            self._said.publish(self._kind(transforms=list(transforms)))


def transform(parent: str, child: str, pose: Pose, stamp) -> TransformStamped:
    """Where frame `child` is: `pose` in frame `parent`."""
    said = TransformStamped(child_frame_id=child)
    said.header.frame_id, said.header.stamp = parent, stamp
    place, turn = said.transform.translation, pose.orientation
    place.x, place.y, place.z = pose.position.x, pose.position.y, pose.position.z
    said.transform.rotation = turn
    return said
