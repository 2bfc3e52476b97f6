# SPDX-License-Identifier: Apache-2.0
"""The real franky against the simulated arm, over the arm's own network protocol."""

import os
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from jepa_wm_ros.errors import FaultCode, JepaWmError  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.robot.arm_state import ArmMode  # noqa: E402
from jepa_wm_ros.robot.command import Outcome, Record  # noqa: E402
from jepa_wm_ros.robot.driver import ArmDriver  # noqa: E402
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, translate  # noqa: E402
from jepa_wm_ros.robot.franka import FrankaArm  # noqa: E402
from jepa_wm_ros.robot.gripper import FrankaGripper  # noqa: E402
from jepa_wm_ros.robot.pose import Pose, UnsafeCommandError  # noqa: E402
from jepa_wm_ros.robot.safety import SafetyEnvelope, WorkspaceError, limit  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402

pytestmark = pytest.mark.real_time

DOWN = [1.0, 0.0, 0.0, 0.0]
CENTRE = np.array([0.5, 0.0, 0.25])


def address(last):
    """A loopback address of this test process alone."""
    pid = os.getpid()
    return f'127.{128 + pid // 65536 % 64}.{pid // 256 % 256}.{pid % 200 + last}'


@pytest.fixture(scope='module')
def cell():
    """A simulated arm, and franky connected to it; the hand is above the middle of the table."""
    with ArmServer(address(1)) as server:
        arm = FrankaArm(server.address, dynamics_factor=0.3)
        arm.connect()
        arm.move_to(Pose.of(CENTRE, DOWN))
        yield server, arm
        arm.close()


@pytest.fixture(autouse=True)
def _back_to_the_middle(request):
    yield
    if 'cell' in request.fixturenames:
        _, arm = request.getfixturevalue('cell')
        centre = Pose.of(CENTRE, DOWN)
        if arm.state().pose.distance(centre) > 0.08:
            arm.move_to(centre)


def true_position(server):
    return server.snapshot().hand_pose[:3]


def in_thread(function, *args):
    """Run in a thread; returns a function that waits and returns (result, error)."""
    ended = []

    def run():
        try:
            ended.append((function(*args), None))
        except Exception as error:
            ended.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result(timeout=20.0):
        thread.join(timeout)
        assert ended, 'still running'
        return ended[0]

    return result


def wait_until(condition, timeout=10.0):
    """Poll a condition of another process."""
    pause, deadline = threading.Event(), time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        pause.wait(0.005)


def far_move(arm):
    """A motion of half a second or more, for tests that interrupt it."""
    return Pose.of(arm.state().commanded.position + [0.08, 0.12, -0.08], DOWN)


@pytest.mark.parametrize('step', [(0.06, 0.03, -0.03), (0.0, -0.05, 0.05), (-0.07, 0.0, 0.0)])
def test_a_motion_ends_where_the_simulator_says_the_hand_is(cell, step):
    server, arm = cell
    target = Pose.of(arm.state().commanded.position + step, DOWN)
    assert arm.move_to(target)
    assert np.linalg.norm(true_position(server) - target.position) < 0.002
    state = arm.state()
    assert np.linalg.norm(state.pose.position - true_position(server)) < 0.0005
    assert state.mode is ArmMode.READY and state.errors == ()
    assert state.commanded.distance(target) == 0.0


def test_the_measured_pose_is_not_the_desired_one_while_the_arm_lags(cell):
    server, arm = cell
    result = in_thread(arm.move_to, far_move(arm))
    wait_until(lambda: arm.state().mode is ArmMode.MOVING)
    gaps = []
    while arm.state().mode is ArmMode.MOVING:
        arm.newer_state()
        gaps.append(np.linalg.norm(arm.state().pose.position - true_position(server)))
    assert result() == (True, None)
    assert np.median(gaps) < 0.005  # the desired pose is 1.5 cm ahead at this speed


def test_turning_the_hand_reaches_the_orientation(cell):
    _, arm = cell
    turned = Pose.of(CENTRE, [np.cos(0.06), np.sin(0.06), 0.0, 0.0])  # 0.12 rad about z
    assert arm.move_to(turned)
    assert arm.state().pose.angle(turned) < 0.01


def test_what_is_not_finite_moves_nothing_and_breaks_nothing(cell):
    server, arm = cell
    before = true_position(server)
    nowhere = Pose(np.array([0.5, np.nan, 0.2]), np.array(DOWN))
    with pytest.raises(UnsafeCommandError, match='not finite'):
        limit(SafetyEnvelope(), arm.state().pose, nowhere)
    with pytest.raises(UnsafeCommandError, match='not finite'):  # even past the envelope
        arm.move_to(nowhere)
    assert np.linalg.norm(true_position(server) - before) < 0.001
    assert arm.fault is None and arm.state().mode is ArmMode.READY


def test_a_trajectory_that_is_not_found_is_looked_for_again_a_little_slower(cell, monkeypatch):
    server, arm = cell
    start, factors = arm._link.start, []

    def fails_once(motion):
        factors.append(motion.relative_dynamics_factor.velocity)
        if len(factors) == 1:
            raise RuntimeError('Motion planner failed with error code -111')
        start(motion)

    monkeypatch.setattr(arm._link, 'start', fails_once)
    target = Pose.of(arm.state().commanded.position + [0.02, 0.0, 0.0], DOWN)
    assert arm.move_to(target)
    assert len(factors) == 2 and factors[1] < factors[0]
    assert np.linalg.norm(true_position(server) - target.position) < 0.002
    assert arm.fault is None


@pytest.mark.fault(18)
def test_a_step_into_a_joint_limit_is_refused_without_motion(cell):
    server, arm = cell
    before = true_position(server)
    with pytest.raises(WorkspaceError, match='joint limit or a singularity'):
        arm.move_to(Pose.of([0.5, 0.0, 1.1], DOWN))
    assert np.linalg.norm(true_position(server) - before) < 0.001


def test_stop_ends_a_motion_smoothly_and_the_next_one_works(cell):
    server, arm = cell
    goal = far_move(arm)
    before = true_position(server)
    result = in_thread(arm.move_to, goal)
    wait_until(lambda: np.linalg.norm(true_position(server) - before) > 0.02)
    assert arm.stop()
    assert result() == (False, None)
    rest = true_position(server)
    assert np.linalg.norm(rest - goal.position) > 0.03
    state = arm.state()
    assert state.mode is ArmMode.READY and state.commanded.distance(state.pose) < 0.005
    assert arm.move_to(Pose.of(rest + [0, 0, 0.02], DOWN))


def test_a_cancelled_motion_never_sets_off(cell):
    server, arm = cell
    before = true_position(server)
    permit = arm.permit()
    arm.stop()  # between the acceptance of a command and the start of its motion
    assert not arm.move_to(far_move(arm), permit)
    assert not arm.home(FR3.home, permit)
    assert np.linalg.norm(true_position(server) - before) < 0.0005


def test_one_motion_at_a_time(cell):
    _, arm = cell
    result = in_thread(arm.move_to, far_move(arm))
    wait_until(lambda: arm.state().mode is ArmMode.MOVING)
    with pytest.raises(ArmError, match='is moving') as refusal:
        arm.home(FR3.home)
    assert refusal.value.kind is ErrorKind.BUSY
    assert result() == (True, None)


def test_home_is_reached_and_can_be_stopped(cell):
    _, arm = cell
    q = (0.1, -0.3, 0.0, -2.3, 0.0, 2.0, 0.785)
    result = in_thread(arm.home, q)
    start = arm.state().q
    wait_until(lambda: np.abs(arm.state().q - start).max() > 0.02)
    assert arm.stop() and result() == (False, None)
    assert arm.home(q)
    assert np.abs(arm.state().q - q).max() < 0.005


def test_states_keep_coming_while_the_arm_moves(cell):
    server, arm = cell
    steps, result = server.snapshot().steps, in_thread(arm.move_to, far_move(arm))
    stamps = set()
    wait_until(lambda: stamps.add(arm.state().robot_time) or server.snapshot().steps > steps + 800)
    assert result() == (True, None)
    assert len(stamps) > 0.8 * 30  # 30 Hz on the arm's clock


def test_recover_leaves_a_healthy_arm_alone(cell):
    _, arm = cell
    link = arm._link
    assert arm.recover() is False
    assert arm._link is link


def test_an_arm_moved_by_hand_is_commanded_from_where_it_is(cell):
    _, arm = cell
    pose = arm.state().pose
    arm._ledger.stands_at(Pose.of(pose.position + [0.0, 0.02, 0.0], DOWN))
    wait_until(lambda: arm.state().commanded.distance(pose) < 0.002)


def test_the_driver_executes_a_step_with_its_gripper(cell):
    server, arm = cell
    gripper = FrankaGripper(server.address, timeout=10.0)
    gripper.connect()
    driver = ArmDriver(arm, gripper, SafetyEnvelope())
    target = Pose.of(CENTRE + [0.0, 0.03, 0.0], DOWN)
    sent = Record(session=7, sequence=3, outcome=Outcome.EXECUTING, message='step of 0.2 m')
    done = replace(sent, outcome=Outcome.DONE)
    assert gripper.commanded == gripper.closure  # nothing has been told yet
    assert driver.execute(sent, target, 0.4, driver.permit()) == done
    assert gripper.commanded == 0.4
    assert server.snapshot().hand_pose[6] == pytest.approx(0.4, abs=0.03)
    assert gripper.closure == pytest.approx(0.4, abs=0.03)

    back, expired = Pose.of(CENTRE, DOWN), driver.permit(until=time.monotonic() - 1e-3)
    stopped = driver.execute(sent, back, 0.0, expired)
    assert (stopped.outcome, stopped.code) == (Outcome.STOPPED, FaultCode.STOPPED)
    assert (stopped.session, stopped.sequence) == (7, 3)
    assert np.linalg.norm(server.snapshot().hand_pose[:3] - target.position) < 2e-3
    assert gripper.closure == pytest.approx(0.4, abs=0.03)

    first, second, third = (gripper.request(closure) for closure in (1.0, 0.2, 0.6))
    assert third.result(30.0)
    assert second.cancelled() and (first.cancelled() or first.result())
    assert server.snapshot().hand_pose[6] == pytest.approx(0.6, abs=0.03)
    assert gripper.failure is None
    with pytest.raises(ArmError, match='not within'):
        gripper.request(1.2)
    gripper.close()
    with pytest.raises(ArmError, match='closed down'):
        driver.drive_gripper(0.0, driver.permit())


@pytest.mark.fault(22)
def test_a_gripper_that_does_not_answer_in_time_fails_and_is_not_preempted(cell):
    server, _ = cell
    gripper = FrankaGripper(server.address, timeout=0.05)
    gripper.connect()
    closure = 0.0 if gripper.closure > 0.5 else 1.0
    assert not gripper.request(closure).result(10.0)
    assert 'did not finish within' in gripper.failure and gripper.commanded == closure
    assert not gripper.request(0.5).result(10.0)
    assert 'has not answered an earlier command' in gripper.failure
    assert gripper.recover() and gripper.failure is None
    gripper.close()


def test_a_killed_server_ends_the_motion_with_one_line_and_recover_rebuilds():
    server = ArmServer(address(2))
    server.start()
    arm, gripper = FrankaArm(server.address), FrankaGripper(server.address)
    driver = ArmDriver(arm, gripper, SafetyEnvelope())
    driver.connect()
    before = true_position(server)
    result = in_thread(arm.move_to, far_move(arm))
    wait_until(lambda: np.linalg.norm(true_position(server) - before) > 0.01)
    server._process.kill()
    _, error = result()
    assert isinstance(error, ArmError) and error.kind is ErrorKind.NETWORK
    assert '\n' not in str(error) and server.address in str(error)
    assert arm.state().mode is ArmMode.DISCONNECTED
    with pytest.raises(ArmError, match='lost the connection'):
        arm.move_to(far_move(arm))
    arm._connect_timeout = 0.5
    with pytest.raises(ArmError, match='refuses the connection'):
        driver.recover()
    arm._connect_timeout = 30.0
    wait_until(lambda: gripper.failure)

    server.stop()
    server.start()
    assert driver.recover() == 'recovered'
    assert arm.state().mode is ArmMode.READY and gripper.failure is None
    assert arm.move_to(Pose.of(arm.state().pose.position + [0, 0, -0.02], DOWN))
    driver.close()
    server.stop()


def test_an_address_where_nothing_listens_is_one_line():
    begun = time.monotonic()
    with pytest.raises(ArmError) as error:
        FrankaArm(address(3), connect_timeout=0.5).connect()
    assert time.monotonic() - begun < 2.0
    assert error.value.kind is ErrorKind.NETWORK and '\n' not in str(error.value)
    assert address(3) in str(error.value) and 'start the simulated cell' in str(error.value)


def test_an_address_that_never_answers_is_given_up():
    with socket.create_server((address(4), 1337)):
        begun = time.monotonic()
        with pytest.raises(ArmError, match='did not answer within 0.5 s'):
            FrankaArm(address(4), connect_timeout=0.5).connect()
        assert time.monotonic() - begun < 2.0


def test_settings_that_make_no_sense_are_refused_before_connecting():
    with pytest.raises(JepaWmError, match='dynamics_factor'):
        FrankaArm('127.0.0.9', dynamics_factor=1.5)
    with pytest.raises(JepaWmError, match='auto, enforce or ignore'):
        FrankaArm('127.0.0.9', realtime='maybe')
    with pytest.raises(ArmError, match='not connected'):
        FrankaArm('127.0.0.9').move_to(Pose.of(CENTRE, DOWN))


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    'name, text, kind, hint',
    [
        (
            'IncompatibleVersionException',
            'libfranka: Incompatible library version\n(server version: 9)',
            ErrorKind.VERSION,
            '>= 5.9.0 needs libfranka >= 0.18',
        ),
        ('RealtimeException', 'no realtime kernel', ErrorKind.REALTIME, 'realtime to ignore'),
        ('ControlException', 'Move command aborted', ErrorKind.REFLEX, '[joint_reflex]'),
        ('CommandException', 'command rejected', ErrorKind.COMMAND, 'refused the command'),
    ],
)
def test_every_exception_of_franky_becomes_one_line_that_helps(name, text, kind, hint):
    import franky

    base = getattr(franky, name)
    error = translate(Exception.__new__(base, text), '10.0.0.2', ('joint_reflex',))
    assert error.kind is kind and hint in str(error)
    assert '\n' not in str(error) and '10.0.0.2' in str(error)


def test_a_reflex_is_named_before_a_state_tells_of_it():
    import franky

    text = 'libfranka: motion aborted by reflex! ["joint_reflex", "self_collision_avoidance"]'
    error = translate(Exception.__new__(franky.ControlException, text), '10.0.0.2')
    assert 'is stopped [joint_reflex, self_collision_avoidance] (' in str(error)


def test_a_failed_plan_is_no_fault():
    error = translate(RuntimeError('Motion planner failed with error code -100'), '10.0.0.2')
    assert error.kind is ErrorKind.PLANNER and 'nearer' in str(error)
    assert translate(RuntimeError('Net Exception'), '10.0.0.2').kind is ErrorKind.NETWORK
