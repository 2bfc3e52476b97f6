# SPDX-License-Identifier: Apache-2.0
"""A simulated arm that stops itself on request.

Run as a program with an address. A line `collide` on its standard input aborts the running motion
over the arm's protocol, as a collision would on a real arm, and the error stays until it is
recovered; `press` and `release` are those of a user stop, under which no recovery is possible.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys


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
    from franky_sim import simulation_server

    from jepa_wm_ros.sim import reflex
    from jepa_wm_ros.sim.scene import new_simulator

    class HurtServer(reflex.ReflexServer):
        words = queue.SimpleQueue()

        def _pre_process_commands(self):
            super()._pre_process_commands()
            while not self.words.empty():
                word = self.words.get()
                self.user_stop = word == 'press'
                if word != 'release':
                    self.abort(reflex.CARTESIAN_REFLEX if word == 'collide' else None)
                print(word, flush=True)

    reflex.install()
    simulation_server.FrankaRobotServer = HurtServer
    with (
        new_simulator() as simulator,
        simulation_server.SimulationServer(simulator, hostname_candidates=[address]) as server,
    ):
        server.run_async()
        print('ready', flush=True)
        for line in sys.stdin:
            HurtServer.words.put(line.strip())


if __name__ == '__main__':
    serve(sys.argv[1])
