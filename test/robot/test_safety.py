# SPDX-License-Identifier: Apache-2.0
"""The safety envelope: whatever is asked, what comes out may be sent to an arm."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jepa_wm_ros.actions import angle_between, slerp
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.robot.pose import Pose, UnsafeCommandError
from jepa_wm_ros.robot.safety import (
    SafetyEnvelope,
    WorkspaceError,
    joints_after,
    limit,
    moved,
    proximity_scale,
    step_scale,
    tilt,
)

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
ENVELOPE = SafetyEnvelope()
# A box whose far corners lie beyond the reach, so that every limit can bind.
WIDE = SafetyEnvelope(low=(0.2, -0.6, 0.05), high=(0.8, 0.6, 0.9))


def about(axis, angle):
    """Quaternion of a rotation by `angle` about a base axis."""
    return np.append(np.sin(angle / 2) * np.asarray(axis, float), np.cos(angle / 2))


def times(a, b):
    """Hamilton product of quaternions (x, y, z, w)."""
    return np.append(
        a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3]), a[3] * b[3] - a[:3] @ b[:3]
    )


def tilted(angle):
    """The hand pointing down, leaned by `angle` about the base x axis."""
    return times(about([1, 0, 0], angle), DOWN)


def pose(x=0.5, y=0.0, z=0.2, quaternion=DOWN):
    return Pose.of([x, y, z], quaternion)


coordinate = st.floats(-2.0, 2.0, allow_nan=False)
positions = st.tuples(coordinate, coordinate, coordinate).map(np.array)
component = st.floats(-1.0, 1.0, allow_nan=False)
quaternions = (
    st.tuples(component, component, component, component)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)


@st.composite
def inside(draw, envelope=WIDE):
    """Poses inside an envelope, corners and walls included."""
    unit = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0]))
    low, high = np.array(envelope.low), np.array(envelope.high)
    position = low + np.array([draw(unit) for _ in range(3)]) * (high - low)
    assume(envelope.outside(position) == 0.0)
    heading = draw(st.floats(0.0, 2 * np.pi))
    lean = draw(st.floats(0.0, envelope.max_tilt - 1e-6))
    axis = [np.cos(heading), np.sin(heading), 0.0]
    spin = about([0, 0, 1], draw(st.floats(-np.pi, np.pi)))
    return Pose.of(position, times(about(axis, lean), times(spin, DOWN)))


@settings(max_examples=400, deadline=None)
@given(present=inside(), shift=positions, quaternion=quaternions)
def test_from_inside_every_result_is_inside_near_finite_and_stable(present, shift, quaternion):
    try:
        step = limit(WIDE, present, Pose.of(present.position + shift / 5, quaternion))
    except WorkspaceError:
        return
    assert WIDE.contains(step.target)
    assert present.distance(step.target) <= WIDE.max_step + 1e-8
    assert present.angle(step.target) <= WIDE.max_turn + 1e-6
    assert np.isfinite([*step.target.position, *step.target.quaternion, step.fraction]).all()
    again = limit(WIDE, present, step.target)
    assert again.target.distance(step.target) < 1e-8
    assert again.target.angle(step.target) < 1e-6


@settings(max_examples=300, deadline=None)
@given(position=positions, quaternion=quaternions, goal=positions, other=quaternions)
def test_from_anywhere_a_step_never_leads_further_out(position, quaternion, goal, other):
    present = Pose.of(position, quaternion)
    try:
        step = limit(WIDE, present, Pose.of(position + goal / 10, other))
    except WorkspaceError:
        return
    assert WIDE.outside(step.target.position) <= WIDE.outside(position) + 1e-8
    assert tilt(step.target.quaternion) <= max(tilt(quaternion), WIDE.max_tilt) + 1e-6
    assert present.distance(step.target) <= WIDE.max_step + 1e-8


@settings(max_examples=200, deadline=None)
@given(present=inside(), shift=st.tuples(*[st.floats(-0.04, 0.04)] * 3), turn=st.floats(-0.1, 0.1))
def test_a_small_step_inside_passes_untouched(present, shift, turn):
    target = Pose.of(
        present.position + np.array(shift), times(about([0, 0, 1], turn), present.quaternion)
    )
    assume(WIDE.contains(target))
    step = limit(WIDE, present, target)
    assert not step.clipped and step.fraction == pytest.approx(1.0) and not step.reason
    assert step.target.distance(target) < 1e-8


def test_a_long_step_is_shortened_along_its_direction():
    step = limit(ENVELOPE, pose(), pose(x=0.6, y=0.1))
    assert step.target.position == pytest.approx([0.5 + 0.075 / 2**0.5, 0.075 / 2**0.5, 0.2])
    assert step.clipped and step.fraction == pytest.approx(0.075 / (0.1 * 2**0.5))


def test_a_long_turn_is_shortened_about_its_axis():
    step = limit(ENVELOPE, pose(), pose(quaternion=times(about([0, 0, 1], 0.6), DOWN)))
    expected = times(about([0, 0, 1], 0.15), DOWN)
    assert angle_between(step.target.quaternion, expected) < 1e-9
    assert step.fraction == pytest.approx(0.25)


def test_a_step_into_the_wall_slides_along_it():
    step = limit(ENVELOPE, pose(x=0.65), pose(x=0.69, y=0.04))
    assert step.target.position == pytest.approx([0.66, 0.04, 0.2])
    assert step.clipped and 'box' in step.reason


def test_a_step_that_keeps_less_than_a_tenth_is_refused():
    with pytest.raises(WorkspaceError, match='workspace box'):
        limit(ENVELOPE, pose(z=0.05), pose(z=-0.02))


def test_a_target_ten_times_further_than_a_step_is_refused():
    with pytest.raises(WorkspaceError, match='step of'):
        limit(ENVELOPE, pose(y=-0.2), pose(y=0.8))


def test_the_table_is_kept_clear_even_when_the_arm_sags_onto_the_limit():
    sagging = pose(z=0.0446)
    step = limit(ENVELOPE, sagging, pose(x=0.54, z=0.0446))
    assert step.target.position[2] >= ENVELOPE.low[2] - 1e-12
    assert step.target.position[0] == pytest.approx(0.54)
    assert limit(ENVELOPE, sagging, pose(z=0.0440)).target.position[2] == pytest.approx(0.045)


def test_reach_binds_where_the_box_does_not():
    envelope = SafetyEnvelope(low=(0.2, -0.6, 0.05), high=(0.9, 0.6, 0.9), max_reach=0.7)
    step = limit(envelope, pose(x=0.68, z=0.333), pose(x=0.74, z=0.333))
    assert step.target.position == pytest.approx([0.7, 0.0, 0.333], abs=1e-6)
    assert 'reach' in step.reason


def test_an_arm_guided_outside_may_come_back_but_not_go_on():
    out = pose(x=0.75)
    step = limit(ENVELOPE, out, pose(x=0.70))
    assert step.target.position == pytest.approx([0.70, 0.0, 0.2])
    with pytest.raises(WorkspaceError, match='further out'):
        limit(ENVELOPE, out, pose(x=0.78))
    still = limit(ENVELOPE, out, pose(x=0.75, quaternion=times(about([0, 0, 1], 0.1), DOWN)))
    assert np.array_equal(still.target.position, out.position)


def test_the_hand_does_not_tilt_out_of_its_cone_but_may_come_back():
    step = limit(ENVELOPE, pose(quaternion=tilted(0.55)), pose(quaternion=tilted(0.68)))
    assert tilt(step.target.quaternion) == pytest.approx(0.6, abs=1e-6)
    beyond = pose(quaternion=tilted(0.9))
    back = limit(ENVELOPE, beyond, pose(quaternion=tilted(0.8)))
    assert tilt(back.target.quaternion) == pytest.approx(0.8, abs=1e-6)
    with pytest.raises(WorkspaceError, match='tilted'):
        limit(ENVELOPE, beyond, pose(quaternion=tilted(1.0)))


@pytest.mark.parametrize(
    'position, quaternion',
    [
        ([np.nan, 0, 0.2], DOWN),
        ([0.5, np.inf, 0.2], DOWN),
        ([0.5, 0, 0.2], [np.nan, 0, 0, 1]),
        ([0.5, 0.2], DOWN),
        ([0.5, 0, 0.2], [0, 0, 1]),
        ([0.5, 0, 0.2], [0, 0, 0, 0]),
        ([[0.5, 0, 0.2]], DOWN),
        (['a', 0, 0.2], DOWN),
    ],
)
def test_what_is_not_a_pose_is_refused_with_one_line(position, quaternion):
    with pytest.raises(UnsafeCommandError) as refusal:
        limit(ENVELOPE, pose(), Pose.of(position, quaternion, 'target'))
    assert '\n' not in str(refusal.value) and str(refusal.value).startswith('target')
    with pytest.raises(UnsafeCommandError):
        limit(ENVELOPE, pose(), Pose(np.array([0.5, 0, np.nan]), DOWN))


def test_an_envelope_that_cannot_be_is_refused():
    with pytest.raises(JepaWmError, match='empty'):
        SafetyEnvelope(low=(0.7, -0.2, 0.1))
    with pytest.raises(JepaWmError, match='above 0'):
        SafetyEnvelope(max_step=0.0)


def test_an_arm_that_moved_since_the_plan_is_noticed():
    assert moved(pose(), pose(x=0.504), 0.005, np.deg2rad(1)) == ''
    assert moved(pose(), pose(x=0.506), 0.005, np.deg2rad(1)).startswith('arm moved 6.0 mm')
    turned = pose(quaternion=times(about([0, 1, 0], np.deg2rad(1.2)), DOWN))
    assert moved(pose(), turned, 0.005, np.deg2rad(1)).startswith('arm moved')


MIDDLE = (FR3.joint_low + FR3.joint_high) / 2


def jacobian_of_condition(condition):
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    right, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 7)))
    return left @ np.hstack([np.diag([condition, 3, 2, 2, 1.5, 1]), np.zeros((6, 1))]) @ right


@pytest.mark.fault(18)
@pytest.mark.parametrize('condition, scale', [(10, 1), (17, 1), (23.5, 0.5), (30, 0), (1e6, 0)])
def test_near_a_singularity_the_arm_slows_down_and_then_halts(condition, scale):
    jacobian = jacobian_of_condition(condition)
    assert proximity_scale(MIDDLE, jacobian) == pytest.approx(scale, abs=1e-6)


@pytest.mark.parametrize('margin, scale', [(0.5, 1), (0.2, 1), (0.15, 0.5), (0.1, 0), (-0.2, 0)])
@pytest.mark.parametrize('joint', [0, 3, 6])
def test_near_a_joint_limit_the_arm_slows_down_and_then_halts(joint, margin, scale):
    for q_limit, sign in ((FR3.joint_low, 1), (FR3.joint_high, -1)):
        q = MIDDLE.copy()
        q[joint] = q_limit[joint] + sign * margin
        assert proximity_scale(q, jacobian_of_condition(5)) == pytest.approx(scale, abs=1e-6)


def test_a_step_away_from_a_limit_is_not_slowed():
    assert step_scale(now=0.0, then=0.2) == 1.0
    assert step_scale(now=0.6, then=0.3) == 0.3
    assert step_scale(now=0.0, then=0.0) == 0.0


def test_joints_after_a_step_follow_the_jacobian():
    jacobian = jacobian_of_condition(5)
    target = Pose.of([0.51, -0.005, 0.2], times(about([0, 0, 1], 0.02), DOWN))
    change = joints_after(MIDDLE, jacobian, pose(), target) - MIDDLE
    assert jacobian @ change == pytest.approx([0.01, -0.005, 0, 0, 0, 0.02], abs=1e-4)


def test_slerp_goes_the_short_way_and_meets_its_ends():
    far = -times(about([0, 0, 1], 0.4), DOWN)
    assert angle_between(slerp(DOWN, far, 0.5), times(about([0, 0, 1], 0.2), DOWN)) < 1e-9
    assert angle_between(slerp(DOWN, far, 1.0), far) < 1e-9
    assert np.array_equal(slerp(DOWN, DOWN, 0.3), DOWN)
