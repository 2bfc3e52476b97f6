# SPDX-License-Identifier: Apache-2.0
"""The arm's facts against those who know them: the simulator's model and Franka's own figures."""

import numpy as np
import pytest

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import ARMS, FR3, PANDA, arm_named


@pytest.fixture(scope='module')
def simulated():
    pytest.importorskip('jepa_wm_ros.sim')
    mujoco = pytest.importorskip('mujoco')
    pytest.importorskip('franky_sim')
    from jepa_wm_ros.sim.scene import Layout, compile_model

    model = compile_model()
    return mujoco, model, Layout.of(model)


def test_joint_limits_are_those_of_the_simulated_arm(simulated):
    _, model, _ = simulated
    ranges = np.array([model.joint(f'robot0_fr3_joint{k}').range for k in range(1, 8)])
    np.testing.assert_allclose(ranges[:, 0], FR3.joint_low, atol=1e-4)
    np.testing.assert_allclose(ranges[:, 1], FR3.joint_high, atol=1e-4)


def test_the_open_hand_is_as_wide_as_the_simulated_one(simulated):
    _, model, _ = simulated
    fingers = [model.joint(f'robot0_finger_joint{k}').range for k in (1, 2)]
    assert sum(high - low for low, high in fingers) == pytest.approx(FR3.gripper_width)
    assert FR3.fingers(0.0) == FR3.finger_open and FR3.fingers(1.0) == 0.0


def test_forward_kinematics_are_those_of_the_simulated_arm(simulated):
    mujoco, model, layout = simulated
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    hand, shoulder = model.body('robot0_hand').id, model.body('robot0_fr3_link2').id
    for q in [FR3.home, *rng.uniform(FR3.joint_low, FR3.joint_high, (50, 7))]:
        data.qpos[layout.arm] = q
        mujoco.mj_kinematics(model, data)
        rotation = data.xmat[hand].reshape(3, 3)
        tip = data.xpos[hand] + rotation @ [0.0, 0.0, 0.1034]
        pose = FR3.hand_pose(q)
        np.testing.assert_allclose(pose[:3, 3], tip, atol=1e-6)
        np.testing.assert_allclose(pose[:3, :3], rotation, atol=1e-6)
        np.testing.assert_allclose(data.xpos[shoulder], FR3.shoulder, atol=1e-9)


def test_the_hand_is_that_of_libfranka():
    """NE to EE of the Franka hand: 0.1034 m beyond the flange, turned by -45 degrees."""
    flange = FR3.hand_pose(np.zeros(7))
    np.testing.assert_allclose(flange[:3, 3], [0.088, 0.0, 0.926 - 0.1034], atol=1e-9)
    np.testing.assert_allclose(flange[:3, :3] @ [1, 0, 0], [2**-0.5, 2**-0.5, 0], atol=1e-9)


def test_limits_of_the_panda_are_the_published_ones():
    degrees = {
        'low': [-166, -101, -166, -176, -166, -1, -166],
        'high': [166, 101, 166, -4, 166, 215, 166],
    }
    np.testing.assert_allclose(np.rad2deg(PANDA.joint_low), degrees['low'], atol=0.05)
    np.testing.assert_allclose(np.rad2deg(PANDA.joint_high), degrees['high'], atol=0.05)


@pytest.mark.parametrize('arm', ARMS.values(), ids=ARMS)
def test_home_is_inside_the_limits_and_the_workspace(arm):
    assert (arm.joint_low + 0.2 < arm.home).all() and (arm.home < arm.joint_high - 0.2).all()
    pose = arm.hand_pose(arm.home)
    assert (arm.workspace_low < pose[:3, 3]).all() and (
        pose[:3, 3] < arm.workspace_high + 0.2
    ).all()
    np.testing.assert_allclose(pose[:3, 2], [0, 0, -1], atol=0.06)  # pointing down
    corner = np.maximum(abs(arm.workspace_low), abs(arm.workspace_high))
    assert np.linalg.norm(corner - arm.shoulder) < arm.max_reach


def test_facts_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match='read-only'):
        FR3.home[0] = 1.0


def test_an_unknown_arm_is_refused_by_name():
    assert arm_named('panda') is PANDA
    with pytest.raises(JepaWmError, match='use fr3 or panda'):
        arm_named('ur5')


@pytest.mark.parametrize('name', ARMS)
def test_arms_of_different_prefixes_share_no_name_and_nothing_else_changes(name):
    plain, left, right = (arm_named(name, prefix) for prefix in ('', 'left_', 'right_'))
    names = [{arm.base_frame, *arm.joints, *arm.finger_joints} for arm in (plain, left, right)]
    assert [len(each) for each in names] == [10] * 3
    assert not names[0] & names[1] and not names[1] & names[2]
    assert names[1] == {f'left_{each}' for each in names[0]}
    np.testing.assert_array_equal(left.hand_pose(plain.home), plain.hand_pose(plain.home))


@pytest.mark.parametrize('prefix', ['/left', 'left arm', '1_', 'länks_'])
def test_a_prefix_that_begins_no_name_is_refused(prefix):
    with pytest.raises(JepaWmError, match='as in left_'):
        arm_named('fr3', prefix)


@pytest.mark.parametrize('name', ['cell', 'fast', 'proposal', 'reactive'])
def test_profiles_plan_no_longer_step_than_the_arm_makes(name):
    planning = pytest.importorskip('jepa_wm_ros.planning')
    assert planning.load_profile(name).settings.max_norms == (FR3.max_step,)


@pytest.mark.parametrize('name', ['grasp', 'push'])
def test_profiles_for_things_come_down_slower_than_across_within_a_step_of_the_arm(name):
    settings = pytest.importorskip('jepa_wm_ros.planning').load_profile(name).settings
    longest = dict(zip(settings.max_norm_dims, settings.max_norms, strict=True))
    assert longest[2,] < longest[0, 1] / 1.5
    assert np.hypot(longest[2,], longest[0, 1]) <= FR3.max_step
    assert longest.get((5,), 0.0) <= FR3.max_turn


@pytest.mark.parametrize('arm', ARMS.values(), ids=ARMS)
def test_the_frames_of_an_arm_begin_at_its_base_and_end_at_its_hand(arm):
    frames = arm.frames(arm.home)
    np.testing.assert_array_equal(frames[0], np.eye(4))
    np.testing.assert_array_equal(frames[-1], arm.hand_pose(arm.home))
    heights = [frame[2, 3] for frame in frames[1:3]]
    np.testing.assert_allclose(heights, 0.333)  # joint 2 sits on joint 1: Franka's specification
    assert len(frames) == 9
