# SPDX-License-Identifier: Apache-2.0
"""A simulated arm that stops itself: `franky-sim` never does, so this one does it on request.

Run as a program with an address. A line `collide` on its standard input aborts the running motion
over the arm's protocol, as a collision would on a real arm, and the error stays until it is
recovered; `press` and `release` are those of a user stop, under which no recovery is possible.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys

CARTESIAN_REFLEX = 7  # its place among the 41 error flags of the protocol


@contextlib.contextmanager
def reflex_arm(address: str):
    """Yields a function that sends `collide`, `press` or `release` to the arm at `address`."""
    process = subprocess.Popen(
        [sys.executable, __file__, address],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def send(word: str = 'collide') -> None:
        process.stdin.write(word + '\n')
        process.stdin.flush()
        assert process.stdout.readline() == word + '\n'

    try:
        assert process.stdout.readline() == 'ready\n'
        yield send
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def serve(address: str) -> None:
    """Serve the arm until standard input ends."""
    from franky_sim import franka_robot_protocol as protocol
    from franky_sim import simulation_server
    from franky_sim.franka_robot_server import FrankaRobotServer

    from jepa_wm_ros.sim.scene import new_simulator

    class ReflexServer(FrankaRobotServer):
        hurt = pressed = False
        words = queue.SimpleQueue()

        @property
        def robot_state(self):
            state = super().robot_state
            if self.pressed:
                return state.replace(robot_mode=protocol.RobotMode.kUserStopped)
            if self.hurt:
                errors = tuple(k == CARTESIAN_REFLEX for k in range(41))
                return state.replace(
                    errors=errors, reflex_reason=errors, robot_mode=protocol.RobotMode.kReflex
                )
            return state

        def _pre_process_commands(self):
            super()._pre_process_commands()
            while not self.words.empty():
                word = self.words.get()
                self.hurt |= word == 'collide'
                self.pressed = word == 'press'
                if word != 'release':
                    self.abort()
                print(word, flush=True)

        def abort(self):
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

    def recover(command, server):
        status = protocol.AutomaticErrorRecoveryStatus
        server.hurt = server.hurt and server.pressed
        command.reply(status.kCommandNotPossibleRejected if server.pressed else status.kSuccess)

    protocol.AutomaticErrorRecoveryCommand.handle = recover
    simulation_server.FrankaRobotServer = ReflexServer
    with (
        new_simulator() as simulator,
        simulation_server.SimulationServer(simulator, hostname_candidates=[address]) as server,
    ):
        server.run_async()
        print('ready', flush=True)
        for line in sys.stdin:
            ReflexServer.words.put(line.strip())


if __name__ == '__main__':
    serve(sys.argv[1])
