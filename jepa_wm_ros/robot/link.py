# SPDX-License-Identifier: Apache-2.0
"""One connection to an arm: every call of franky's Robot, and how to break the connection off."""

from __future__ import annotations

import contextlib
import os
import socket

import numpy as np

from jepa_wm_ros.robot.arm_state import ArmState, interpret, to_pose
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, connect

COMMAND_PORT = 1337  # of the arm; the hand has another


class Link:
    """An open connection. Exceptions are franky's own; a dropped link raises ArmError."""

    def __init__(self, robot, reading, address: str) -> None:
        self.address = address
        self.dropped = False
        self._robot = robot
        self._frames = (reading.F_T_EE, reading.EE_T_K)

    @classmethod
    def open(
        cls, address: str, enforce: bool, thresholds: tuple[float, float], timeout: float
    ) -> Link:
        """Connect and set the thresholds [Nm], [N] of the collision reflex. Raises ArmError."""
        import franky

        config = franky.RealtimeConfig.Enforce if enforce else franky.RealtimeConfig.Ignore

        def build() -> tuple:
            robot = franky.Robot(address, realtime_config=config)
            robot.set_collision_behavior(*thresholds)
            return robot, robot.state

        robot, reading = connect(build, 'arm', address, timeout)
        return cls(robot, reading, address)

    def read(self) -> ArmState:
        """The arm's state now."""
        import franky

        robot = self._alive()
        reading = robot.state
        measured = robot.model.pose(franky.Frame.EndEffector, reading)
        return interpret(reading, to_pose(measured))

    def jacobian(self, q: np.ndarray) -> np.ndarray:
        """Jacobian (6, 7) of the hand TCP in the base frame at joint angles `q` (7,) [rad]."""
        import franky

        model = self._alive().model
        return np.array(model.zero_jacobian(franky.Frame.EndEffector, q, *self._frames))

    def start(self, motion) -> None:
        """Begin a motion, or let it take over from the one that runs; returns at once."""
        self._alive().move(motion, asynchronous=True)

    def join(self, seconds: float) -> bool:
        """Whether the motion ended within `seconds`; raises what went wrong in it."""
        return self._alive().join_motion(seconds)

    @property
    def in_control(self) -> bool:
        """Whether a motion runs."""
        return self._alive().is_in_control

    def halt(self) -> None:
        """The arm's own stop command; returns when it was carried out."""
        self._alive().stop()

    def clear(self) -> None:
        """Forget what a past motion raised, and clear the arm's errors."""
        self._alive().recover_from_errors()

    def drop(self) -> None:
        """Break the connection off, whatever call is under way: the arm then ends its motion.

        A call that hangs holds on to franky's Robot, so it cannot be given back; its socket can
        be shut all the same.
        """
        self.dropped = True
        peer = (socket.gethostbyname(self.address), COMMAND_PORT)
        for name in os.listdir('/proc/self/fd'):
            with contextlib.suppress(OSError):  # not connected, or closed meanwhile
                if not os.readlink(f'/proc/self/fd/{name}').startswith('socket:'):
                    continue
                with socket.socket(fileno=os.dup(int(name))) as connection:
                    if connection.getpeername() == peer:
                        connection.shutdown(socket.SHUT_RDWR)

    def _alive(self):
        if self.dropped:
            raise ArmError(
                ErrorKind.NETWORK,
                f'the connection to the arm at {self.address} was dropped: call ~/recover',
            )
        return self._robot
