# SPDX-License-Identifier: Apache-2.0
"""Which topics carry the pictures, the hand pose and the gripper.

One description serves a bag and the live node; how their messages are read is in readings.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.resources import find
from jepa_wm_ros.tables import check_kinds, read_table

NO_GRIPPER = 'none'

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
STATUS = 'jepa_wm_msgs/msg/ArmStatus'
JOINTS = 'sensor_msgs/msg/JointState'
POSE = 'geometry_msgs/msg/PoseStamped'
COVARIANCE = 'geometry_msgs/msg/PoseWithCovarianceStamped'
TRANSFORM, FRAMES = 'geometry_msgs/msg/TransformStamped', 'tf2_msgs/msg/TFMessage'
ROBOT_STATE = 'franka_msgs/msg/FrankaRobotState'
BASE, HAND = '_link0', '_hand_tcp'  # end the names of an arm's frames
# Types of each role; an earlier one says more exactly what is meant than a later one.
KINDS = {
    'image': (IMAGE, COMPRESSED),
    'pose': (ROBOT_STATE, POSE, STATUS, COVARIANCE, TRANSFORM, JOINTS, FRAMES),
    'gripper': (STATUS, 'std_msgs/msg/Float64', 'std_msgs/msg/Float32', JOINTS),
}


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
    closures (0 open, 1 closed). arm_prefix: where one topic tells of several arms, what the names
    of this one's joints and frames begin with. base_frame, hand_frame: between which the pose lies
    where it is told as transforms; empty: an FR3's, of a bag those of its only Franka arm. stamps:
    'header', or 'record' (when a message was recorded or heard) where clocks differ.
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
    base_frame: str = ''
    hand_frame: str = ''
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


@dataclass(frozen=True, slots=True)
class ChosenTopics:
    """The topics to read; gripper is None when there is none, and fixed is the topic of the fixed
    frames where the pose is told as frames.
    """

    image: Topic
    pose: Topic
    gripper: Topic | None
    spec: TopicSpec
    fixed: Topic | None = None

    @property
    def all(self) -> tuple[Topic, ...]:
        """Each topic once: one may serve as pose and gripper."""
        topics = [topic for topic in (self.image, self.fixed, self.pose, self.gripper) if topic]
        return tuple({topic.name: topic for topic in topics}.values())


def fixed_topic(pose: Topic) -> Topic | None:
    """Where the fixed frames are told that belong to a pose told as frames: /tf_static to /tf."""
    return Topic(f'{pose.name}_static', FRAMES) if pose.kind == FRAMES else None


def live_topics(spec: TopicSpec) -> ChosenTopics:
    """The topics a live node listens to; what `spec` leaves open is this project's own."""
    image = spec.image or 'image'
    usual = COMPRESSED if image.endswith('compressed') else IMAGE
    gripper = None
    if spec.gripper != NO_GRIPPER:
        gripper = Topic(spec.gripper or 'joint_states', spec.gripper_type or JOINTS)
    pose = Topic(spec.pose or 'ee_pose', spec.pose_type or POSE)
    return ChosenTopics(
        Topic(image, spec.image_type or usual), pose, gripper, spec, fixed_topic(pose)
    )


def frame_names(spec: TopicSpec) -> tuple[str, str]:
    """The frames of base and hand between which a pose told as transforms lies."""
    return (
        spec.base_frame or f'{spec.arm_prefix}{FR3.base_frame}',
        spec.hand_frame or f'{spec.arm_prefix}{FR3.name}{HAND}',
    )
