# SPDX-License-Identifier: Apache-2.0
"""A thing that somebody has pointed at is followed by what the hand does, by hand-made walks."""

import numpy as np
import pytest

from jepa_wm_ros.recordings.pointed import FORGOTTEN, Pointed

PLACE = np.array([0.5, 0.1, 0.025, 0.3])
HELD, EMPTY_HAND = 0.4, 1.0  # measured closures


def pose(place, closure=0.0, yaw=0.3):
    return np.array([*place, np.pi, 0.0, yaw, closure])


def told(closure):
    return np.array([0.0, 0.0, 0.0, np.pi, 0.0, 0.0, closure])


@pytest.fixture
def thing():
    return Pointed(PLACE, empty=0.93)


def grasp(thing, closure, at=PLACE[:3]):
    thing.follow(pose(at), told(0.0))
    return thing.follow(pose(at, closure), told(1.0))


def test_it_lies_where_it_was_pointed_at_until_it_is_grasped(thing):
    for y in (-0.2, 0.0, 0.1):
        np.testing.assert_array_equal(thing.follow(pose([0.5, y, 0.2]), told(0.0)), PLACE)
    assert not thing.held


def test_held_it_goes_with_the_hand_and_let_go_of_it_lies_below(thing):
    grasp(thing, HELD)
    assert thing.held
    there = thing.follow(pose([0.45, -0.1, 0.2], HELD, yaw=-0.5), told(1.0))
    np.testing.assert_allclose(there, [0.45, -0.1, 0.2, -0.5])
    there = thing.follow(pose([0.45, -0.1, 0.2], 0.0, yaw=-0.5), told(0.0))
    np.testing.assert_allclose(there, [0.45, -0.1, 0.025, -0.5])
    assert not thing.held


def test_what_the_fingers_lose_on_the_way_is_not_carried_on(thing):
    grasp(thing, HELD)
    thing.follow(pose([0.45, -0.1, 0.2], HELD), told(1.0))
    there = thing.follow(pose([0.6, 0.0, 0.2], EMPTY_HAND), told(1.0))
    np.testing.assert_allclose(there[:3], [0.45, -0.1, 0.025])


def test_a_hand_that_closes_elsewhere_has_not_got_it(thing):
    grasp(thing, HELD, at=[0.4, -0.1, 0.2])
    assert not thing.held and not thing.lost


def test_grasped_in_vain_again_and_again_it_is_lost_and_one_grasp_forgives(thing):
    for _ in range(FORGOTTEN - 1):
        assert grasp(thing, EMPTY_HAND) is not None
    grasp(thing, HELD)
    thing.follow(pose(PLACE[:3]), told(0.0))
    for _ in range(FORGOTTEN - 1):
        assert grasp(thing, EMPTY_HAND) is not None
    assert grasp(thing, EMPTY_HAND) is None and thing.lost


def test_pushed_it_lies_before_the_hand_and_passed_by_or_approached_from_above_where_it_lay(thing):
    thing.follow(pose([0.40, 0.1, 0.05], 1.0), told(1.0))
    there = thing.follow(pose([0.55, 0.1, 0.05], 1.0), told(1.0))
    np.testing.assert_allclose(there[:2], [0.585, 0.1])
    for before, after in (
        ([0.4, 0.2, 0.05], [0.6, 0.2, 0.05]),  # beside it
        ([0.5, 0.1, 0.2], [0.65, 0.1, 0.2]),  # above it
        ([0.56, 0.1, 0.12], [0.585, 0.1, 0.03]),  # down to it
    ):
        thing.follow(pose(before), told(0.0))
        np.testing.assert_allclose(thing.follow(pose(after), told(0.0))[:2], [0.585, 0.1])


@pytest.mark.parametrize(
    ('yaw', 'beside', 'closure', 'left'),
    [(0.0, 0.01, 0.0, True), (0.0, 0.03, 0.0, False), (np.pi / 2, 0.01, 0.0, False)]
    + [(0.0, 0.01, 1.0, False)],
)
def test_what_open_fingers_pass_on_both_sides_stays_where_it_is(thing, yaw, beside, closure, left):
    y = PLACE[1] + beside
    thing.follow(pose([0.40, y, 0.05], closure, yaw), told(closure))
    there = thing.follow(pose([0.55, y, 0.05], closure, yaw), told(closure))
    assert (there[:2] == PLACE[:2]).all() if left else there[0] > 0.55
