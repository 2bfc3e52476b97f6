# SPDX-License-Identifier: Apache-2.0
"""The skilled explorer on an arm that does as it is told, and in the simulated cell."""

import numpy as np
import pytest

from jepa_wm_ros.actions import GRIPPER, POSITION, waypoint
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.skills import TABLE, SkilledExplorer, nearest_side

CUBE = np.array([0.5, 0.0, 0.025, 0.3])


def walk(seed, steps=200, thing=CUBE):
    """Poses (T + 1, 7) and actions (T, 7) of an arm that goes exactly where it is told; what its
    fingers close about goes with it.
    """
    explorer = SkilledExplorer(np.random.default_rng(seed))
    pose = explorer.start_pose()
    poses, actions, held = [pose], [], False
    thing = None if thing is None else thing.copy()
    for _ in range(steps):
        action = explorer.action(pose, pose, thing)
        pose = waypoint(pose, pose, action)
        pose[POSITION] = np.clip(pose[POSITION], TABLE.low, TABLE.high)
        if thing is not None:
            near = np.linalg.norm(pose[POSITION] - thing[:3]) < 0.03
            held = pose[GRIPPER] > 0.5 and (held or (near and action[GRIPPER] > 0))
            if held:
                thing[:3] = pose[POSITION]
            else:
                thing[2] = CUBE[2]  # it falls
        poses.append(pose)
        actions.append(action)
    return np.array(poses), np.array(actions)


@pytest.mark.parametrize('seed', range(4))
def test_no_step_is_longer_than_the_arm_may_go_and_strokes_are_made_standing(seed):
    _, actions = walk(seed)
    assert (np.linalg.norm(actions[:, POSITION], axis=1) <= FR3.max_step + 1e-9).all()
    assert (np.abs(actions[:, 5]) <= FR3.max_turn + 1e-9).all() and not actions[:, 3:5].any()


def test_things_are_grasped_lifted_and_let_go_of():
    closes = opens = lifted = 0
    for seed in range(12):
        poses, actions = walk(seed)
        near = np.linalg.norm(poses[:-1, :3] - CUBE[:3], axis=1) < 0.05
        closes += ((actions[:, GRIPPER] > 0.5) & near).sum()
        opens += (actions[:, GRIPPER] < -0.5).sum()
        lifted += ((poses[:, GRIPPER] > 0.5) & (poses[:, 2] > 0.08)).sum()
    assert closes >= 12 and opens >= 24 and lifted > 100


def test_the_hand_also_stays_where_it_has_let_go_or_is_about_to():
    rests = strokes = 0
    for seed in range(12):
        _, actions = walk(seed)
        stands = np.linalg.norm(actions[:, POSITION], axis=1) < 0.012
        at = np.flatnonzero(np.abs(actions[1:-1, GRIPPER]) > 0.5) + 1
        strokes += 2 * len(at)
        rests += stands[at - 1].sum() + stands[at + 1].sum()
    assert 0.3 < rests / strokes < 0.8


def test_most_pushes_are_made_with_a_closed_hand():
    shares = []
    for seed in range(40):
        poses, _ = walk(seed, steps=40)
        at = (poses[1:, 2] > 0.035) & (poses[1:, 2] < 0.065)  # about as high as pushes are made
        across = np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1) > 0.03
        shares += list(poses[1:][at & across, GRIPPER] > 0.5)
    assert np.mean(shares) > 0.4


def test_without_a_thing_it_explores():
    poses, _ = walk(0, thing=None)
    assert np.ptp(poses[:, :3], axis=0).min() > 0.1


@pytest.mark.parametrize(
    ('yaw', 'near', 'side'), [(0.1, 0.0, 0.1), (np.pi / 2 + 0.1, 0.0, 0.1), (0.7, 0.9, 0.7)]
)
def test_fingers_lie_along_the_nearest_sides(yaw, near, side):
    assert nearest_side(yaw, near) == pytest.approx(side)
    assert abs(nearest_side(yaw, near) - near) <= np.pi / 4 + 1e-9
