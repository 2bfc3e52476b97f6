# SPDX-License-Identifier: Apache-2.0
"""A simulated arm that stops itself, and feels what it presses on, as the real one does and
franky-sim's never would.

An arm whose commands stay away in a motion ends it, and the error stays until it is recovered. So a
controller that was frozen does not take up its old motion when it wakes, however late its own watch
comes to run.
"""

from __future__ import annotations

import numpy as np
from franky_sim import franka_robot_protocol as protocol
from franky_sim import simulation_server
from franky_sim.franka_robot_server import FrankaRobotServer

from jepa_wm_ros.sim.commanded import STANDING, Slope

# States told without a command in return. The real arm gives up after 20 (20 ms); a machine without
# a real-time kernel is late more often than that.
PATIENCE = 500
ERRORS = 41  # flags of the protocol, of which these have a place here:
CARTESIAN_REFLEX = 7
COMMUNICATION_CONSTRAINTS_VIOLATION = 25


class ReflexServer(FrankaRobotServer):
    """The arm's side of the protocol, with errors that end a motion."""

    error: int | None = None  # the place of its flag; None: none
    user_stop = False  # under which there is no recovery
    pressing = 0.0  # the force [N] with which the arm presses down on what is below it
    _silent = 0  # states told since the last command
    _joints = False  # the motion commands joints, not poses

    def __init__(self, *args, **keywords) -> None:
        self._slope = Slope()
        super().__init__(*args, **keywords)

    @property
    def robot_state(self):
        """As franky-sim's, with what is commanded and what has stopped the arm."""
        state = super().robot_state
        # As the real arm tells it: the force that it exerts, not the one exerted on it
        # (https://github.com/frankarobotics/libfranka/issues/26).
        state = state.replace(
            **STANDING | self._velocities(state.motion_generator_mode),
            O_F_ext_hat_K=(0.0, 0.0, -self.pressing, 0.0, 0.0, 0.0),
        )
        if self.user_stop:
            return state.replace(robot_mode=protocol.RobotMode.kUserStopped)
        if self.error is not None:
            flags = tuple(place == self.error for place in range(ERRORS))
            return state.replace(
                errors=flags, reflex_reason=flags, robot_mode=protocol.RobotMode.kReflex
            )
        return state

    def abort(self, error: int | None) -> None:
        """End the motion that runs, if any; an error stays until it is recovered."""
        self.error = self.error if error is None else error
        motion = self.current_motion_id
        self.stop_motion(send_preemption_signal=False)
        self.reset_current_motion_id()
        if motion:
            protocol.BaseCommand.send_response(
                self._tcp_socket,
                protocol.RobotCommand.kMove,
                motion,
                protocol.MoveStatus.kReflexAborted,
            )

    def recover(self) -> protocol.AutomaticErrorRecoveryStatus:
        """What the arm answers to the command of that name."""
        status = protocol.AutomaticErrorRecoveryStatus
        if self.user_stop:
            return status.kCommandNotPossibleRejected
        self.error = None
        return status.kSuccess

    def _velocities(self, mode: protocol.StateMotionGeneratorMode) -> dict[str, tuple]:
        if self._silent > 1:
            return {}
        if mode == mode.kJointPosition:
            return {'dq_d': tuple(self._slope.of_joints())}
        if mode == mode.kCartesianPosition:
            twist = tuple(self._slope.of_pose())
            return {'O_dP_EE_c': twist, 'O_dP_EE_d': twist}
        return {}

    def start_motion(self, controller_mode, motion_generator_mode, motion_id) -> None:
        """As franky-sim's."""
        self._slope.clear()
        self._joints = motion_generator_mode.name == 'kJointPosition'
        super().start_motion(controller_mode, motion_generator_mode, motion_id)

    def _handle_udp_command(self, command_data: bytes) -> None:
        self._silent = 0
        command = protocol.UDPCommand.from_bytes(command_data)
        pose = np.reshape(command.O_T_EE_c, (4, 4), order='F')
        self._slope.add(np.array(command.q_c) if self._joints else pose)
        super()._handle_udp_command(command_data)

    def _post_process_commands(self) -> None:
        self._silent = self._silent + 1 if self.current_motion_id else 0
        if self._silent > PATIENCE:
            self.abort(COMMUNICATION_CONSTRAINTS_VIOLATION)
        super()._post_process_commands()


def install() -> None:
    """Have franky-sim's simulation serve such arms."""
    simulation_server.FrankaRobotServer = ReflexServer
    protocol.AutomaticErrorRecoveryCommand.handle = lambda command, server: command.reply(
        server.recover()
    )
