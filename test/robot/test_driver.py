# SPDX-License-Identifier: Apache-2.0
"""A command is judged without ROS and without an arm: what passes is one safe step, what does not
says why by a code."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.robot.arm_state import ArmMode, ArmState
from jepa_wm_ros.robot.command import Command, CommandLimits, Outcome, refused_as
from jepa_wm_ros.robot.driver import ArmDriver
from jepa_wm_ros.robot.faults import CODES, ArmError, ErrorKind
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.safety import SafetyEnvelope

DOWN = (1.0, 0.0, 0.0, 0.0)
HERE = (0.5, 0.0, 0.25)
LIMITS = CommandLimits('fr3_link0', 0.5, 0.2, 0.005, 0.02)
ENVELOPE = SafetyEnvelope()
NOW = 1000.0  # s


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """It stands still: however slow the machine, a state is as old as the test says."""
    monkeypatch.setattr('jepa_wm_ros.robot.driver.time', SimpleNamespace(monotonic=lambda: NOW))


def driver(mode=ArmMode.READY, age=0.0, fault=None):
    pose = Pose.of(HERE, DOWN)
    state = ArmState(NOW - age, 0.0, mode, np.zeros(7), np.zeros(7), pose, pose, (), 1.0)
    return ArmDriver(SimpleNamespace(state=lambda: state, fault=fault), None, ENVELOPE)


def command(**fields):
    shifted = ((0.52, 0.0, 0.25), DOWN)
    plain = dict(
        session=1,
        sequence=1,
        age=0.0,
        frame='fr3_link0',
        target=shifted,
        planned_from=(HERE, DOWN),
        gripper=math.nan,
    )
    return Command(**(plain | fields))


def test_a_good_command_is_one_step():
    step = driver().judge(command(), LIMITS)
    assert step.target.position == pytest.approx([0.52, 0.0, 0.25]) and not step.clipped
    assert command(gripper=0.3).closure == 0.3 and command().closure is None


REFLEX = ArmError(ErrorKind.REFLEX, 'arm is stopped')
LOST = ArmError(ErrorKind.NETWORK, 'arm lost the connection')
BAD = [
    ({'age': 3.0}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'old'),
    ({'age': -3.0}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'future'),
    ({'sequence': 0}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'replay'),
    ({'frame': ''}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, "frame ''"),
    ({'frame': 'map'}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, "'fr3_link0'"),
    ({'gripper': 1e308}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'not within'),
    ({'gripper': math.inf}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'not within'),
    (
        {'target': ((math.nan, 0, 0), DOWN)},
        {},
        FaultCode.COMMAND_REFUSED,
        Outcome.REFUSED,
        'finite',
    ),
    ({'target': ((1e308, 0, 0), DOWN)}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, '10 m'),
    ({'target': (HERE, (0, 0, 0, 0))}, {}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'length'),
    ({'planned_from': ((0.5, 0.1, 0.25), DOWN)}, {}, FaultCode.ARM_MOVED, Outcome.MOVED, 'moved'),
    (
        {'target': ((0.5, 5.0, 0.25), DOWN)},
        {},
        FaultCode.WORKSPACE_LIMIT,
        Outcome.WORKSPACE,
        'of the step is left',
    ),
    ({}, {'mode': ArmMode.MOVING}, FaultCode.COMMAND_REFUSED, Outcome.REFUSED, 'is moving'),
    ({}, {'age': 1.0}, FaultCode.STALE_STATE, Outcome.REFUSED, 'state is 1.00 s old'),
    ({}, {'fault': REFLEX}, FaultCode.ROBOT_REFLEX, Outcome.REFUSED, 'is stopped'),
    ({}, {'fault': LOST}, FaultCode.ARM_LOST, Outcome.REFUSED, 'lost'),
]


@pytest.mark.parametrize('fields, arm, code, outcome, reason', BAD)
def test_a_bad_command_is_refused_with_its_code_and_outcome(fields, arm, code, outcome, reason):
    with pytest.raises(JepaWmError, match=reason) as refusal:
        driver(**arm).judge(command(**fields), LIMITS)
    assert refusal.value.code is code and refused_as(refusal.value) is outcome


def test_while_a_job_is_under_way_nothing_else_is_taken():
    with pytest.raises(ArmError, match='is moving'):
        driver().judge(command(), LIMITS, busy=True)


def test_what_leads_out_of_the_box_has_an_outcome_of_its_own():
    below = SafetyEnvelope(low=(0.34, -0.26, 0.25))
    arm = driver()
    arm.envelope = below
    with pytest.raises(JepaWmError) as refusal:
        arm.judge(command(target=((0.5, 0.0, 0.1), DOWN)), LIMITS)
    assert refusal.value.code is FaultCode.WORKSPACE_LIMIT
    assert refused_as(refusal.value) is Outcome.WORKSPACE


def test_every_kind_of_trouble_has_a_code():
    assert CODES.keys() == set(ErrorKind)


ANY = st.floats()
POSES = st.tuples(st.tuples(ANY, ANY, ANY), st.tuples(ANY, ANY, ANY, ANY) | st.just(DOWN))


@given(target=POSES, planned=POSES | st.just((HERE, DOWN)), gripper=ANY | st.just(math.nan))
def test_no_command_ever_yields_more_than_one_step_inside(target, planned, gripper):
    """Whatever the numbers are, 1e308 and NaN among them."""
    try:
        step = driver().judge(command(target=target, planned_from=planned, gripper=gripper), LIMITS)
    except JepaWmError as error:
        assert error.code is not FaultCode.INTERNAL
        return
    assert ENVELOPE.contains(step.target)
    here = Pose.of(HERE, DOWN)
    assert here.distance(step.target) <= ENVELOPE.max_step + 1e-6
    assert here.angle(step.target) <= ENVELOPE.max_turn + 1e-6


@given(st.tuples(*[st.floats(0.1, 10) | st.floats(-10, -0.1)] * 3))
def test_a_far_target_moves_the_hand_or_is_refused_but_is_never_done_without_a_step(target):
    try:
        step = driver().judge(command(target=(target, DOWN)), LIMITS)
    except JepaWmError as error:
        assert error.code is FaultCode.WORKSPACE_LIMIT
        return
    if np.linalg.norm(np.subtract(target, HERE)) > 0.1:
        assert step.clipped and step.target.distance(Pose.of(HERE, DOWN)) > 0.005
