# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag carry the pictures, the hand pose and the gripper, and how to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import yaml

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.bags.bag import Topic
from jepa_wm_ros.recordings.bags.findings import BagError, Findings


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """Names of topics; an empty name means: the only topic of a fitting type.

    A gripper value v (the mean of `gripper_joints` for joint states) becomes the closure
    (v - gripper_open) / (gripper_closed - gripper_open), clipped to [0, 1]. Without those two,
    finger joints are taken as the Franka hand's (0.04 m open, 0 closed) and plain numbers as
    closures (0 open, 1 closed). stamps: 'header', or 'record' for bags whose clocks differ.
    """

    image: str = ''
    pose: str = ''
    gripper: str = ''
    gripper_joints: tuple[str, ...] = ()
    gripper_open: float | None = None
    gripper_closed: float | None = None
    stamps: str = 'header'

    def __post_init__(self) -> None:
        if self.stamps not in ('header', 'record'):
            raise BagError(f"stamps must be 'header' or 'record', not {self.stamps!r}")
        if (self.gripper_open is None) != (self.gripper_closed is None):
            raise BagError('give both gripper_open and gripper_closed, or neither')
        if self.gripper_open is not None and self.gripper_open == self.gripper_closed:
            raise BagError('gripper_open and gripper_closed must differ')

    @staticmethod
    def from_yaml(path: Path | str) -> TopicSpec:
        """Read a topic file such as config/bags/cell.yaml."""
        try:
            content = yaml.safe_load(Path(path).read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise BagError(f'{path}: cannot be read as a topic file ({error})') from error
        known = {field.name for field in fields(TopicSpec)}
        if not isinstance(content, dict) or (unknown := set(content) - known):
            detail = (
                f'unknown keys {sorted(unknown)}' if isinstance(content, dict) else 'not a table'
            )
            raise BagError(f'{path}: {detail}; a topic file holds some of {sorted(known)}')
        joints = tuple(content.pop('gripper_joints', ()))
        return TopicSpec(**content, gripper_joints=joints)


IMAGE_KINDS = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
_STATUS = 'jepa_wm_msgs/msg/ArmStatus'
_JOINTS = 'sensor_msgs/msg/JointState'


def _from_pose(pose) -> tuple[np.ndarray, np.ndarray]:
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _from_transform(transform) -> tuple[np.ndarray, np.ndarray]:
    p, q = transform.translation, transform.rotation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _from_joints(message) -> tuple[np.ndarray, np.ndarray] | None:
    from scipy.spatial.transform import Rotation

    named = {
        name: message.position[i] for i, name in enumerate(message.name) if 'finger' not in name
    }
    joints = [
        next((v for n, v in named.items() if n.endswith(f'joint{i + 1}')), None)
        for i in range(len(FR3.joints))
    ]
    if any(value is None for value in joints):
        return None
    pose = FR3.hand_pose(np.array(joints))
    return pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat()


# Position (3,) [m] and quaternion (x, y, z, w) of the hand in the arm's base frame.
POSE_READERS: dict[str, Callable] = {
    'geometry_msgs/msg/PoseStamped': lambda m: _from_pose(m.pose),
    _STATUS: lambda m: _from_pose(m.pose),
    'geometry_msgs/msg/PoseWithCovarianceStamped': lambda m: _from_pose(m.pose.pose),
    'geometry_msgs/msg/TransformStamped': lambda m: _from_transform(m.transform),
    'franka_msgs/msg/FrankaRobotState': lambda m: _from_pose(m.o_t_ee.pose),
    _JOINTS: _from_joints,
}
GRIPPER_KINDS = (_STATUS, 'std_msgs/msg/Float64', 'std_msgs/msg/Float32', _JOINTS)


def closure_of(message, kind: str, spec: TopicSpec) -> float | None:
    """Gripper closure, 0 (open) to 1 (closed), in a message of `kind`; None when it has none."""
    closed, opened = spec.gripper_closed, spec.gripper_open
    if kind == _STATUS:
        value = message.gripper
    elif kind == _JOINTS:
        values = [
            message.position[i]
            for i, name in enumerate(message.name)
            if (name in spec.gripper_joints if spec.gripper_joints else 'finger' in name)
        ]
        if not values:
            return None
        value = float(np.mean(values))
        if opened is None:
            opened, closed = FR3.finger_open, 0.0
    else:
        value = message.data
    if opened is None:
        opened, closed = 0.0, 1.0
    return float(np.clip((value - opened) / (closed - opened), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class ChosenTopics:
    """The topics an evaluation reads; gripper is None when the bag has none."""

    image: Topic
    pose: Topic
    gripper: Topic | None
    spec: TopicSpec


def choose_topics(
    topics: dict[str, Topic], spec: TopicSpec, findings: Findings, bag: Path | str
) -> ChosenTopics:
    """The topics `spec` names, or the only fitting ones of the bag."""
    image = _choose('image', spec.image, IMAGE_KINDS, topics, bag)
    pose = _choose('pose', spec.pose, tuple(POSE_READERS), topics, bag)
    if image is None or pose is None:
        role = 'image' if image is None else 'pose'
        raise BagError(
            f'{bag}: no {role} topic; it holds {_listing(topics)}; name one with --{role}'
        )
    gripper = _choose('gripper', spec.gripper, GRIPPER_KINDS, topics, bag)
    if gripper is None:
        findings.notice(
            'no gripper',
            f'{bag}: no gripper topic; closure is taken as 0 (open) and closure errors say nothing',
        )
    return ChosenTopics(
        image,
        pose,
        gripper,
        replace(spec, image=image.name, pose=pose.name, gripper=gripper.name if gripper else ''),
    )


def _choose(
    role: str, name: str, kinds: tuple[str, ...], topics: dict[str, Topic], bag: Path | str
) -> Topic | None:
    if name:
        topic = topics.get(name) or topics.get('/' + name.lstrip('/'))
        if topic is None:
            raise BagError(f'{bag}: no topic {name}; it holds {_listing(topics)}')
        if topic.kind not in kinds:
            raise BagError(
                f'{bag}: {topic.name} is a {topic.kind}; the {role} topic must be one '
                f'of {", ".join(kinds)}'
            )
        if not topic.count:
            raise BagError(f'{bag}: {topic.name} holds no messages')
        return topic
    # An earlier kind says more exactly what is meant than a later one: joint states come last.
    for group in (kinds,) if role == 'image' else tuple((kind,) for kind in kinds):
        fitting = [t for t in topics.values() if t.kind in group and t.count]
        if role == 'gripper' and group == (_JOINTS,) and len(fitting) > 1:
            fitting = [t for t in fitting if 'gripper' in t.name] or fitting
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise BagError(
                f'{bag}: several topics could be the {role}: '
                f'{", ".join(sorted(t.name for t in fitting))}; '
                f'choose one with --{role}'
            )
    return None


def _listing(topics: dict[str, Topic]) -> str:
    return (
        ', '.join(
            f'{t.name} ({t.kind}, {t.count})' for t in sorted(topics.values(), key=lambda t: t.name)
        )
        or 'no topics'
    )
