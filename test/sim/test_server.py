# SPDX-License-Identifier: Apache-2.0
"""The arm server as its users meet it: over the protocol, several at once, and when things die."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.sim.scene import SimError  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from jepa_wm_ros.sim.shared_state import SharedState  # noqa: E402
from jepa_wm_ros.sim.variation import cell_of_seed  # noqa: E402

pytestmark = pytest.mark.real_time


@pytest.fixture(scope='module')
def server(new_arm_address):
    with ArmServer(new_arm_address()) as server:
        yield server


def test_two_arms_stand_side_by_side_on_two_addresses(server, new_arm_address):
    with ArmServer(new_arm_address()) as second:
        for arm in (server, second):
            with socket.create_connection((arm.address, 1337), timeout=2):
                pass
            np.testing.assert_allclose(arm.snapshot().qpos[:7], FR3.home, atol=1e-3)
    assert server.alive and not second.alive


def test_physics_goes_on_and_stamps_are_the_time_of_the_state(server):
    first = server.snapshot()
    before = time.time_ns()
    second = later(server, 0.05)
    assert second.steps > first.steps
    assert second.sim_time - first.sim_time == pytest.approx(
        (second.steps - first.steps) * 1e-3, abs=1e-6
    )
    assert before < second.stamp <= time.time_ns()


def test_a_taken_address_is_refused_in_one_line(server):
    with pytest.raises(SimError) as refusal:
        ArmServer(server.address).start()
    assert 'port 1337 or 1338 is taken' in str(refusal.value)
    assert server.address in str(refusal.value) and '\n' not in str(refusal.value)


@pytest.mark.parametrize('wrong', ['192.168.1.3', 'localhost', ''])
def test_an_address_off_this_machine_is_refused(wrong):
    with pytest.raises(SimError, match='not a loopback address'):
        ArmServer(wrong).start()


def test_the_cube_is_put_where_asked_and_stays_there(server):
    wanted = cell_of_seed(5).cube_pose
    server.reset_cube(wanted)
    np.testing.assert_allclose(later(server, 0.2).qpos[9:], wanted, atol=1e-3)


def test_a_stopped_server_says_so(new_arm_address):
    stopped = ArmServer(new_arm_address())
    stopped.start()
    stopped.stop()
    stopped.stop()
    with pytest.raises(SimError, match='start it again'):
        stopped.snapshot()
    with pytest.raises(SimError, match='start it again'):
        stopped.reset_cube(cell_of_seed(0).cube_pose)


@pytest.fixture
def no_server_can_start(monkeypatch):
    """Makes every arm server run a few lines of Python instead, as one that fails would."""

    def instead(text):
        start = subprocess.Popen
        monkeypatch.setattr(
            subprocess,
            'Popen',
            lambda command, **how: start([sys.executable, '-S', '-c', text], **how),
        )

    return instead


@pytest.mark.parametrize(
    'text, said',
    [
        (
            'import atexit, sys; atexit.register(sys.stderr.write, "bye"); import ctypes.none',
            "ended with status 1: ModuleNotFoundError: No module named 'ctypes.none'",
        ),
        ('import os; os.abort()', 'ended by SIGABRT: it said nothing'),
        ('import sys; sys.exit("error: the table is missing")', 'the table is missing'),
    ],
)
def test_why_a_server_could_not_start_is_said_and_passed_on(
    no_server_can_start, new_arm_address, capfd, text, said
):
    no_server_can_start(text)
    with pytest.raises(SimError) as ended:
        ArmServer(new_arm_address()).start()
    assert said in str(ended.value) and '\n' not in str(ended.value)
    if 'nothing' not in said:
        assert said.rpartition(': ')[2] in capfd.readouterr().err


def test_a_server_that_was_killed_is_missed_with_how_it_ended(new_arm_address):
    with ArmServer(new_arm_address()) as server:
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait(10)
        for use in (server.snapshot, lambda: server.reset_cube(cell_of_seed(0).cube_pose)):
            with pytest.raises(SimError, match='ended by SIGKILL.*start it again'):
                use()


def test_no_server_outlives_the_process_that_started_it(new_arm_address):
    script = (
        'import sys, signal; from jepa_wm_ros.sim.server import ArmServer\n'
        f'arm = ArmServer({new_arm_address()!r}); arm.start()\n'
        'print(arm._process.pid, flush=True); signal.pause()\n'
    )
    with subprocess.Popen(
        [sys.executable, '-c', script], stdout=subprocess.PIPE, text=True
    ) as parent:
        server_pid = int(parent.stdout.readline())
        gone = os.pidfd_open(server_pid)
        try:
            parent.send_signal(signal.SIGKILL)
            assert wait_readable(gone, 10), 'the server still runs'
        finally:
            os.close(gone)


def test_a_reader_never_sees_half_a_state():
    script = """
import sys
from types import SimpleNamespace
import numpy as np
from jepa_wm_ros.sim.shared_state import SharedState
state, steps = SharedState(int(sys.argv[1])), 0
data = SimpleNamespace(time=0.0, qpos=np.zeros(16), site_xpos=np.zeros((1, 3)),
                       site_xmat=np.zeros((1, 9)))
while True:
    state.write(data, 0, 0.0, steps, 0.0)
    steps += 1
    data.qpos[:] = steps
"""
    reader = SharedState()
    with subprocess.Popen(
        [sys.executable, '-c', script, str(reader.fd)], pass_fds=[reader.fd]
    ) as writer:
        try:
            seen = set()
            while len(seen) < 3000:
                assert writer.poll() is None
                snapshot = reader.read()
                assert (snapshot.qpos == snapshot.steps).all()
                seen.add(snapshot.steps)
        finally:
            writer.kill()
    reader.close()


def test_direct_steps_do_what_a_blocking_move_of_the_real_protocol_does(server):
    franky = pytest.importorskip('franky')
    from jepa_wm_ros.sim.direct import DirectCell

    arm = franky.Robot(server.address, realtime_config=franky.RealtimeConfig.Ignore)
    arm.relative_dynamics_factor = 0.3
    start = server.snapshot().hand_pose
    steps = np.array([[0.05, 0.0, -0.03], [0.0, -0.06, 0.02], [0.004, 0.003, 0.0]])
    with DirectCell() as cell:
        cell.reset(start)
        for step in steps:
            begin = server.snapshot().hand_pose[:3]
            arm.move(
                franky.CartesianMotion(
                    franky.Affine(begin + step, [1.0, 0.0, 0.0, 0.0]), franky.ReferenceType.Absolute
                )
            )
            achieved = later(server, 0.4).hand_pose[:3] - begin
            before = cell.pose[:3]
            _, pose = cell.step(np.array([*step, 0, 0, 0, 0]))
            np.testing.assert_allclose(pose[:3] - before, achieved, atol=4e-3)
    arm.move(franky.JointMotion([float(q) for q in FR3.home]))


def test_the_arm_listens_at_its_own_address_alone(server):
    franky = pytest.importorskip('franky')
    arm = franky.Robot(server.address, realtime_config=franky.RealtimeConfig.Ignore)
    gripper = franky.Gripper(server.address)
    listening = sockets_of(server._process.pid)
    assert {protocol for protocol, _ in listening} == {'tcp', 'udp'}
    assert {address for _, address in listening} == {server.address}
    del arm, gripper


def sockets_of(pid):
    """Protocol and local address of every internet socket that a process has open."""
    files = [os.readlink(f'/proc/{pid}/fd/{fd}') for fd in os.listdir(f'/proc/{pid}/fd')]
    found = set()
    for protocol in ('tcp', 'udp', 'tcp6', 'udp6'):
        for line in Path(f'/proc/{pid}/net/{protocol}').read_text().splitlines()[1:]:
            words = line.split()
            if f'socket:[{words[9]}]' in files:
                packed = bytes.fromhex(words[1].split(':')[0])[::-1]
                found.add((protocol, '.'.join(map(str, packed))))
    return found


def later(server, seconds):
    """The snapshot once this much time has passed in the simulation."""
    start = server.snapshot().sim_time
    while (snapshot := server.snapshot()).sim_time < start + seconds:
        threading.Event().wait(0.01)
    return snapshot


def wait_readable(fd, timeout):
    return bool(select.select([fd], [], [], timeout)[0])
