# SPDX-License-Identifier: Apache-2.0
"""Row 40: logging can stop; what the node does goes on."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky_sim')

import rclpy  # noqa: E402
from builtin_interfaces.msg import Time  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from rcl_interfaces.msg import Log  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros.errors import Fault, FaultCode  # noqa: E402
from jepa_wm_ros.ros.base import faults  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.controller_rig import PATIENT, Planner  # noqa: E402
from support.outputs import full_disk, unread_pipe  # noqa: E402
from support.python_process import node  # noqa: E402
from support.ros_peers import call, ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time, pytest.mark.fault(40)]

SOON = 5.0  # s; a quiet machine needs 0.1, a node that waits for its output never answers
CHATTY = """
import sys
from std_srvs.srv import Trigger
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.run import leave, run

class Chatty(NodeBase):
    def __init__(self):
        super().__init__('chatty')

    def start(self):
        self.create_service(Trigger, '~/talk', self._on_talk)

    def _on_talk(self, _request, response):
        for number in range(300):
            self.get_logger().info('x' * 10_000)
            print('y' * 1_000, file=sys.stderr if number % 2 else sys.stdout)
        response.success = True
        return response

leave(run(Chatty))
"""


@contextlib.contextmanager
def full_file_system(folder):
    """The folder as a small file system without a free byte; skips where it cannot be mounted."""
    mounted = ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'jepa_wm_ros_test', str(folder)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip('may not mount a file system')
    try:
        with contextlib.suppress(OSError), (folder / 'filler').open('wb', buffering=0) as filler:
            while filler.write(b'.' * 4096):
                pass
        yield
    finally:
        subprocess.run(['umount', '--lazy', str(folder)], check=True)


@contextlib.contextmanager
def chatty_process(output, folder, variable='ROS_LOG_DIR'):
    process = subprocess.Popen(
        [sys.executable, '-c', CHATTY],
        stdout=output,
        stderr=output,
        env={**os.environ, variable: str(folder)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def served_in(node, name, timeout=SOON) -> float:
    """How long the node took to serve a Trigger, in seconds."""
    begun = time.monotonic()
    assert call(node, Trigger, name, Trigger.Request(), timeout).success
    return time.monotonic() - begun


@pytest.mark.parametrize('output', [unread_pipe, full_disk])
def test_a_node_that_says_three_megabytes_into_nowhere_answers(ros_domain, tmp_path, output):
    with ros(), output() as file, chatty_process(file, tmp_path):
        peer = rclpy.create_node('peer')
        with spinning(peer):
            served_in(peer, 'chatty/talk', 60.0)
            assert served_in(peer, 'chatty/talk') < SOON
        peer.destroy_node()


def test_a_node_answers_whose_logs_are_on_a_full_disk(ros_domain, tmp_path):
    with ros(), full_file_system(tmp_path), (tmp_path / 'output').open('w') as file:
        peer = rclpy.create_node('peer')
        with chatty_process(file, tmp_path), spinning(peer):
            served_in(peer, 'chatty/talk', 60.0)
            assert served_in(peer, 'chatty/talk') < SOON
        peer.destroy_node()


def test_ros_keeps_a_log_file_only_where_it_is_asked_to(ros_domain, tmp_path, monkeypatch):
    monkeypatch.delenv('ROS_LOG_DIR', raising=False)
    for variable in ('HOME', 'ROS_LOG_DIR'):
        folder = tmp_path / variable
        folder.mkdir()
        with ros(), chatty_process(subprocess.DEVNULL, folder, variable):
            peer = rclpy.create_node('peer')
            with spinning(peer):
                served_in(peer, 'chatty/talk', 60.0)
            peer.destroy_node()
        assert bool(list(folder.rglob('*.log'))) == (variable == 'ROS_LOG_DIR')


def test_a_node_starts_where_no_ros_log_can_be_made(ros_domain, tmp_path):
    (tmp_path / 'file').touch()
    with ros(), chatty_process(subprocess.DEVNULL, tmp_path / 'file' / 'log'):
        peer = rclpy.create_node('peer')
        with spinning(peer):
            served_in(peer, 'chatty/talk', 60.0)
        peer.destroy_node()


def test_the_controller_speaks_and_stops_while_refused_commands_flood_in(
    ros_domain, new_arm_address
):
    address = new_arm_address()
    with ArmServer(address), ros(), unread_pipe() as file:
        planner = Planner()
        heard, logged = [], []
        planner.node.create_subscription(
            ArmStatus, 'arm_status', lambda _: heard.append(time.monotonic()), 5
        )
        planner.node.create_subscription(Log, '/rosout', lambda log: logged.append(log.msg), 1000)
        process = node('franka_controller', file, arm_address=address, **PATIENT)
        with process, spinning(planner.node):
            late = planner.command()
            late.header.stamp = Time()
            begun = time.monotonic()
            for _ in range(500):
                late.sequence += 1
                planner._publisher.publish(late)
                threading.Event().wait(0.002)  # the flood has a rate
            assert served_in(planner.node, 'franka_controller/stop') < SOON
            planner.until(lambda: refused(planner) > 100)
            times = [begun, *(stamp for stamp in heard if stamp > begun), time.monotonic()]
            assert max(b - a for a, b in zip(times, times[1:], strict=False)) < SOON
            assert 1 <= sum(text.startswith('command ') for text in logged) < 10, logged
            assert planner.ask('recover').success
            done = planner.send(planner.command(shift=(0, 0, -0.02)))
            assert done.outcome == ArmStatus.OUTCOME_DONE
        planner.node.destroy_node()


def refused(planner) -> int:
    """How many commands the controller's diagnostics say it has refused."""
    values = [
        int(value.value)
        for status in (planner.diagnostics.status if planner.diagnostics else [])
        for value in status.values
        if value.key == 'refused'
    ]
    return max(values, default=0)


def test_a_flood_of_errors_is_thinned_but_another_one_is_told(monkeypatch):
    said, now = [], [0.0]
    monkeypatch.setattr(faults.time, 'monotonic', lambda: now[0])
    log = faults.ErrorLog(SimpleNamespace(error=said.append))
    for number in range(2000):
        now[0] = number / 1000
        log.tell(Fault(FaultCode.STALE_STATE, f'the state is {number} ms old'), 'command')
        log.tell(Fault(FaultCode.ARM_LOST, 'the arm is lost'), 'state')
    assert said.count('state: the arm is lost') == 2
    assert len(said) == 2 * faults.MOST_LINES
