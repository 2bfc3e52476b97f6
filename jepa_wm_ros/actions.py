# SPDX-License-Identifier: Apache-2.0
"""The 7-number action and pose of the DROID convention: the only place that knows their meaning.

pose7   [x, y, z, roll, pitch, yaw, gripper] of the hand TCP in the arm's base frame: metres,
        radians (extrinsic xyz Euler angles: R = Rz(yaw) Ry(pitch) Rx(roll)), gripper closure
        from 0 (open) to 1 (closed).
action  what takes one pose to the next: base-frame translation (m), the same Euler angles of
        the left-multiplied rotation R' R^T (rad), change of gripper closure (positive closes).

Source: arXiv 2512.24497 (DROID planning), doc/reference/models.md section 4.6. Functions take
NumPy arrays or torch tensors with any leading dimensions and return the kind they were given.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace
from scipy.spatial.transform import Rotation

from jepa_wm_ros.errors import JepaWmError

DIM = 7
POSITION = slice(0, 3)
ROTATION = slice(3, 6)
GRIPPER = 6
OPEN = 0.3  # measured closure below which a hand has let go of what it held


class ActionError(JepaWmError):
    """An action or pose of the wrong shape, or one that is not finite."""


def euler_to_matrix(euler):
    """Rotation matrices (..., 3, 3) of extrinsic xyz Euler angles (..., 3) [rad]."""
    xp = array_namespace(euler)
    sr, sp, sy = (xp.sin(euler[..., i]) for i in range(3))
    cr, cp, cy = (xp.cos(euler[..., i]) for i in range(3))
    rows = (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_euler(matrix):
    """Extrinsic xyz Euler angles (..., 3) [rad] of rotation matrices (..., 3, 3).

    Pitch lies in [-pi/2, pi/2]; at the poles roll and yaw are not unique and any valid pair is
    returned.
    """
    xp = array_namespace(matrix)
    roll = xp.atan2(matrix[..., 2, 1], matrix[..., 2, 2])
    pitch = xp.asin(xp.clip(-matrix[..., 2, 0], -1.0, 1.0))
    yaw = xp.atan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return xp.stack([roll, pitch, yaw], axis=-1)


def _transpose(matrix):
    return array_namespace(matrix).permute_dims(
        matrix, (*range(matrix.ndim - 2), matrix.ndim - 1, matrix.ndim - 2)
    )


def actions_between(poses):
    """Actions (T-1, 7) that lead through poses (T, 7)."""
    xp = array_namespace(poses)
    if poses.ndim != 2 or poses.shape[-1] != DIM or poses.shape[0] < 2:
        raise ActionError(f'poses must be (T >= 2, {DIM}), got {tuple(poses.shape)}')
    before, after = poses[:-1], poses[1:]
    unturn = _transpose(euler_to_matrix(before[..., ROTATION]))
    turn = euler_to_matrix(after[..., ROTATION]) @ unturn
    return xp.concat(
        [
            after[..., POSITION] - before[..., POSITION],
            matrix_to_euler(turn),
            after[..., GRIPPER:] - before[..., GRIPPER:],
        ],
        axis=-1,
    )


def integrate(pose, action):
    """The pose (..., 7) that `action` (..., 7) leads to from `pose` (..., 7).

    Gripper closure is clipped to [0, 1]. This is the analytic pose of a V-JEPA-2-AC rollout; what
    an arm is sent is a `waypoint`.
    """
    xp = array_namespace(pose, action)
    turned = euler_to_matrix(action[..., ROTATION]) @ euler_to_matrix(pose[..., ROTATION])
    return xp.concat(
        [
            pose[..., POSITION] + action[..., POSITION],
            matrix_to_euler(turned),
            xp.clip(pose[..., GRIPPER:] + action[..., GRIPPER:], 0.0, 1.0),
        ],
        axis=-1,
    )


def waypoint(measured, commanded, action):
    """The absolute pose (..., 7) to send an arm for `action` (..., 7).

    Position builds on the `measured` pose, from which the action was planned; orientation and
    gripper build on the last `commanded` one. Built on the measured pose, the orientation would
    take over the tracking error of every step and the hand tip over little by little, and a hand
    that holds something, which is measured as open by its width, would let go of it.
    """
    xp = array_namespace(measured, commanded, action)
    base = xp.concat([measured[..., POSITION], commanded[..., POSITION.stop :]], axis=-1)
    return integrate(base, action)


def waypoints(measured, commanded, actions):
    """The path (H + 1, 7) of actions (H, 7): the measured pose, then what each leads to."""
    xp = array_namespace(measured, commanded, actions)
    path = [measured]
    for action in actions:
        commanded = waypoint(path[-1], commanded, action)
        path.append(commanded)
    return xp.stack(path)


def quaternion_to_euler(quaternion: np.ndarray) -> np.ndarray:
    """Extrinsic xyz Euler angles (3,) [rad] of a quaternion (x, y, z, w)."""
    return Rotation.from_quat(quaternion).as_euler('xyz')


def euler_to_quaternion(euler: np.ndarray) -> np.ndarray:
    """Quaternion (x, y, z, w) of extrinsic xyz Euler angles (3,) [rad]."""
    return Rotation.from_euler('xyz', euler).as_quat()


def wrapped(angle: float) -> float:
    """An angle [rad] within half a turn of zero."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def rotation_angle(euler_a: np.ndarray, euler_b: np.ndarray) -> float:
    """Angle [rad] of the rotation between two orientations given as Euler angles (3,)."""
    a, b = (Rotation.from_euler('xyz', e) for e in (euler_a, euler_b))
    return float((a * b.inv()).magnitude())


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Angle [rad], 0 to pi, between two orientations (unit quaternions)."""
    b = b if a @ b >= 0 else -b
    return 4.0 * float(np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def slerp(a: np.ndarray, b: np.ndarray, fraction: float) -> np.ndarray:
    """The orientation a `fraction` of the way from `a` to `b` (unit quaternions), the short way."""
    b = b if a @ b >= 0 else -b
    half = angle_between(a, b) / 2
    if half < 1e-9:
        return b if fraction >= 1.0 else a
    mixed = (np.sin((1 - fraction) * half) * a + np.sin(fraction * half) * b) / np.sin(half)
    return mixed / np.linalg.norm(mixed)
