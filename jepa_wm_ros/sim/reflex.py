# SPDX-License-Identifier: Apache-2.0
"""A simulated arm that stops itself, as the real one does and franky-sim's never would.

An arm whose commands stay away in a motion ends it, and the error stays until it is recovered. So a
controller that was frozen does not take up its old motion when it wakes, however late its own watch
comes to run.
"""

from __future__ import annotations

from franky_sim import franka_robot_protocol as protocol
from franky_sim import simulation_server
from franky_sim.franka_robot_server import FrankaRobotServer

# States told without a command in return. The real arm gives up after 20 (20 ms); a machine without
# a real-time kernel is late more often than that.
PATIENCE = 500
ERRORS = 41  # flags of the protocol, of which these have a place here:
CARTESIAN_REFLEX = 7
COMMUNICATION_CONSTRAINTS_VIOLATION = 25

# What the state tells of commanded accelerations. franky-sim differentiates the commands twice:
# where they come irregularly, on a machine that is starved, it tells of tens of m/s^2 that nobody
# commanded, and a stop motion, which begins with them, goes 0.1 m instead of 0.01 m.
STEADY = {'O_ddP_EE_c': (0.0,) * 6, 'ddelbow_c': (0.0,) * 2, 'ddq_d': (0.0,) * 7}


class ReflexServer(FrankaRobotServer):
    """The arm's side of the protocol, with errors that end a motion."""

    error: int | None = None  # the place of its flag; None: none
    user_stop = False  # under which there is no recovery
    _silent = 0  # states told since the last command

    @property
    def robot_state(self):
        """As franky-sim's, with what has stopped the arm."""
        state = super().robot_state.replace(**STEADY)
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

    def _handle_udp_command(self, command_data: bytes) -> None:
        self._silent = 0
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
