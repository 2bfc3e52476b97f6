# SPDX-License-Identifier: Apache-2.0
"""The controller node when the arm is lost, stops itself, or was never there."""

import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky')
pytest.importorskip('franky_sim')

import rclpy  # noqa: E402
from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.robot.arm_state import ArmMode  # noqa: E402
from jepa_wm_ros.robot.command import Outcome, Record  # noqa: E402
from jepa_wm_ros.robot.faults import ArmError, ErrorKind  # noqa: E402
from jepa_wm_ros.ros.nodes.franka_controller import FrankaController  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.controller_rig import PATIENT, Planner, Rig  # noqa: E402
from support.python_process import node, python  # noqa: E402
from support.reflex_arm import reflex_arm  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]


@pytest.mark.fault(20)
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
            status = planner.until(lambda: planner.status.outcome == ArmStatus.OUTCOME_FAILED)
            assert 'lost the connection' in status.message and '\n' not in status.message
            assert status.error_code == FaultCode.ARM_LOST
            planner.until(lambda: planner.status.mode == ArmStatus.MODE_DISCONNECTED)
            arm = rig.controller.driver.arm
            patience, arm._connect_timeout = arm._connect_timeout, 0.5
            assert not planner.ask('recover').success
            arm._connect_timeout = patience
            server.stop()
            server.start()
            answer = planner.ask('recover')
            assert answer.success and answer.message == 'recovered'
            planner.until(lambda: planner.status.mode == ArmStatus.MODE_READY)
            assert planner.send(planner.command(shift=(0, 0, -0.02))).outcome == (
                ArmStatus.OUTCOME_DONE
            )
        rig.close()


@pytest.mark.fault(37)
def test_whoever_waits_for_a_command_hears_its_end_also_when_it_was_ended_by_force():
    """Seen beside busy processes only: the arm's connection was dropped, and so was the outcome."""
    done = []

    def by_force():
        raise ArmError(ErrorKind.REFLEX, 'it did not stop as asked')

    status = SimpleNamespace(wait_for_all_acked=lambda _: done.append('outcome heard'))
    node = SimpleNamespace(
        driver=SimpleNamespace(hold=by_force),
        worker=SimpleNamespace(drain=lambda: done.append('command ended')),
        _said={'status': status},
    )
    with pytest.raises(ArmError, match='did not stop'):
        FrankaController.halt(node)
    assert done == ['command ended', 'outcome heard']


@pytest.mark.fault(37)
def test_no_command_is_said_to_have_ended_beside_a_state_from_before_its_end(new_arm_address):
    """Seen on a busy machine only: the command ended between the reading of the state and its
    telling, and what was told was a stopped command and an arm that moves."""
    address = new_arm_address()
    with ArmServer(address) as server, ros(arm_address=address, **PATIENT):
        rig = Rig(server)
        controller, said = rig.controller, []
        rig.up()
        running, arm = Record(1, 1, Outcome.EXECUTING), controller.driver.arm

        class Ending:
            """The arm whose command ends just after its state was read."""

            fault = None

            def state(self):
                before = replace(arm.state(), mode=ArmMode.MOVING)
                controller._last = replace(running, outcome=Outcome.STOPPED)
                return before

        controller._last, controller.driver.arm = running, Ending()
        controller._said['status'] = SimpleNamespace(publish=said.append)
        controller._publish()
        controller.driver.arm = arm
        controller._publish()
        moving, ended = said
        assert (moving.outcome, moving.mode) == (ArmStatus.OUTCOME_EXECUTING, ArmStatus.MODE_MOVING)
        assert (ended.outcome, ended.mode) == (ArmStatus.OUTCOME_STOPPED, ArmStatus.MODE_READY)
        rig.close()


@pytest.mark.fault(19)
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
            status = planner.until(lambda: planner.status.outcome == ArmStatus.OUTCOME_FAILED)
            assert 'cartesian_reflex' in status.message
            assert status.error_code == FaultCode.ROBOT_REFLEX
            status = planner.until(lambda: planner.status.mode == ArmStatus.MODE_FAULT)
            assert status.errors == ['cartesian_reflex']
            refused = planner.send(planner.command(shift=(0, 0.02, 0)))
            assert refused.outcome == ArmStatus.OUTCOME_REFUSED
            assert 'recover' in refused.message
            assert refused.error_code == FaultCode.ROBOT_REFLEX
            assert not planner.ask('home').success
            assert planner.ask('recover').message == 'recovered'
            status = planner.until(lambda: planner.status.mode == ArmStatus.MODE_READY)
            assert status.errors == []
            done = planner.send(planner.command(shift=(0, 0.02, 0)))
            assert done.outcome == ArmStatus.OUTCOME_DONE
        rig.close()


@pytest.mark.fault(6, 37)
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_when_the_controller_ends_the_arm_comes_to_rest_within_its_step(new_arm_address, how):
    address = new_arm_address()
    with ArmServer(address) as server, ros():
        planner = Planner()
        start = server.snapshot().hand_pose[:3]
        with (
            node('franka_controller', arm_address=address, **PATIENT) as process,
            spinning(planner.node),
        ):
            planner.send(planner.command(shift=(0.0, 0.07, 0.0)), wait=False)
            planner.until(lambda: planner.pose and planner.pose.pose.position.y > start[1] + 0.005)
            process.send_signal(how)
            errors, _ = process.communicate(timeout=30)
        steps = server.snapshot().steps
        while server.snapshot().steps < steps + 300:  # 0.3 s of the arm's time
            threading.Event().wait(0.01)
        rest = server.snapshot().hand_pose[:3]
        assert 0.005 < np.linalg.norm(rest - start) < 0.071
        steps = server.snapshot().steps
        while server.snapshot().steps < steps + 200:
            threading.Event().wait(0.01)
        assert np.linalg.norm(server.snapshot().hand_pose[:3] - rest) < 0.001
        assert process.returncode == (0 if how is signal.SIGINT else -signal.SIGKILL)
        assert 'Traceback' not in errors and 'error' not in errors.lower(), errors
        planner.node.destroy_node()


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_that_still_waits_for_its_arm(ros_domain, new_arm_address, how):
    with (
        ros(),
        node('franka_controller', arm_address=new_arm_address(), connect_timeout=60.0) as process,
    ):
        peer = rclpy.create_node('peer')
        client = peer.create_client(GetState, 'franka_controller/get_state')
        assert client.wait_for_service(60.0)
        process.send_signal(how)
        asked = time.monotonic()
        errors, _ = process.communicate(timeout=30)
        assert time.monotonic() - asked < 3.0  # one, and what a loaded machine needs
        peer.destroy_node()
    assert process.returncode == 0 and 'Traceback' not in errors, errors


@pytest.mark.parametrize('name', ['planner', 'demo'])
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_ends_the_process_without_a_word(how, name):
    start = 'print(flush=True); from jepa_wm_ros.cli import main; main()'
    with python('-c', start, name) as process:
        process.stdout.readline()
        threading.Event().wait(0.5)
        process.send_signal(how)
        said, _ = process.communicate(timeout=30)
    assert process.returncode in (0, -how) and not said


def test_a_parameters_file_is_read_or_named_in_one_line(tmp_path, new_arm_address):
    file = tmp_path / 'params.yaml'
    file.write_text(
        '/**/franka_controller: {ros__parameters: {max_stp: 0.01, connect_timeout: 0.5}}'
    )
    with node('franka_controller', params_file=file, arm_address=new_arm_address()) as process:
        errors, _ = process.communicate(timeout=60)
    assert 'parameter max_stp is not one of this node: did you mean max_step?' in errors
    file.write_text('/**/franka_controller: {ros__parameters: [')
    with node('franka_controller', params_file=file) as process:
        errors, _ = process.communicate(timeout=60)
    lines = [line for line in errors.splitlines() if line.startswith('error: ')]
    assert process.returncode == 1 and 'Traceback' not in errors
    assert len(lines) == 1 and str(file) in lines[0]


@pytest.mark.parametrize(
    'parameters, reason',
    [
        ({'connect_timeout': 0.5}, 'refuses the connection'),
        ({'home_q': '[0.0, 1.0]'}, 'give 7 finite numbers'),
        ({'workspace_low': '[0.9, 0.0, 0.1]'}, 'is empty'),
        ({'realtime': 'perhaps'}, 'auto, enforce or ignore'),
        ({'max_step': 5.0}, 'max_step'),
    ],
)
def test_what_cannot_start_says_so_in_one_line_and_exits(new_arm_address, parameters, reason):
    with node('franka_controller', arm_address=new_arm_address(), **parameters) as process:
        errors, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = [line for line in errors.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and reason in lines[0]
    assert 'Traceback' not in errors
