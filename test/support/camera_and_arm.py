# SPDX-License-Identifier: Apache-2.0
"""A camera and an arm that say whatever a test wants, for the world-model node to hear."""

from __future__ import annotations

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, JointState

from jepa_wm_ros import ros_image

POSITION = (0.5, 0.1, 0.3)


class CameraAndArm:
    """Publishes one camera picture and the arm's state at 20 Hz, as a real cell would."""

    def __init__(self, picture: np.ndarray, states: QoSProfile | int = 1) -> None:
        self.node = rclpy.create_node('cell')
        self.picture = picture
        self.position = POSITION
        self.turned = 1.0  # x of a quaternion of nothing else: 0 is no rotation
        self.frame_id = 'fr3_link0'
        self.camera = 'toy_optical_frame'
        self.crop = (0, 0, 0, 0)  # x, y, width, height of the sensor; zero: all of it
        self.joints: tuple[float, ...] = ()  # of the arm
        self.shooting = True
        self._image = self.node.create_publisher(Image, 'image', 5)
        self._info = self.node.create_publisher(CameraInfo, 'camera_info', 5)
        self._pose = self.node.create_publisher(PoseStamped, 'ee_pose', states)
        self._joints = self.node.create_publisher(JointState, 'joint_states', states)
        self.node.create_timer(0.05, self.tick)

    def tick(self) -> None:
        """Say everything once, all of it measured now."""
        stamp = self.node.get_clock().now().to_msg()
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = stamp, self.frame_id
        pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = self.position
        pose.pose.orientation.x, pose.pose.orientation.w = self.turned, 0.0
        self._pose.publish(pose)
        names = [f'fr3_joint{number + 1}' for number in range(len(self.joints))]
        joints = JointState(
            name=[*names, 'fr3_finger_joint1', 'fr3_finger_joint2'],
            position=[*self.joints, 0.03, 0.03],
        )
        joints.header.stamp = stamp
        self._joints.publish(joints)
        if self.shooting:
            image = ros_image.fill_image(Image(), self.picture, 'rgb8')
            image.header.stamp, image.header.frame_id = stamp, self.camera
            info = CameraInfo(header=image.header, width=image.width, height=image.height)
            roi = info.roi
            roi.x_offset, roi.y_offset, roi.width, roi.height = self.crop
            self._info.publish(info)
            self._image.publish(image)
