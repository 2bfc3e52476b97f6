# SPDX-License-Identifier: Apache-2.0
"""Between messages and what the rooms without ROS know, and from a message type to its class."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from jepa_wm_msgs.msg import Objective as ObjectiveMessage

from jepa_wm_ros import actions
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.objective import Objective


def pose_message(position: np.ndarray, quaternion: np.ndarray) -> Pose:
    """Pose of a position (3,) [m] and a quaternion (x, y, z, w)."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in position)
    orientation = pose.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = (float(v) for v in quaternion)
    return pose


def position_and_quaternion(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) [m] and quaternion (x, y, z, w) of a pose."""
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def to_pose7(pose: Pose, gripper: float) -> np.ndarray:
    """pose7 (7,) of a pose message and a gripper closure (see jepa_wm_ros/actions.py)."""
    position, quaternion = position_and_quaternion(pose)
    return np.array([*position, *actions.quaternion_to_euler(quaternion), gripper])


def from_pose7(pose7: np.ndarray) -> Pose:
    """Pose message of a pose7 (7,)."""
    return pose_message(
        pose7[actions.POSITION], actions.euler_to_quaternion(pose7[actions.ROTATION])
    )


def message_class(kind: str) -> type:
    """The class of a message type such as sensor_msgs/msg/Image."""
    package, _, name = kind.split('/')
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as error:
        raise JepaWmError(
            f'message type {kind} is not installed ({error}): install {package} or describe '
            'another topic'
        ) from error


def objective_message(objective: Objective) -> ObjectiveMessage:
    """The objective as a message."""
    return ObjectiveMessage(
        kind=objective.kind,
        sum_all=objective.sum_all,
        alpha=float(objective.alpha),
        rise=float(objective.rise),
    )


def to_objective(message: ObjectiveMessage) -> Objective:
    """The objective of a message, an empty kind standing for L2; ObjectiveError if unknown."""
    return Objective(message.kind or 'L2', message.sum_all, message.alpha, message.rise)


def to_ns(stamp: Time) -> int:
    """Nanoseconds of a message stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """Message stamp of nanoseconds."""
    return Time(sec=int(nanoseconds // 1_000_000_000), nanosec=int(nanoseconds % 1_000_000_000))
