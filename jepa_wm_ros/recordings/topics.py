# SPDX-License-Identifier: Apache-2.0
"""Which topics carry the pictures, the hand pose and the gripper, and how to read their messages.

One description serves a bag and the live node. Messages are read by their fields only, so those of
rclpy and of rosbags go through the same functions and nothing here imports ROS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.resources import find
from jepa_wm_ros.tables import check_kinds, read_table

NO_GRIPPER = 'none'


class TopicError(JepaWmError):
    """A topic description that cannot be used."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: name, message type, and how many messages a bag says it holds."""

    name: str
    kind: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """Names and types of topics, as in config/topics.

    An empty name or type means: of a bag, the only topic that fits; live, this project's own. A
    gripper `none` is an arm without one: its closure is 0.
    A gripper value v (the mean of `gripper_joints` for joint states) becomes the closure
    (v - gripper_open) / (gripper_closed - gripper_open), clipped to [0, 1]. Without those two,
    finger joints are taken as the Franka hand's (0.04 m open, 0 closed) and plain numbers as
    closures (0 open, 1 closed). arm_prefix: where one topic holds the joints of several arms, what
    the names of this one's begin with. stamps: 'header', or 'record' (when a message was recorded
    or heard) where clocks differ.
    """

    image: str = ''
    pose: str = ''
    gripper: str = ''
    image_type: str = ''
    pose_type: str = ''
    gripper_type: str = ''
    gripper_joints: tuple[str, ...] = ()
    gripper_open: float | None = None
    gripper_closed: float | None = None
    arm_prefix: str = ''
    stamps: str = 'header'

    def __post_init__(self) -> None:
        check_kinds(self, TopicError)
        if self.stamps not in ('header', 'record'):
            raise TopicError(f"stamps must be 'header' or 'record', not {self.stamps!r}")
        if (self.gripper_open is None) != (self.gripper_closed is None):
            raise TopicError('give both gripper_open and gripper_closed, or neither')
        if self.gripper_open is not None and self.gripper_open == self.gripper_closed:
            raise TopicError('gripper_open and gripper_closed must differ')
        for role, kinds in KINDS.items():
            if (kind := self.kind(role)) and kind not in kinds:
                raise TopicError(f'{role}_type must be one of {", ".join(kinds)}, not {kind!r}')

    def name(self, role: str) -> str:
        """The topic's name of a role: 'image', 'pose' or 'gripper'."""
        return getattr(self, role)

    def kind(self, role: str) -> str:
        """The message type of a role."""
        return getattr(self, f'{role}_type')

    @staticmethod
    def load(name_or_path: str | Path) -> TopicSpec:
        """The description in a YAML file, or the shipped one of that name (config/topics)."""
        path = Path(name_or_path)
        if path.suffix not in ('.yaml', '.yml'):
            folder = find('config', 'topics')
            path = folder / f'{name_or_path}.yaml'
            if not path.is_file():
                shipped = ', '.join(sorted(p.stem for p in folder.glob('*.yaml')))
                raise TopicError(
                    f'no topics {str(name_or_path)!r}: give a .yaml file or one of {shipped}'
                )
        known = [field.name for field in fields(TopicSpec)]
        content = read_table(path, known, TopicError)
        if unknown := content.keys() - set(known):
            raise TopicError(
                f'{path}: unknown keys {sorted(map(str, unknown))}; a topic file holds some of '
                f'{sorted(known)}'
            )
        if isinstance(joints := content.get('gripper_joints'), list):
            content['gripper_joints'] = tuple(joints)
        try:
            return TopicSpec(**content)
        except TopicError as error:
            raise TopicError(f'{path}: {error}') from error


_STATUS = 'jepa_wm_msgs/msg/ArmStatus'
_JOINTS = 'sensor_msgs/msg/JointState'
_POSE = 'geometry_msgs/msg/PoseStamped'
_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


def _from_pose(pose) -> tuple[np.ndarray, np.ndarray]:
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _from_transform(transform) -> tuple[np.ndarray, np.ndarray]:
    p, q = transform.translation, transform.rotation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _positions(message, prefix: str) -> dict[str, float]:
    named = zip(message.name, message.position, strict=False)
    return {name: position for name, position in named if name.startswith(prefix)}


def arm_joints(message, prefix: str = '') -> np.ndarray | None:
    """The joint angles (7,) [rad] of the arm with this prefix in a JointState; None where that
    holds no whole arm, or several.
    """
    named = {n: v for n, v in _positions(message, prefix).items() if 'finger' not in n}
    joints = [
        [v for n, v in named.items() if n.endswith(f'joint{i + 1}')] for i in range(len(FR3.joints))
    ]
    if any(len(values) != 1 or not np.isfinite(values[0]) for values in joints):
        return None
    return np.array(joints)[:, 0]


def _from_joints(message, prefix: str) -> tuple[np.ndarray, np.ndarray] | None:
    joints = arm_joints(message, prefix)
    if joints is None:
        return None
    pose = FR3.hand_pose(joints)
    return pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat()


_POSE_READERS: dict[str, Callable] = {
    _POSE: lambda m, _: _from_pose(m.pose),
    _STATUS: lambda m, _: _from_pose(m.pose),
    'geometry_msgs/msg/PoseWithCovarianceStamped': lambda m, _: _from_pose(m.pose.pose),
    'geometry_msgs/msg/TransformStamped': lambda m, _: _from_transform(m.transform),
    'franka_msgs/msg/FrankaRobotState': lambda m, _: _from_pose(m.o_t_ee.pose),
    _JOINTS: _from_joints,
}
# Types of each role; an earlier one says more exactly what is meant than a later one.
KINDS = {
    'image': (_IMAGE, _COMPRESSED),
    'pose': tuple(_POSE_READERS),
    'gripper': (_STATUS, 'std_msgs/msg/Float64', 'std_msgs/msg/Float32', _JOINTS),
}
_IN_BASE_FRAME = (_JOINTS, 'franka_msgs/msg/FrankaRobotState')  # whatever frame their header names


def usable_pose(
    position: np.ndarray, quaternion: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The pose with its quaternion at unit length; None where it is not finite or has none."""
    length = np.linalg.norm(quaternion)
    if not (np.isfinite(position).all() and np.isfinite(length) and length > 0.5):
        return None
    return position, quaternion / length


def pose_of(message, kind: str, spec: TopicSpec) -> tuple[np.ndarray, np.ndarray] | None:
    """Position (3,) [m] and unit quaternion (x, y, z, w) of the hand in the arm's base frame.

    None where a message of `kind` is not finite, has no orientation, or holds the joints of
    no arm or of several.
    """
    pose = _POSE_READERS[kind](message, spec.arm_prefix)
    if pose is None:
        return None
    return usable_pose(*pose)


def frame_of(message, kind: str) -> str | None:
    """The frame a pose message is given in; None where that is the arm's base by definition."""
    return None if kind in _IN_BASE_FRAME else message.header.frame_id


def closure_of(message, kind: str, spec: TopicSpec) -> float | None:
    """Gripper closure, 0 (open) to 1 (closed), in a message of `kind`.

    None where it holds none of the gripper's joints, or no finite number.
    """
    closed, opened = spec.gripper_closed, spec.gripper_open
    if kind == _STATUS:
        value = message.gripper
    elif kind == _JOINTS:
        values = [
            position
            for name, position in _positions(message, spec.arm_prefix).items()
            if (name in spec.gripper_joints if spec.gripper_joints else 'finger' in name)
        ]
        if not values:
            return None
        value = float(np.mean(values))
        if opened is None:
            opened, closed = FR3.finger_open, 0.0
    else:
        value = message.data
    if opened is None or closed is None:
        opened, closed = 0.0, 1.0
    if not np.isfinite(value):
        return None
    return float(np.clip((value - opened) / (closed - opened), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class ChosenTopics:
    """The topics to read; gripper is None when there is none."""

    image: Topic
    pose: Topic
    gripper: Topic | None
    spec: TopicSpec

    @property
    def all(self) -> tuple[Topic, ...]:
        """Each topic once: one may serve as pose and gripper."""
        topics = [self.image, self.pose, *([self.gripper] if self.gripper else [])]
        return tuple({topic.name: topic for topic in topics}.values())


def live_topics(spec: TopicSpec) -> ChosenTopics:
    """The topics a live node listens to; what `spec` leaves open is this project's own."""
    image = spec.image or 'image'
    usual = _COMPRESSED if image.endswith('compressed') else _IMAGE
    gripper = None
    if spec.gripper != NO_GRIPPER:
        gripper = Topic(spec.gripper or 'joint_states', spec.gripper_type or _JOINTS)
    return ChosenTopics(
        Topic(image, spec.image_type or usual),
        Topic(spec.pose or 'ee_pose', spec.pose_type or _POSE),
        gripper,
        spec,
    )
