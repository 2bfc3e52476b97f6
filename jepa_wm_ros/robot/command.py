# SPDX-License-Identifier: Apache-2.0
"""A command as it arrives, what it is judged by, and how one ends."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.robot.pose import Pose


class Outcome(enum.IntEnum):
    """How a command ended; values as in jepa_wm_msgs/ArmStatus."""

    NONE = 0
    EXECUTING = 1
    DONE = 2
    STOPPED = 3
    REFUSED = 4
    WORKSPACE = 5
    FAILED = 6
    MOVED = 7


# Position (x, y, z) [m] and quaternion (x, y, z, w).
RawPose = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]


@dataclass(frozen=True, slots=True)
class Command:
    """One absolute waypoint, not yet looked at: nothing in it is sure to make sense.

    Poses are of the hand TCP in `frame`.
    """

    session: int
    sequence: int
    age: float  # since it was made [s]
    frame: str
    target: RawPose
    planned_from: RawPose
    gripper: float  # closure 0 (open) .. 1 (closed); NaN leaves it as it is

    @property
    def closure(self) -> float | None:
        """The closure that is asked for, if any."""
        return None if math.isnan(self.gripper) else self.gripper


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """What makes a command acceptable, besides the envelope."""

    base_frame: str
    max_age: float  # of the command [s]
    max_state_age: float  # of the arm's newest reading [s]
    max_moved_distance: float  # of the arm since the command was planned [m]
    max_moved_angle: float  # [rad]


@dataclass(frozen=True, slots=True)
class Record:
    """The last command and what became of it, as `arm_status` tells it."""

    session: int = 0
    sequence: int = 0
    outcome: Outcome = Outcome.NONE
    clipped: bool = False
    message: str = ''
    code: FaultCode = FaultCode.SUCCEEDED


def pose_of(sent: RawPose, what: str) -> Pose:
    """A pose as it was sent, checked. Raises UnsafeCommandError."""
    position, quaternion = sent
    return Pose.of(position, quaternion, what)


def refused_as(error: JepaWmError) -> Outcome:
    """The outcome of a command that `error` kept from being begun."""
    return {FaultCode.ARM_MOVED: Outcome.MOVED, FaultCode.WORKSPACE_LIMIT: Outcome.WORKSPACE}.get(
        error.code, Outcome.REFUSED
    )
