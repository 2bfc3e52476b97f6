# SPDX-License-Identifier: Apache-2.0
"""Positions and unit quaternions: the poses the arm is told and tells. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import angle_between
from jepa_wm_ros.errors import FaultCode, JepaWmError

FARTHEST = 10.0  # of a coordinate [m]; beyond it no arm reaches and sums lose their meaning


class UnsafeCommandError(JepaWmError):
    """A command that must not reach the arm: not finite, of the wrong shape, or no rotation."""

    code = FaultCode.COMMAND_REFUSED


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A pose in the arm's base frame; `Pose.of` checks and normalises."""

    position: np.ndarray  # (3,) [m]
    quaternion: np.ndarray  # (4,) unit, order x y z w

    @classmethod
    def of(cls, position, quaternion, what: str = 'pose') -> Pose:
        """A checked pose. Raises UnsafeCommandError when it is none."""
        try:
            position = np.array(position, dtype=np.float64)
            quaternion = np.array(quaternion, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UnsafeCommandError(f'{what} is not made of numbers: {error}') from None
        if position.shape != (3,) or quaternion.shape != (4,):
            raise UnsafeCommandError(
                f'{what} has shapes {position.shape} and {quaternion.shape}; '
                'send a position (3,) and a quaternion (4,)'
            )
        if not (np.isfinite(position).all() and np.isfinite(quaternion).all()):
            raise UnsafeCommandError(f'{what} is not finite; send finite numbers')
        if np.abs(position).max() > FARTHEST or np.abs(quaternion).max() > FARTHEST:
            raise UnsafeCommandError(
                f'{what} lies further than {FARTHEST:g} m away; send metres in the base frame'
            )
        norm = np.linalg.norm(quaternion)
        if not 0.9 < norm < 1.1:
            raise UnsafeCommandError(
                f'{what} has a quaternion of length {norm:.3g}; send a unit one (x, y, z, w)'
            )
        return cls(position, quaternion / norm)

    @property
    def matrix(self) -> np.ndarray:
        """Rotation matrix (3, 3)."""
        x, y, z, w = self.quaternion
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )

    def distance(self, other: Pose) -> float:
        """Distance of the positions [m]."""
        return float(np.linalg.norm(other.position - self.position))

    def angle(self, other: Pose) -> float:
        """Angle [rad], 0 to pi, of the rotation that takes one orientation to the other."""
        return angle_between(self.quaternion, other.quaternion)
