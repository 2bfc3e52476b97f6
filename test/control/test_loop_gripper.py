# SPDX-License-Identifier: Apache-2.0
"""The reach loop with a gripper: strokes, empty hands, grasps begun anew."""

import math

import numpy as np
import pytest

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.loop import MOST_MISSED, Reach
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from support.toy_cell import StraightPlanner, ToyCell, reach


def test_the_gripper_is_left_alone_without_a_policy_and_switched_with_one():
    cell = ToyCell()
    reach(cell, steps=1)
    assert math.isnan(cell.grippers[0])
    closing = ToyCell()
    reach(closing, action=np.array([0, 0, 0, 0, 0, 0, 0.9]), steps=1, gripper=GripperPolicy())
    assert closing.grippers == [1.0]


def test_the_hand_stands_while_the_gripper_makes_a_stroke_and_what_followed_is_planned_anew():
    cell = ToyCell()
    begin = [*cell.pose[:3], 3.0, 0.1, 0.2]  # how it is turned by command, not as measured
    lift_and_close = np.array([0, 0, 0.07, 0, 0, 0.1, 1.0])
    reach(cell, action=lift_and_close, steps=2, gripper=GripperPolicy())
    assert cell.targets[0][:6] == pytest.approx(begin) and cell.grippers == [1.0, 1.0]
    assert cell.targets[1][2] == pytest.approx(begin[2] + 0.07)


def test_a_plan_is_told_which_strokes_the_hand_can_make():
    cell, told = ToyCell(), []

    class Asked(StraightPlanner):
        def plan(self, cost, *, strokes, **more):
            told.append(strokes)
            return super().plan(cost, **more)

    closing = np.array([0, 0, 0, 0, 0, 0, 1.0])
    for gripper in (None, GripperPolicy(min_hold_steps=2)):
        goals = GoalSequence(1, 'steps', steps_per_goal=3)
        Reach(cell, Asked(cell, closing), gripper, goals, Limits(3, 60.0)).run([0])
    assert told == [None, None, None, (1,), (), (-1,)]  # a command is held for two steps


class Slippery(ToyCell):
    """Whose fingers close on nothing at the first strokes, and then on a thing."""

    vain = 2

    def move(self, target, planned_from, gripper):
        motion = super().move(target, planned_from, gripper)
        closings = sum(b > a for a, b in zip([0.0, *self.grippers], self.grippers, strict=False))
        self.pose[6] = gripper * (1.0 if closings <= self.vain else 0.4)
        return motion


def test_a_grasp_that_missed_is_seen_by_the_width_and_begun_again_from_the_goal_before():
    cell = Slippery(goals=[np.array([0.5, 0.2, 0.3]), np.array([0.5, 0.2, 0.4])])
    visited = []
    goals = GoalSequence(2, 'steps', steps_per_goal=4)
    closing = np.array([0, 0, 0, 0, 0, 0, 1.0])
    outcome = Reach(
        cell,
        StraightPlanner(cell, closing),
        GripperPolicy(min_hold_steps=0, reopens=True),
        goals,
        Limits(20, 60.0),
        say=lambda said: visited.append(said.goal_index),
    ).run([0, 1])
    assert outcome.code is FaultCode.SUCCEEDED
    vain = [1.0, 0.0, 0.0, 0.0]  # opens, and moves on before it closes again
    assert cell.grippers[:8] == 2 * vain and all(cell.grippers[8:]) and len(cell.grippers) == 14
    changes = [b for a, b in zip([-1, *visited], visited, strict=False) if a != b]
    assert changes == [0, 1, 0, 1], 'at the first goal there is none before it'


def test_a_thing_that_is_not_there_is_not_grasped_for_ever():
    cell = Slippery(goals=[np.array([0.5, 0.2, 0.3])])
    cell.vain = 100
    outcome = Reach(
        cell,
        StraightPlanner(cell, np.array([0, 0, 0, 0, 0, 0, 1.0])),
        GripperPolicy(min_hold_steps=0, reopens=True),
        GoalSequence(1, 'steps', steps_per_goal=50),
        Limits(50, 60.0),
    ).run([0])
    assert outcome.code is FaultCode.NO_PROGRESS and 'closed on nothing 4 times' in outcome.message
    assert sum(closure == 1.0 for closure in cell.grippers) == MOST_MISSED and cell.stops == 1


def test_a_hand_that_has_closed_on_nothing_moves_on_before_it_closes_again():
    gripper = GripperPolicy(min_hold_steps=0, reopens=True)
    gripper.update(1.0, 0.0)
    assert gripper.strokes == (-1,)
    gripper.update(1.0, 1.0)
    told = []
    for _ in range(3):
        told.append(gripper.strokes)
        gripper.update(0.0, 0.0)
    assert told == [(), (), (1,)]
