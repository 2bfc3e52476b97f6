# SPDX-License-Identifier: Apache-2.0
"""A simulated arm that stops itself: `franky-sim` never does, so this one does it on request.

Run as a program with an address. Each line on its standard input aborts the running motion over
the arm's protocol, as a collision would on a real arm; the error stays until it is recovered.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

CARTESIAN_REFLEX = 7  # its place among the 41 error flags of the protocol


@contextlib.contextmanager
def reflex_arm(address: str):
    """Yields a function that makes the arm at `address` stop itself."""
    process = subprocess.Popen([sys.executable, __file__, address], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def collide() -> None:
        process.stdin.write('\n')
        process.stdin.flush()
        assert process.stdout.readline() == 'collided\n'

    try:
        assert process.stdout.readline() == 'ready\n'
        yield collide
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
        hurt = False
        collision = threading.Event()

        @property
        def robot_state(self):
            state = super().robot_state
            if not self.hurt:
                return state
            errors = tuple(k == CARTESIAN_REFLEX for k in range(41))
            return state.replace(errors=errors, reflex_reason=errors,
                                 robot_mode=protocol.RobotMode.kReflex)

        def _pre_process_commands(self):
            super()._pre_process_commands()
            if self.collision.is_set():
                self.collision.clear()
                motion = self.current_motion_id
                self.stop_motion(send_preemption_signal=False)
                self.hurt = True
                self.reset_current_motion_id()
                if motion:
                    protocol.BaseCommand.send_response(
                        self._tcp_socket, protocol.RobotCommand.kMove, motion,
                        protocol.MoveStatus.kReflexAborted)
                print('collided', flush=True)

    def recover(command, server):
        server.hurt = False
        command.reply(protocol.AutomaticErrorRecoveryStatus.kSuccess)

    protocol.AutomaticErrorRecoveryCommand.handle = recover
    simulation_server.FrankaRobotServer = ReflexServer
    with new_simulator() as simulator, simulation_server.SimulationServer(
            simulator, hostname_candidates=[address]) as server:
        server.run_async()
        print('ready', flush=True)
        for _ in sys.stdin:
            ReflexServer.collision.set()


if __name__ == '__main__':
    serve(sys.argv[1])
