# SPDX-License-Identifier: Apache-2.0
"""The simulated arm: franky-sim in a process of its own, speaking the real arm's protocol.

Its address is any loopback address 127.x.y.z, so several arms run side by side. The process ends
with the one that started it, whichever way that ends.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ipaddress
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import IO, Any

import numpy as np

from jepa_wm_ros.processes import TAIL_LINES, cause, how_ended
from jepa_wm_ros.sim.contact import TableContact
from jepa_wm_ros.sim.design import cell_design
from jepa_wm_ros.sim.scene import Layout, SimError, new_simulator
from jepa_wm_ros.sim.shared_state import SharedState, Snapshot

PERIOD = 0.001  # s, of the real arm's control loop
START_TIMEOUT = 60.0  # s
ANSWER_TIMEOUT = 5.0  # s
LAST_WORD_AFTER = 2.0  # s a stopping server may take before it is cut short


class ArmServer:
    """Starts a simulated arm at `address`, in the cell with a number (`cell_design`), and shows its
    true state; a context manager.

    Raises SimError with one line when the address cannot be used. Not for several threads at
    once, but for `snapshot`.
    """

    def __init__(self, address: str = '127.0.0.1', cell: int = 0):
        self.address, self._cell = address, cell
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ArmServer:
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; returns when the arm can be connected to."""
        _check_address(self.address)
        self._state = SharedState()
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get('PYTHONPATH')) if p)
        process = self._process = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'jepa_wm_ros.sim.server',
                '--address',
                self.address,
                '--cell',
                str(self._cell),
                '--state-fd',
                str(self._state.fd),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[self._state.fd],
            env={**os.environ, 'PYTHONPATH': path},
        )
        assert process.stdin is not None and process.stdout is not None  # pipes, as asked for
        self._requests, self._answers = process.stdin, process.stdout
        self._messages: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._listener = threading.Thread(target=self._pass_on, args=(process.stderr,), daemon=True)
        self._listener.start()
        try:
            self._await_answer(process, 'ready', START_TIMEOUT)
        except SimError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process and free its ports; harmless when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):  # a request that it did not live to read
            self._requests.close()
        try:
            process.wait(LAST_WORD_AFTER + 1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(1.0)
        self._answers.close()
        self._state.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def snapshot(self) -> Snapshot:
        """The newest state of the simulation; SimError when the server is gone."""
        self._check_alive()
        return self._state.read()

    def reset_cube(self, cube_pose: np.ndarray) -> None:
        """Put the cube at rest at position [m] and quaternion (w, x, y, z) (7,)."""
        process = self._check_alive()
        request = {'cube': [float(value) for value in cube_pose]}
        with contextlib.suppress(BrokenPipeError):  # it ended this moment: its end is the answer
            self._requests.write(json.dumps(request).encode() + b'\n')
            self._requests.flush()
        self._await_answer(process, 'done', ANSWER_TIMEOUT)

    def _await_answer(
        self, process: subprocess.Popen[bytes], expected: str, timeout: float
    ) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise SimError(
                    f'the arm server at {self.address} did not answer within '
                    f'{timeout:g} s: is the machine overloaded?'
                )
        answer = self._answers.readline().decode().strip()
        if answer != expected:
            raise SimError(f'the arm server at {self.address} {self._end(process, answer)}')

    def _check_alive(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None:
            raise SimError(f'the arm server at {self.address} does not run: start it again')
        if process.poll() is not None:
            raise SimError(f'the arm server at {self.address} {self._end(process)}; start it again')
        return process

    def _end(self, process: subprocess.Popen[bytes], answer: str = '') -> str:
        """What happened to a server that does not say what it should."""
        if answer:
            return f'gave up: {answer}'
        try:
            how = how_ended(process.wait(LAST_WORD_AFTER))
        except subprocess.TimeoutExpired:
            return 'closed its output but still runs'
        self._listener.join(1.0)
        return f'ended {how}: {cause(list(self._messages)) or "it said nothing"}'

    def _pass_on(self, messages: IO[bytes]) -> None:
        """Hand the server's messages on to our own, and keep the last: they say why it ended."""
        with messages:
            for line in messages:
                with contextlib.suppress(OSError):  # nobody reads ours any more
                    os.write(2, line)
                self._messages.append(line.decode(errors='replace').rstrip())


def _check_address(address: str) -> None:
    try:
        loopback = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SimError(
            f'{address} is not a loopback address: choose arm_address 127.x.y.z for '
            'the simulated arm'
        )


class _Server:
    """The other side of ArmServer, in the server process."""

    def __init__(self, address: str, cell: int, state: SharedState, answers):
        self._address, self._cell = address, cell
        self._state = state
        self._answers = answers
        self._requests: list[dict] = []
        self._running = True
        self._steps = 0
        self._layout: Layout  # once the cell is compiled, before its first step
        self._contact: TableContact  # likewise
        self._robots: list[Any] = []  # the arm's side of the protocol: reflex.ReflexServer
        self._table_force = 0.0

    def run(self) -> None:
        """Serve until standard input closes."""
        from franky_sim import SimulationServer

        from jepa_wm_ros.sim import reflex

        reflex.install()
        _keep_sockets_at(self._address)
        with new_simulator(cell_design(self._cell)) as simulator:
            simulator.register_pre_step_callback(self._before_step)
            simulator.register_post_step_callback(self._after_step)
            try:
                server = SimulationServer(simulator, hostname_candidates=[self._address])
                server.init()
            except OSError as error:
                raise SimError(
                    f'arm address {self._address}: port 1337 or 1338 is taken: stop the program '
                    'that has it, or choose another arm_address 127.x.y.z'
                ) from error
            self._layout = Layout.of(simulator.model)
            self._contact = TableContact(simulator.model)
            self._robots = server.robot_servers
            server.run_once(realtime=False)
            threading.Thread(target=self._listen, daemon=True).start()
            self._say('ready')
            self._keep_time(server)
            server.cleanup()

    def _keep_time(self, server) -> None:
        """Step at 1 kHz; a late step delays the rest, for hurried steps would outrun the client."""
        due = time.monotonic()
        while self._running:
            server.run_once(realtime=False)
            due = max(due + PERIOD, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))  # the beat of the loop: nothing to await

    def _listen(self) -> None:
        for line in sys.stdin:
            self._requests.append(json.loads(line))
        self._running = False
        threading.Timer(LAST_WORD_AFTER, os._exit, [1]).start()

    def _before_step(self, simulator) -> None:
        while self._requests:
            cube = self._requests.pop(0)['cube']
            simulator.data.qpos[self._layout.cube] = cube
            simulator.data.qvel[self._layout.cube_dof] = 0.0
            self._table_force = 0.0
            self._say('done')

    def _after_step(self, simulator) -> None:
        import mujoco

        mujoco.mj_kinematics(simulator.model, simulator.data)
        self._steps += 1
        closure = self._layout.closure(simulator.data.qpos)
        pressing = self._contact.force(simulator.data)
        for robot in self._robots:
            robot.pressing = pressing
        self._table_force = max(self._table_force, pressing)
        self._state.write(simulator.data, self._layout.tcp, closure, self._steps, self._table_force)

    def _say(self, word: str) -> None:
        self._answers.write(word + '\n')
        self._answers.flush()


def _keep_sockets_at(address: str) -> None:
    """Have what franky_sim listens to listen at `address` alone.

    It binds the UDP socket of its motion commands to every interface, where another host could
    command the simulated arm.
    """
    from franky_sim import franka_server

    class Here(socket.socket):
        def bind(self, place) -> None:
            super().bind((address, place[1]))

    sockets = types.ModuleType('socket')
    vars(sockets).update(vars(socket), socket=Here)
    franka_server.socket = sockets


def main(argv: list[str] | None = None) -> int:
    """Entry point of the server process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--address', required=True, help='loopback address of the arm')
    parser.add_argument('--cell', type=int, default=0, help='number of the cell')
    parser.add_argument('--state-fd', type=int, required=True, help='memory to show the state in')
    args = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the parent decides
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    try:
        _Server(args.address, args.cell, SharedState(args.state_fd), answers).run()
    except Exception as error:  # whatever it is, the process that waits must hear why
        known = isinstance(error, SimError)
        said = str(error) if known else f'{type(error).__name__}: {error}'
        print(' '.join(said.split()), file=answers, flush=True)
        if not known:
            raise
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
