# SPDX-License-Identifier: Apache-2.0
"""The controller node over DDS, driving the real franky against the simulated arm."""

import math
import threading

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from jepa_wm_msgs.msg import ArmStatus  # noqa: E402
from jepa_wm_msgs.srv import SetGripper  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.ros.base.convert import pose_message, position_and_quaternion, to_stamp  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.controller_rig import CENTRE, DOWN, PATIENT, Rig  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]


@pytest.fixture(scope='module')
def rig(new_arm_address):
    address = new_arm_address()
    with ArmServer(address) as server, ros(arm_address=address, **PATIENT):
        rig = Rig(server)
        with spinning(rig.controller, rig.planner.node):
            rig.up()
            assert rig.planner.move_to(CENTRE).success
            yield rig
        rig.close()


@pytest.fixture
def planner(rig):
    yield rig.planner
    position, _ = position_and_quaternion(rig.planner.status.pose)
    if np.linalg.norm(position - CENTRE) > 0.05:
        assert rig.planner.move_to(CENTRE).success


def test_a_command_is_executed_and_the_simulator_agrees(rig, planner):
    command = planner.command(shift=(0.03, -0.03, 0.02), gripper=0.3)
    status = planner.send(command)
    assert status.outcome == ArmStatus.OUTCOME_DONE and not status.clipped and not status.message
    target, _ = position_and_quaternion(command.target)
    assert np.linalg.norm(rig.true_position() - target) < 0.002
    assert rig.server.snapshot().hand_pose[6] == pytest.approx(0.3, abs=0.03)
    said, _ = position_and_quaternion(status.pose)
    assert np.linalg.norm(said - rig.true_position()) < 0.001
    commanded, _ = position_and_quaternion(status.commanded)
    assert np.allclose(commanded, target)
    assert status.gripper == pytest.approx(0.3, abs=0.03) and not status.gripper_failed
    assert status.mode == ArmStatus.MODE_READY and status.header.frame_id == 'fr3_link0'


def test_joints_and_pose_are_what_the_simulator_has(rig, planner):
    planner.until(lambda: planner.joints and planner.pose)
    planner.fresh_status()
    joints, truth = planner.joints, rig.server.snapshot()
    assert joints.name == [f'fr3_joint{i}' for i in range(1, 8)] + [
        'fr3_finger_joint1',
        'fr3_finger_joint2',
    ]
    assert np.allclose(joints.position, truth.qpos[:9], atol=0.002)
    assert len(joints.velocity) == 9
    position, _ = position_and_quaternion(planner.pose.pose)
    assert np.linalg.norm(position - truth.hand_pose[:3]) < 0.001
    assert planner.pose.header.frame_id == 'fr3_link0'


NOWHERE = pose_message([0.5, math.nan, 0.2], DOWN)
BAD = {
    'stale': ({}, 'old'),
    'nan target': ({'target': NOWHERE}, 'target is not finite'),
    'nan start': ({'planned_from': NOWHERE}, 'planned_from is not finite'),
    'no rotation': ({'target': pose_message([0.5, 0, 0.25], [0, 0, 0, 0])}, 'quaternion'),
    'arm moved': ({'planned_from': pose_message([0.5, 0.1, 0.25], DOWN)}, 'arm moved'),
    'huge target': ({'target': pose_message([1e308, 0, 0.25], DOWN)}, 'further than 10 m'),
    'huge start': ({'planned_from': pose_message([0, -1e308, 0], DOWN)}, 'further than 10 m'),
    'gripper': ({'gripper': 1.5}, 'not within 0 .. 1'),
    'infinite gripper': ({'gripper': math.inf}, 'not within 0 .. 1'),
}


@pytest.mark.fault(9, 39)
@pytest.mark.parametrize('name', BAD)
def test_a_bad_command_is_refused_with_its_reason_and_nothing_moves(rig, planner, name):
    fields, reason = BAD[name]
    before = rig.true_position()
    command = planner.command(shift=(0.02, 0, 0), **fields)
    if name == 'stale':
        command.header.stamp = to_stamp(planner.node.get_clock().now().nanoseconds - 5 * 10**9)
    status = planner.send(command)
    moved = name == 'arm moved'
    assert status.outcome == (ArmStatus.OUTCOME_MOVED if moved else ArmStatus.OUTCOME_REFUSED)
    assert status.error_code == (FaultCode.ARM_MOVED if moved else FaultCode.COMMAND_REFUSED)
    assert reason in status.message and '\n' not in status.message
    assert np.linalg.norm(rig.true_position() - before) < 0.0005


@pytest.mark.fault(28)
def test_a_command_in_another_frame_is_refused(planner):
    for frame in ('camera', ''):
        command = planner.command()
        command.header.frame_id = frame
        status = planner.send(command)
        assert status.outcome == ArmStatus.OUTCOME_REFUSED and "'fr3_link0'" in status.message
        assert status.error_code == FaultCode.COMMAND_REFUSED


@pytest.mark.fault(7, 39)
def test_a_replayed_command_is_refused(rig, planner):
    command = planner.command(shift=(0, 0.02, 0))
    assert planner.send(command).outcome == ArmStatus.OUTCOME_DONE
    before = rig.true_position()
    command.header.stamp = planner.node.get_clock().now().to_msg()
    command.planned_from = planner.fresh_status().pose
    planner._publisher.publish(command)
    status = planner.until(lambda: planner.status.outcome == ArmStatus.OUTCOME_REFUSED)
    assert 'replay' in status.message
    assert np.linalg.norm(rig.true_position() - before) < 0.0005


@pytest.mark.fault(17)
def test_a_long_step_is_clipped_and_a_hopeless_one_is_not_begun(rig, planner):
    start = rig.true_position()
    status = planner.send(planner.command(shift=(0, 0.15, 0)))
    assert status.outcome == ArmStatus.OUTCOME_DONE and status.clipped
    assert '0.075' in status.message
    assert np.linalg.norm(rig.true_position() - start) == pytest.approx(0.075, abs=0.003)
    start = rig.true_position()
    status = planner.send(planner.command(to=[0.5, 2.0, 0.25]))
    assert status.outcome == ArmStatus.OUTCOME_WORKSPACE and 'envelope' in status.message
    assert status.error_code == FaultCode.WORKSPACE_LIMIT
    assert np.linalg.norm(rig.true_position() - start) < 0.0005


@pytest.mark.parametrize('how', ['hold', 'stop'])
def test_a_running_command_is_ended(rig, planner, how):
    start = rig.true_position()
    command = planner.command(shift=(0, -0.07, 0))
    planner.send(command, wait=False)
    planner.until(lambda: abs(planner.pose.pose.position.y - start[1]) > 0.01)
    assert planner.ask(how).success
    status = planner.until(lambda: planner.status.outcome == ArmStatus.OUTCOME_STOPPED)
    assert planner.said_of(command) and 'stopped' in status.message
    assert status.error_code == FaultCode.STOPPED
    assert np.linalg.norm(rig.true_position() - start) < 0.068
    if how == 'stop':
        assert planner.ask('recover').message == 'recovered'
    assert planner.send(planner.command(shift=(0, 0.02, 0))).outcome == ArmStatus.OUTCOME_DONE
    assert planner.ask('hold').success  # at rest it is harmless


def test_after_a_stop_nothing_moves_until_recovered(rig, planner):
    start = rig.true_position()
    assert planner.ask('stop').message == 'the arm stands still until ~/recover is called'
    planner.until(lambda: planner.status.mode == ArmStatus.MODE_STOPPED)
    refused = planner.send(planner.command(shift=(0, 0.02, 0)))
    assert refused.outcome == ArmStatus.OUTCOME_REFUSED
    assert refused.error_code == FaultCode.STOPPED and '~/recover' in refused.message
    home = planner.ask('home')
    assert not home.success and '~/recover' in home.message
    closed = planner.ask('set_gripper', SetGripper, closure=1.0)
    assert not closed.success and '~/recover' in closed.message
    assert planner.ask('hold').success  # makes nothing of it undone
    assert planner.status.mode == ArmStatus.MODE_STOPPED
    assert np.linalg.norm(rig.true_position() - start) < 0.0005
    assert planner.ask('recover').message == 'recovered'
    planner.until(lambda: planner.status.mode == ArmStatus.MODE_READY)
    assert planner.ask('recover').message.startswith('nothing to recover from')


def test_while_a_command_runs_another_is_refused_and_does_not_hide_its_end(rig, planner):
    first = planner.command(shift=(0.05, 0.03, 0))
    planner.send(first, wait=False)
    second = planner.command(shift=(0, 0, 0.02))
    status = planner.send(second)
    assert status.outcome == ArmStatus.OUTCOME_REFUSED and 'is moving' in status.message
    planner._publisher.publish(first)  # a duplicate of the one that runs
    planner.until(
        lambda: planner.said_of(first) and (planner.status.outcome == ArmStatus.OUTCOME_DONE)
    )
    done = planner.history.index((first.session, first.sequence, ArmStatus.OUTCOME_DONE))
    refused = (first.session, first.sequence, ArmStatus.OUTCOME_REFUSED)
    assert refused not in planner.history[:done]


def test_recover_does_nothing_to_a_healthy_arm(planner):
    answer = planner.ask('recover')
    assert answer.success and 'nothing was done' in answer.message


def test_set_up_motions_go_far_but_stay_inside(rig, planner):
    corner = [0.57, -0.08, 0.18]
    assert planner.move_to(corner).success
    assert np.linalg.norm(rig.true_position() - corner) < 0.003
    for position, frame, reason in (
        ([0.9, 0, 0.2], 'fr3_link0', 'outside the safety envelope'),
        (CENTRE, 'map', "frame 'map'"),
        (CENTRE, '', "frame ''"),
        ([math.nan, 0, 0.2], 'fr3_link0', 'not finite'),
        ([1e308, 0, 0.2], 'fr3_link0', 'further than 10 m'),
    ):
        answer = planner.move_to(position, frame=frame)
        assert not answer.success and reason in answer.message
    assert np.linalg.norm(rig.true_position() - corner) < 0.003


def test_home_and_gripper_are_services(rig, planner):
    answer = planner.ask('home')
    assert answer.success, answer.message
    assert np.allclose(rig.server.snapshot().qpos[:7], rig.controller.value('home_q'), atol=0.005)
    assert planner.ask('set_gripper', SetGripper, closure=0.6).success
    assert rig.server.snapshot().hand_pose[6] == pytest.approx(0.6, abs=0.03)
    planner.until(lambda: planner.status.commanded_gripper == 0.6)
    assert not planner.ask('set_gripper', SetGripper, closure=2.0).success
    assert planner.ask('set_gripper', SetGripper, closure=0.0).success


@pytest.mark.fault(38)
def test_the_arm_speaks_of_itself_in_diagnostics(planner):
    def parts():
        return {
            status.name.split(': ')[-1]: status
            for status in (planner.diagnostics.status if planner.diagnostics else ())
        }

    planner.until(lambda: {'arm', 'commands', 'gripper'} <= set(parts()))
    values = {pair.key: pair.value for pair in parts()['arm'].values}
    assert values['mode'] in ('IDLE', 'MOVING') and 'control_command_success_rate' in values
    assert parts()['arm'].hardware_id.startswith('fr3 at 127.')


@pytest.mark.fault(36)
def test_parameters_are_described_bounded_and_mostly_fixed(rig):
    from rclpy.parameter import Parameter

    node = rig.controller
    set_one = node.set_parameters
    assert not set_one([Parameter('max_step', value=0.2)])[0].successful
    assert not set_one([Parameter('max_command_age', value=99.0)])[0].successful
    assert set_one([Parameter('max_moved_distance', value=0.006)])[0].successful
    for name in node._parameters:
        if name not in ('use_sim_time', 'start_type_description_service'):
            assert node.describe_parameter(name).description, name


@pytest.mark.fault(37)
def test_deactivating_while_moving_stops_the_arm_and_silences_the_node(rig, planner):
    start = rig.true_position()
    planner.send(planner.command(shift=(0, 0.07, 0)), wait=False)
    planner.until(lambda: abs(planner.pose.pose.position.y - start[1]) > 0.005)
    assert rig.controller.trigger_deactivate().name == 'SUCCESS'
    rest = rig.true_position()
    assert np.linalg.norm(rest - start) < 0.068
    heard = planner.heard
    threading.Event().wait(0.3)  # nine periods of its rate; one message may have been on its way
    assert planner.heard <= heard + 4
    assert np.linalg.norm(rig.true_position() - rest) < 0.002
    assert rig.controller.trigger_activate().name == 'SUCCESS'
    planner.fresh_status()
