# SPDX-License-Identifier: Apache-2.0
"""What the messages of arms say: hand pose and gripper closure, whatever type they come in.

Messages are read by their fields only, so those of rclpy and of rosbags go through the same
functions and nothing here imports ROS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros.fr3 import ARMS, FR3
from jepa_wm_ros.recordings.topics import (
    COVARIANCE,
    FRAMES,
    JOINTS,
    POSE,
    ROBOT_STATE,
    STATUS,
    TRANSFORM,
    TopicSpec,
)

Pose = tuple[np.ndarray, np.ndarray]  # position (3,) [m] and quaternion (x, y, z, w)

FINGER = 'finger'
_JOINT = re.compile(r'(.*?)joint([1-7])')
# Names that Franka's descriptions give an arm, after a prefix.
_FRANKA = re.compile(rf'(.*_)?({"|".join(ARMS)}|fer|fp3)_')
_WHOLE = len(FR3.joints)


def _from_pose(pose) -> Pose:
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _from_transform(transform) -> Pose:
    p, q = transform.translation, transform.rotation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _from_state(state) -> Pose | None:
    told = state.o_t_ee
    if hasattr(told, 'pose'):
        return _from_pose(told.pose)
    matrix = np.reshape(told, (4, 4)).T  # until December 2023, column by column
    if not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) <= 0.0:
        return None
    return matrix[:3, 3], Rotation.from_matrix(matrix[:3, :3]).as_quat()


def arms_in(names: Iterable[str], prefix: str = '') -> dict[str, tuple[str, ...]]:
    """The joints of each whole arm among joint names that begin with `prefix`, from the base on, by
    what the names of its joints have in common, such as 'left_fr3_'.
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = _JOINT.fullmatch(name)
        if match and name.startswith(prefix) and FINGER not in name:
            found.setdefault(match[1], {})[int(match[2])] = name
    return {
        arm: tuple(joints[k] for k in sorted(joints))
        for arm, joints in found.items()
        if len(joints) == _WHOLE
    }


def is_franka(arm: str) -> bool:
    """Whether names that begin so are of an arm that this project knows the geometry of."""
    return _FRANKA.fullmatch(arm) is not None


def arm_joints(message, prefix: str = '') -> np.ndarray | None:
    """The joint angles (7,) [rad] of the arm with this prefix in a JointState; None where that
    holds no whole arm, or several.
    """
    arms = arms_in(message.name, prefix)
    if len(arms) != 1:
        return None
    (joints,) = arms.values()
    told = dict(zip(message.name, message.position, strict=False))
    q = np.array([told.get(name, np.nan) for name in joints])
    return q if np.isfinite(q).all() else None


def _from_joints(message, prefix: str) -> Pose | None:
    q = arm_joints(message, prefix)
    if q is None:
        return None
    pose = FR3.hand_pose(q)
    return pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat()


_READERS: dict[str, Callable[..., Pose | None]] = {
    ROBOT_STATE: _from_state,
    POSE: lambda m: _from_pose(m.pose),
    STATUS: lambda m: _from_pose(m.pose),
    COVARIANCE: lambda m: _from_pose(m.pose.pose),
    TRANSFORM: lambda m: _from_transform(m.transform),
}
_IN_BASE_FRAME = (JOINTS, ROBOT_STATE, FRAMES)  # whatever their header says


def usable_pose(position: np.ndarray, quaternion: np.ndarray) -> Pose | None:
    """The pose with its quaternion at unit length; None where it is not finite or has none."""
    length = np.linalg.norm(quaternion)
    if not (np.isfinite(position).all() and np.isfinite(length) and length > 0.5):
        return None
    return position, quaternion / length


def pose_of(message, kind: str, spec: TopicSpec) -> Pose | None:
    """Position (3,) [m] and unit quaternion (x, y, z, w) of the hand in the arm's base frame, in a
    message of any kind but FRAMES.

    None where it is not finite, has no orientation, or holds the joints of no whole arm or of
    several.
    """
    pose = _from_joints(message, spec.arm_prefix) if kind == JOINTS else _READERS[kind](message)
    return None if pose is None else usable_pose(*pose)


def transforms_of(message, kind: str) -> Iterator[tuple[object, str, str, Pose | None]]:
    """Of each transform in a message of FRAMES or TRANSFORM: itself, the frames from and to which
    it leads, and its pose; None where that cannot be used.
    """
    for told in message.transforms if kind == FRAMES else (message,):
        frames = (frame.lstrip('/') for frame in (told.header.frame_id, told.child_frame_id))
        yield told, *frames, usable_pose(*_from_transform(told.transform))


def frame_of(message, kind: str) -> str | None:
    """The frame a pose message is given in; None where that is the arm's base by definition."""
    return None if kind in _IN_BASE_FRAME else message.header.frame_id


def gripper_joints_in(names: Iterable[str], spec: TopicSpec) -> list[str]:
    """The gripper's joints among joint names."""
    if spec.gripper_joints:
        return [name for name in names if name in spec.gripper_joints]
    return [name for name in names if FINGER in name and name.startswith(spec.arm_prefix)]


def closure_of(message, kind: str, spec: TopicSpec) -> float | None:
    """Gripper closure, 0 (open) to 1 (closed), in a message of `kind`.

    None where it holds none of the gripper's joints, or no finite number.
    """
    closed, opened = spec.gripper_closed, spec.gripper_open
    if kind == STATUS:
        value = message.gripper
    elif kind == JOINTS:
        told = dict(zip(message.name, message.position, strict=False))
        values = [told[name] for name in gripper_joints_in(told, spec)]
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
