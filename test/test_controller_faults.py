# SPDX-License-Identifier: Apache-2.0
"""The controller node when the arm is lost, stops itself, or was never there."""

import subprocess
import sys

import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from controller_rig import PATIENT, Rig  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from reflex_arm import reflex_arm  # noqa: E402
from ros_peers import ros, spinning  # noqa: E402

from jepa_wm_ros.sim.server import ArmServer  # noqa: E402

pytestmark = pytest.mark.ros


def test_a_lost_arm_is_told_and_recover_rebuilds_the_connection(new_arm_address):
    address = new_arm_address()
    with ArmServer(address) as server, ros(arm_address=address, **PATIENT):
        rig = Rig(server)
        planner = rig.planner
        with spinning(rig.controller, planner.node):
            rig.up()
            command = planner.command(shift=(0.0, 0.07, 0.0))
            planner.send(command, wait=False)
            server._process.kill()
            status = planner.until(
                lambda: planner.status.outcome == ArmStatus.OUTCOME_FAILED)
            assert 'lost the connection' in status.message and '\n' not in status.message
            planner.until(lambda: planner.status.mode == ArmStatus.MODE_DISCONNECTED)
            assert not planner.ask('recover').success
            server.stop()
            server.start()
            answer = planner.ask('recover')
            assert answer.success and answer.message == 'recovered'
            planner.until(lambda: planner.status.mode == ArmStatus.MODE_IDLE)
            assert planner.send(planner.command(shift=(0, 0, -0.02))).outcome == (
                ArmStatus.OUTCOME_DONE)
        rig.close()


def test_a_reflex_fails_the_command_by_name_and_blocks_until_recovered(new_arm_address):
    address = new_arm_address()
    with reflex_arm(address) as collide, ros(arm_address=address, **PATIENT):
        rig = Rig(None)
        planner = rig.planner
        with spinning(rig.controller, planner.node):
            rig.up()
            command = planner.command(shift=(0.0, 0.07, 0.0))
            y = command.planned_from.position.y
            planner.send(command, wait=False)
            planner.until(lambda: planner.pose.pose.position.y > y + 0.005)
            collide()
            status = planner.until(
                lambda: planner.status.outcome == ArmStatus.OUTCOME_FAILED)
            assert 'cartesian_reflex' in status.message
            status = planner.until(lambda: planner.status.mode == ArmStatus.MODE_FAULT)
            assert status.errors == ['cartesian_reflex']
            refused = planner.send(planner.command(shift=(0, 0.02, 0)))
            assert refused.outcome == ArmStatus.OUTCOME_REFUSED
            assert 'recover' in refused.message
            assert not planner.ask('home').success
            assert planner.ask('recover').message == 'recovered'
            status = planner.until(lambda: planner.status.mode == ArmStatus.MODE_IDLE)
            assert status.errors == []
            done = planner.send(planner.command(shift=(0, 0.02, 0)))
            assert done.outcome == ArmStatus.OUTCOME_DONE
        rig.close()


@pytest.mark.parametrize('parameters, reason', [
    ({'connect_timeout': 0.5}, 'refuses the connection'),
    ({'home_q': '[0.0, 1.0]'}, 'give 7 finite numbers'),
    ({'workspace_low': '[0.9, 0.0, 0.1]'}, 'is empty'),
    ({'realtime': 'perhaps'}, 'auto, enforce or ignore'),
    ({'max_step': 5.0}, 'max_step'),
])
def test_what_cannot_start_says_so_in_one_line_and_exits(new_arm_address, parameters, reason):
    words = [word for name, value in {'arm_address': new_arm_address(), **parameters}.items()
             for word in ('-p', f'{name}:={value}')]
    ended = subprocess.run(
        [sys.executable, '-m', 'jepa_wm_ros.nodes.franka_controller', '--ros-args', *words],
        capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and reason in lines[0]
    assert 'Traceback' not in ended.stderr
