# SPDX-License-Identifier: Apache-2.0
"""The live camera and arm as a source of goals: what is seen now, with its label."""

from __future__ import annotations

from functools import partial

import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, JointState

from jepa_wm_ros import ros_image
from jepa_wm_ros.goals.goal import Goal, GoalError, View
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.readings import arm_joints, frame_of
from jepa_wm_ros.recordings.streams import NS, STATE_GAP, Observation
from jepa_wm_ros.recordings.topics import ChosenTopics
from jepa_wm_ros.ros.base.convert import message_class
from jepa_wm_ros.ros.base.qos import STATES, quality_of

MAX_AGE = NS  # of a picture that counts as live


class GoalCamera:
    """Hears a camera and an arm; callbacks of `node` bring what any thread may ask for."""

    def __init__(self, node: Node, topics: ChosenTopics, base_frame: str) -> None:
        """base_frame: of hand poses that name none."""
        self.joints: np.ndarray | None = None  # of the arm (7,) [rad], the newest
        self.pose_frame = base_frame
        self._node, self._topics = node, topics
        self._heard = LiveObservations(topics, STATE_GAP, MAX_AGE)
        self._crop: tuple[int, ...] = ()
        for topic in topics.all:
            node.create_subscription(
                message_class(topic.kind),
                topic.name,
                partial(self._on_message, topic.name),
                quality_of(topic.name, topics),
            )
        if JointState not in {message_class(topic.kind) for topic in topics.all}:
            node.create_subscription(JointState, 'joint_states', self._on_joints, STATES)
        node.create_subscription(
            CameraInfo, info_topic(topics.image.name), self._on_info, qos_profile_sensor_data
        )

    def view(self) -> View:
        """What the camera shows now. Raises GoalError without a fresh picture."""
        return self._seen()[0]

    def capture(self, name: str) -> tuple[Goal, np.ndarray]:
        """The newest picture (H, W, 3) uint8 that has a hand pose, or else the newest, as a goal of
        this name. Raises GoalError without a fresh picture.
        """
        view, frame, picture = self._seen()
        goal = Goal(name, view, frame.stamp)
        if frame.state is not None:
            joints = () if self.joints is None else tuple(self.joints.tolist())
            pose7 = tuple(frame.state.pose7.tolist())
            goal = Goal(name, view, frame.stamp, self.pose_frame, pose7, joints)
        return goal, picture

    def _seen(self) -> tuple[View, Observation, np.ndarray]:
        now, heard = self._node.get_clock().now().nanoseconds, self._heard
        frame = heard.observation(0, now, MAX_AGE) or heard.newest_frame(0, now, MAX_AGE)
        if frame is None:
            topic = self._node.resolve_topic_name(self._topics.image.name)
            raise GoalError(
                f'no picture of the last {MAX_AGE / NS:g} s on {topic}: is the camera running, and '
                'its clock right?'
            )
        picture = ros_image.to_rgb8(frame.content)
        height, width = picture.shape[:2]
        return View(frame.content.header.frame_id, width, height, self._crop), frame, picture

    def _on_message(self, topic: str, message) -> None:
        if isinstance(message, JointState):
            self._on_joints(message)
        pose = self._topics.pose
        if topic == pose.name:
            self.pose_frame = frame_of(message, pose.kind) or self.pose_frame
        self._heard.hear(topic, message, self._node.get_clock().now().nanoseconds)

    def _on_joints(self, message: JointState) -> None:
        joints = arm_joints(message, self._topics.spec.arm_prefix)
        self.joints = self.joints if joints is None else joints

    def _on_info(self, info: CameraInfo) -> None:
        roi = info.roi
        whole = roi.width in (0, info.width) and roi.height in (0, info.height)
        self._crop = () if whole else (roi.x_offset, roi.y_offset, roi.width, roi.height)


def info_topic(image: str) -> str:
    """The camera_info topic that belongs to an image topic, raw or compressed: beside it."""
    camera = image.removesuffix('/compressed').rpartition('/')[0]
    return f'{camera}/camera_info' if camera or image.startswith('/') else 'camera_info'
