# SPDX-License-Identifier: Apache-2.0
"""When to go on to the next goal, and when the hand really opens or closes."""

import math

import pytest

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import MOVES_ON, GripperPolicy
from jepa_wm_ros.planning import SettingsError


def walk(goals, costs):
    """Index before each step, until finished."""
    path = []
    for cost in costs:
        goals.update(cost)
        if goals.finished:
            return path, True
        path.append(goals.index)
        goals.step()
    return path, False


@pytest.mark.parametrize(
    ('switch_on', 'path', 'finished'),
    [('cost', [0, 0, 0, 1, 1], True), ('steps', [0, 0, 1, 1], True), ('either', [0, 0, 1], True)],
)
def test_goals_switch_on_cost_on_steps_or_on_either(switch_on, path, finished):
    costs = [0.9, 0.8, 0.7, 0.1, 0.6, 0.1]
    goals = GoalSequence(2, switch_on, cost_threshold=0.2, steps_per_goal=2)
    assert walk(goals, costs) == (path, finished)


def test_a_goal_already_reached_finishes_without_a_step():
    goals = GoalSequence(1, 'cost', cost_threshold=0.5)
    assert goals.update(0.5) and goals.finished and goals.reached


def test_each_goal_can_have_its_own_number_of_steps():
    goals = GoalSequence(3, 'steps', steps_per_goal=[1, 3, 2])
    assert walk(goals, [1.0] * 9) == ([0, 1, 1, 1, 2, 2], True)
    assert not goals.reached


def test_a_cost_that_is_not_a_number_never_reaches_a_goal():
    goals = GoalSequence(1, 'cost', cost_threshold=0.5)
    assert not goals.update(math.nan) and not goals.update(math.inf)


@pytest.mark.parametrize(
    'arguments',
    [
        {'count': 0},
        {'count': 1, 'switch_on': 'cost'},
        {'count': 1, 'switch_on': 'steps'},
        {'count': 2, 'switch_on': 'steps', 'steps_per_goal': [3]},
        {'count': 1, 'switch_on': 'time', 'cost_threshold': 1.0},
        {'count': 1, 'switch_on': 'either', 'cost_threshold': math.nan, 'steps_per_goal': 3},
    ],
)
def test_a_switch_that_could_never_happen_is_refused(arguments):
    with pytest.raises(SettingsError):
        GoalSequence(**arguments)


def test_the_hand_keeps_its_state_between_the_thresholds():
    policy = GripperPolicy(open_below=0.3, close_above=0.7, min_hold_steps=0)
    planned = [0.5, 0.69, 0.7, 0.5, 0.31, 0.3, 0.5]
    assert [policy.update(p) for p in planned] == [0, 0, 1, 1, 1, 0, 0]


def test_a_gripper_command_lasts_its_minimum_number_of_steps():
    policy = GripperPolicy(open_below=0.3, close_above=0.7, min_hold_steps=3)
    assert [policy.update(p) for p in [1, 0, 0, 0, 0]] == [1, 1, 1, 0, 0]


def test_goals_switch_when_a_plan_promises_nothing_better_but_not_before_the_first_step():
    goals = GoalSequence(2, 'plan', cost_threshold=1e-9, steps_per_goal=5)
    assert not goals.exhausted(0.0)
    goals.step()
    assert not goals.exhausted(0.2) and goals.index == 0
    assert goals.exhausted(0.01) and goals.index == 1 and not goals.finished
    goals.step()
    assert goals.exhausted(-0.3) and goals.finished
    assert not GoalSequence(1, 'steps', steps_per_goal=5).exhausted(0.0)


def test_a_hand_that_closed_on_nothing_opens_again_at_once():
    hand = GripperPolicy(min_hold_steps=3, reopens=True)
    assert hand.update(1.0, 0.0) == 1.0 and hand.switched
    assert hand.update(1.0, 0.4) == 1.0 and not hand.switched  # it holds something
    assert hand.update(1.0, 0.98) == 0.0 and hand.switched and hand.missed  # it slipped out
    for _ in range(MOVES_ON):  # not where it has just closed on nothing
        assert hand.update(1.0, 0.0) == 0.0 and not hand.missed
    assert hand.update(1.0, 0.0) == 1.0 and not hand.missed  # it can be grasped anew
    assert hand.misses == 1 and hand.update(1.0, 0.98) == 0.0 and hand.misses == 2
    assert [hand.update(1.0, 0.0) for _ in range(MOVES_ON + 1)] == [0.0] * MOVES_ON + [1.0]
    assert hand.update(1.0, 0.4) == 1.0 and hand.misses == 0  # it has got something


def test_a_hand_stays_closed_on_nothing_where_that_is_meant():
    hand = GripperPolicy(min_hold_steps=0)
    assert [hand.update(1.0, 0.98) for _ in range(3)] == [1.0] * 3


def test_a_goal_that_was_missed_is_begun_again_from_the_one_before():
    def ends(*costs: float, goes_back: bool = True, threshold: float = 0.0) -> int:
        """Where two goals of a step each stand after these distances."""
        goals = GoalSequence(2, 'steps', threshold, steps_per_goal=1, goes_back=goes_back)
        for cost in costs:
            if not goals.update(cost):
                goals.step()
        return goals.count if goals.finished else goals.index

    missed = [1.0, 0.1, 0.8, 0.041]  # the second goal: from 0.8 to 0.041
    assert ends(*missed) == 0
    assert ends(*missed, goes_back=False) == 2
    assert ends(*missed, threshold=0.041) == 2  # near enough is reached
    assert ends(1.0, 0.1, 0.8, 0.039) == 2  # of 0.8 a twentieth is 0.04
    assert ends(1.0, 0.9) == 1  # there is none before the first
    assert ends(1.0, 0.1, 0.8, math.nan) == 2
    assert ends(*missed, 0.4, 0.02, 0.8, 0.01) == 2  # and reached the second time


@pytest.mark.parametrize(
    ('last', 'threshold', 'missed'),
    [(0.041, 0.0, True), (0.039, 0.0, False), (0.041, 0.041, False), (math.nan, 0.0, False)],
)
def test_of_the_last_goal_is_told_whether_it_was_missed(last, threshold, missed):
    goals = GoalSequence(1, 'steps', threshold, steps_per_goal=1, goes_back=True)
    walk(goals, [0.8, last])  # of 0.8 a twentieth is 0.04
    assert goals.finished and goals.missed is missed


def test_a_goal_that_is_given_its_steps_alone_is_never_missed():
    goals = GoalSequence(1, 'steps', steps_per_goal=1)
    walk(goals, [0.8, 0.8])
    assert goals.finished and not goals.missed


def test_what_counts_is_the_distance_before_the_last_was_pursued_alone():
    goals = GoalSequence(2, 'steps', 0.001, steps_per_goal=1, goes_back=True)
    for cost in [1.0, 0.0, 0.8, 0.1]:  # the second: from 0.8 to 0.1, which leads back
        if not goals.update(cost):
            goals.step()
    goals.last_alone(9)
    walk(goals, [0.1, 0.03])
    assert goals.exhausted(0.0) and goals.finished
    assert not goals.missed, 'of 0.8, not of 0.1, a twentieth'


def test_a_missed_grasp_goes_back_to_the_goal_before_for_all_its_steps():
    goals = GoalSequence(2, 'steps', steps_per_goal=2)
    assert not goals.back()
    walk(goals, [1.0, 1.0])
    goals.update(1.0)
    assert goals.index == 1 and goals.back() and (goals.index, goals.steps_left) == (0, 2)
