# SPDX-License-Identifier: Apache-2.0
"""One reading of an arm, in this project's units and names."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.robot.pose import Pose

STILL = 0.02  # slower joints count as standing still [rad/s] ...
REST_SECONDS = 0.03  # ... over at least this time on the arm's clock


class ArmMode(enum.Enum):
    """What the arm is doing. Only a READY one begins to move; the others stay until `recover`."""

    DISCONNECTED = 0
    READY = 1
    MOVING = 2
    FAULT = 3
    STOPPED = 4
    RECOVERING = 5


@dataclass(frozen=True, slots=True, eq=False)
class ArmState:
    """One reading of the arm."""

    stamp: float  # time.monotonic() of the reading [s]
    robot_time: float  # the arm's own clock [s]
    mode: ArmMode
    q: np.ndarray  # (7,) measured joint angles [rad]
    dq: np.ndarray  # (7,) measured joint speeds [rad/s]
    pose: Pose  # measured hand TCP
    commanded: Pose  # last commanded hand TCP (as measured, in a raw reading)
    errors: tuple[str, ...]  # names of the active error flags, or of a mode without motion
    success_rate: float  # control commands that arrived in time, 0 .. 1
    vertical_force: float = 0.0  # along z of the base, as the arm estimates it [N]


class Rest:
    """Judges from positions whether an arm stands still.

    Not from measured speeds: those of a simulated wrist chatter by 0.08 rad/s at rest.
    """

    def __init__(self) -> None:
        self.resting = False
        self._since: ArmState | None = None

    def watch(self, state: ArmState) -> None:
        """Take the next reading."""
        since = self._since
        elapsed = state.robot_time - since.robot_time if since else -1.0
        if since is None or elapsed < 0.0:  # the first reading, or the arm's clock began anew
            self.resting, self._since = False, state
        elif elapsed >= REST_SECONDS:
            travelled = np.abs(state.q - since.q).max()
            self.resting, self._since = bool(travelled < STILL * elapsed), state


MODES = {'Idle': ArmMode.READY, 'Guiding': ArmMode.READY, 'Move': ArmMode.MOVING}  # else FAULT


def interpret(reading, measured: Pose) -> ArmState:
    """The state in a franky `RobotState` whose measured TCP pose is `measured`.

    (`reading.O_T_EE` is measured on a real arm but the desired pose on the simulated one, so the
    pose comes from the model and the measured joints on both.)
    """
    mode_name = reading.robot_mode.name
    mode = MODES.get(mode_name, ArmMode.FAULT)
    errors = _flags(reading.current_errors)
    if mode is ArmMode.FAULT and not errors:
        errors = (mode_name,)  # such as UserStopped: the arm raises no flag then
    return ArmState(
        stamp=time.monotonic(),
        robot_time=reading.time.to_msec() / 1000.0,
        mode=mode,
        q=np.array(reading.q).ravel(),
        dq=np.array(reading.dq).ravel(),
        pose=measured,
        commanded=measured,
        errors=errors,
        success_rate=float(reading.control_command_success_rate),
        vertical_force=float(reading.O_F_ext_hat_K[2]),
    )


def to_pose(affine) -> Pose:
    """Pose of a franky `Affine`."""
    return Pose.of(np.array(affine.translation).ravel(), np.array(affine.quaternion).ravel())


def _flags(errors) -> tuple[str, ...]:
    return tuple(
        name
        for name, member in vars(type(errors)).items()
        if isinstance(member, property) and getattr(errors, name)
    )
