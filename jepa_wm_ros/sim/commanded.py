# SPDX-License-Identifier: Apache-2.0
"""What the simulated arm tells of the motion that it is commanded.

A client that missed states goes on from them by itself, as the real arm does in the meantime: by
the velocity and acceleration that the arm tells. A simulated arm holds its last command instead,
and franky-sim goes on telling filtered differences of commands that came irregularly. On a starved
machine each adds to the other, and a stop motion goes 0.1 m. So here the arm tells that it stands
where it does, and otherwise the slope of the commands themselves.
"""

from __future__ import annotations

import collections

import numpy as np

PERIOD = 0.001  # s from one command to the next on the client's own clock, whenever they arrive
SLOPE_OVER = 10  # commands

# Accelerations are always told as zero: those of commands that are rounded are mostly noise.
STANDING = {
    'O_dP_EE_c': (0.0,) * 6,
    'O_dP_EE_d': (0.0,) * 6,
    'O_ddP_EE_c': (0.0,) * 6,
    'delbow_c': (0.0,) * 2,
    'ddelbow_c': (0.0,) * 2,
    'dq_d': (0.0,) * 7,
    'ddq_d': (0.0,) * 7,
}


class Slope:
    """The velocity of the last positions commanded in one motion."""

    def __init__(self) -> None:
        self._commands: collections.deque[np.ndarray] = collections.deque(maxlen=SLOPE_OVER + 1)

    def clear(self) -> None:
        """Forget the commands, of another motion or none."""
        self._commands.clear()

    def add(self, command: np.ndarray) -> None:
        """Joint positions (7,) [rad], or a pose (4, 4)."""
        self._commands.append(command)

    def of_joints(self) -> np.ndarray:
        """Velocities (7,) [rad/s]."""
        return self._per_second(np.subtract, 7)

    def of_pose(self) -> np.ndarray:
        """Linear and angular velocity (6,) in the base frame [m/s, rad/s]."""
        return self._per_second(_twist, 6)

    def _per_second(self, difference, size: int) -> np.ndarray:
        steps = len(self._commands) - 1
        if steps < 1:
            return np.zeros(size)
        return difference(self._commands[-1], self._commands[0]) / (steps * PERIOD)


def _twist(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    turn = now[:3, :3] @ before[:3, :3].T
    skew = (turn - turn.T) / 2.0  # axis times the sine of an angle that is small
    return np.concatenate([now[:3, 3] - before[:3, 3], [skew[2, 1], skew[0, 2], skew[1, 0]]])
