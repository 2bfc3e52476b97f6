# SPDX-License-Identifier: Apache-2.0
"""What is known of the arms this project drives: each fact once, each arm as data.

Franka Research 3 and its predecessor Panda have the same geometry (Denavit-Hartenberg parameters
in Craig's convention, from Franka's robot specifications) and the same hand, but other joint
limits. Metres and radians; poses are those of the hand TCP in the arm's base frame.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.errors import JepaWmError


def _fixed(*values: float) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arm:
    """One model of arm with its hand. Another arm is another instance, entered in `ARMS`.

    The workspace is the box that the hand TCP stays in where no other is configured; its lowest z
    is the height kept above a table at the arm's base. A step is one command.
    """

    name: str
    prefix: str = ''  # of the names of frames and joints: tells several arms apart
    joint_low: np.ndarray  # (7,) [rad]
    joint_high: np.ndarray  # (7,) [rad]
    home: np.ndarray  # (7,) [rad]

    link_a: np.ndarray  # (7,) of each joint's frame: offset along the axis x before it,
    link_d: np.ndarray  # (7,) offset along its own axis z,
    link_alpha: np.ndarray  # (7,) turn about x
    shoulder: np.ndarray  # (3,) where joint 2 sits
    flange: float  # beyond joint 7
    hand_turn: float  # of the hand on the flange
    tcp: float  # between the finger tips, beyond the flange
    hand_down: np.ndarray  # (3,) Euler angles of a hand that points straight down
    gripper_width: float  # of the open hand, both fingers together

    workspace_low: np.ndarray  # (3,)
    workspace_high: np.ndarray  # (3,)
    max_step: float  # translation of one step
    max_turn: float  # rotation of one step
    max_reach: float  # of the TCP from the shoulder

    @property
    def base_frame(self) -> str:
        """Frame of every pose, as Franka's description names it."""
        return self._named('link0')

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the arm's joints, from the base on."""
        return tuple(self._named(f'joint{k}') for k in range(1, len(self.home) + 1))

    @property
    def finger_joints(self) -> tuple[str, str]:
        """Names of the two fingers' joints; their positions add up to the gripper's width."""
        return self._named('finger_joint1'), self._named('finger_joint2')

    @property
    def finger_open(self) -> float:
        """Position of each finger joint when the hand is open; 0 when closed [m]."""
        return self.gripper_width / 2

    def fingers(self, closure: float) -> float:
        """Position [m] of each finger joint at a closure, 0 (open) to 1 (closed)."""
        return self.finger_open * (1.0 - closure)

    def frames(self, q: np.ndarray) -> list[np.ndarray]:
        """Homogeneous poses (4, 4) of the base, of each joint and of the hand TCP for joint angles
        `q` (7,) [rad].
        """
        poses = [np.eye(4)]
        for a, d, alpha, theta in zip(self.link_a, self.link_d, self.link_alpha, q, strict=True):
            poses.append(poses[-1] @ _link(a, d, alpha, float(theta)))
        poses.append(poses[-1] @ _link(0.0, self.flange + self.tcp, 0.0, self.hand_turn))
        return poses

    def hand_pose(self, q: np.ndarray) -> np.ndarray:
        """Homogeneous pose (4, 4) of the hand TCP for joint angles `q` (7,) [rad]."""
        return self.frames(q)[-1]

    def _named(self, part: str) -> str:
        return f'{self.prefix}{self.name}_{part}'


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


FR3 = Arm(
    name='fr3',
    joint_low=_fixed(-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
    joint_high=_fixed(2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159),
    home=_fixed(0.0, -0.3, 0.0, -2.3, 0.0, 2.0, 0.785),
    link_a=_fixed(0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088),
    link_d=_fixed(0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0),
    link_alpha=_fixed(*(np.pi / 2 * np.array([0, -1, 1, 1, -1, 1, 1]))),
    shoulder=_fixed(0.0, 0.0, 0.333),
    flange=0.107,
    hand_turn=-np.pi / 4,
    tcp=0.1034,
    hand_down=_fixed(np.pi, 0.0, 0.0),
    gripper_width=0.08,
    workspace_low=_fixed(0.34, -0.26, 0.045),
    workspace_high=_fixed(0.66, 0.26, 0.42),
    max_step=0.075,
    max_turn=0.15,
    max_reach=0.80,
)
PANDA = dataclasses.replace(
    FR3,
    name='panda',
    joint_low=_fixed(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
    joint_high=_fixed(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
)
ARMS = {arm.name: arm for arm in (FR3, PANDA)}
PREFIX = r'([A-Za-z][A-Za-z0-9_]*)?'  # may begin a name of ROS


def arm_named(name: str, prefix: str = '') -> Arm:
    """The arm of this name, its frames and joints named with `prefix`. Raises JepaWmError."""
    if name not in ARMS:
        raise JepaWmError(f'arm {name!r} is not known: use {" or ".join(ARMS)}')
    if not re.fullmatch(PREFIX, prefix):
        raise JepaWmError(
            f'arm_prefix {prefix!r} begins no name of ROS: use letters, digits and _, as in left_'
        )
    return dataclasses.replace(ARMS[name], prefix=prefix) if prefix else ARMS[name]
