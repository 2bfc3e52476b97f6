# SPDX-License-Identifier: Apache-2.0
"""Hand pose of a Franka arm from its joint angles, for bags that recorded joints only.

Denavit-Hartenberg parameters (Craig's convention) of FR3 and Panda, which share them, from
Franka's robot specifications; the hand is turned by -45 degrees on the flange and its TCP lies
0.1034 m beyond it.
"""

from __future__ import annotations

import numpy as np

_A = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)
_D = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)
_ALPHA = (0.0, -np.pi / 2, np.pi / 2, np.pi / 2, -np.pi / 2, np.pi / 2, np.pi / 2)
_FLANGE = 0.107
_HAND_TCP = 0.1034
JOINTS = 7


def _link(a: float, d: float, alpha: float, theta: float) -> np.ndarray:
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array(
        [
            [ct, -st, 0.0, a],
            [st * ca, ct * ca, -sa, -d * sa],
            [st * sa, ct * sa, ca, d * ca],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def hand_pose(joints: np.ndarray) -> np.ndarray:
    """Homogeneous pose (4, 4) of the hand TCP in the base frame for joint angles (7,) [rad]."""
    pose = np.eye(4)
    for a, d, alpha, theta in zip(_A, _D, _ALPHA, joints, strict=True):
        pose = pose @ _link(a, d, alpha, float(theta))
    return pose @ _link(0.0, _FLANGE + _HAND_TCP, 0.0, -np.pi / 4)
