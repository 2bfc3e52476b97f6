# SPDX-License-Identifier: Apache-2.0
"""A hand that comes down on a cube: how hard it presses, by the simulator's own contact forces."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from jepa_wm_ros.robot.arm_state import ArmMode  # noqa: E402
from jepa_wm_ros.robot.command import Outcome, Record  # noqa: E402
from jepa_wm_ros.robot.contact import GUARD, Contact, Guard  # noqa: E402
from jepa_wm_ros.robot.driver import ArmDriver  # noqa: E402
from jepa_wm_ros.robot.franka import FrankaArm  # noqa: E402
from jepa_wm_ros.robot.pose import Pose  # noqa: E402
from jepa_wm_ros.robot.safety import SafetyEnvelope, WorkspaceError  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.arm_clock import after  # noqa: E402

DOWN = [1.0, 0.0, 0.0, 0.0]
CUBE = [0.5, 0.1, 0.025, 1.0, 0.0, 0.0, 0.0]
BESIDE = 0.035  # along y: one finger of an open hand is above the cube, which is 5 cm high
REFLEX = 30.0  # N, at which the real arm would stop itself


def pose(height, beside=BESIDE):
    return Pose.of([CUBE[0], CUBE[1] + beside, height], DOWN)


def test_only_a_motion_down_to_near_the_table_is_slow():
    guard = Guard(height=0.1, dynamics_factor=0.02)
    assert guard.speed(pose(0.12), pose(0.08), 0.1) == 0.02
    assert guard.speed(pose(0.12), pose(0.08), 0.01) == 0.01  # never faster than configured
    assert guard.speed(pose(0.16), pose(0.12), 0.1) == 0.1
    assert guard.speed(pose(0.08), pose(0.12), 0.1) == 0.1
    assert guard.speed(pose(0.08), pose(0.08, beside=0.1), 0.1) == 0.1


def test_a_load_that_the_arm_was_not_told_of_is_no_contact():
    assert repr(Contact(10.0, -9.8).condition) == '(F_z > 0.200000) || (F_z < -19.800000)'


@pytest.fixture
def pressing(new_arm_address):
    """Makes an arm with a guard, its hand 7 cm above the table beside the middle of a cube."""
    opened = []

    def make(guard):
        server = ArmServer(new_arm_address()).__enter__()
        opened.append(server.__exit__)
        arm = FrankaArm(server.address, guard=guard)
        arm.connect()
        opened.append(lambda *_: arm.close())
        assert arm.move_to(pose(0.1))
        server.reset_cube(np.array(CUBE))
        assert arm.move_to(pose(0.07)) and not arm.touched
        return server, arm

    yield make
    for close in reversed(opened):
        close(None, None, None)


@pytest.mark.real_time
def test_the_hand_goes_back_up_from_what_it_presses_on_and_says_so(pressing):
    server, arm = pressing(GUARD)
    driver = ArmDriver(arm, None, SafetyEnvelope(low=(0.3, -0.3, 0.02)))
    sent = Record(1, 1, Outcome.EXECUTING, message='step of 0.2 m')
    for _ in range(2):
        said = driver.execute(sent, pose(0.035), None, driver.permit())
        assert said.outcome is Outcome.DONE and said.clipped
        assert said.message.startswith('step of 0.2 m, the hand pressed on something with 1')
        state, snapshot = arm.state(), server.snapshot()
        assert GUARD.contact_force < arm.touched < snapshot.table_force + 0.1 < REFLEX
        assert (
            0.055 < state.pose.position[2] < 0.065
        )  # above the cube, in all but the fingers' tips
        assert state.commanded.distance(state.pose) < 1e-3
    assert driver.drive_to(pose(0.035), driver.permit()).startswith('the hand pressed')

    assert arm.move_to(pose(0.09)) and arm.touched == 0.0
    assert arm.move_to(pose(0.09, beside=0.0)) and arm.touched == 0.0
    assert (
        arm.move_to(pose(0.03, beside=0.0)) and arm.touched == 0.0
    )  # the cube between its fingers
    assert arm.state().pose.position[2] < 0.035


@pytest.mark.real_time
def test_what_was_touched_is_of_the_last_motion_also_of_one_that_was_refused(pressing):
    _, arm = pressing(GUARD)
    assert arm.move_to(pose(0.035)) and arm.touched
    with pytest.raises(WorkspaceError):
        arm.move_to(Pose.of([0.5, 0.0, 1.1], DOWN))
    assert arm.touched == 0.0


@pytest.mark.real_time
@pytest.mark.parametrize('delay', [0, 5, 20, 60])
def test_a_stop_at_a_contact_stops_whatever_the_reaction_does(pressing, delay):
    """delay: from the first force to the stop, in milliseconds of the arm's clock; the hand goes
    back up for some 100 of them. Where the stop comes first, no reaction bounds the force: with
    what the arm lags behind its command it presses on.
    """
    server, arm = pressing(GUARD)
    ended = []
    mover = threading.Thread(target=lambda: ended.append(arm.move_to(pose(0.035))))
    mover.start()
    while not server.snapshot().table_force:
        time.sleep(0.001)  # the truth in another process, which announces nothing
    after(server, delay)
    assert arm.stop()
    rest = server.snapshot().hand_pose[:3]
    mover.join(20.0)
    assert ended and arm.state().mode is ArmMode.READY and arm.fault is None
    assert np.linalg.norm(after(server, 300) - rest) < 1e-3


@pytest.mark.real_time
def test_without_it_the_same_way_down_presses_many_times_as_hard(pressing):
    server, arm = pressing(Guard(contact_force=1000.0, dynamics_factor=0.1))
    arm.move_to(pose(0.035))
    assert arm.touched == 0.0
    assert server.snapshot().table_force > 3 * REFLEX
