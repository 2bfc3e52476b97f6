# SPDX-License-Identifier: Apache-2.0
"""A picture that was missed is given up for the last one alone, where somebody can get there."""

import dataclasses

import numpy as np
import pytest
import torch

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from support.toy_cell import StraightPlanner, ToyCell

FIRST, SECOND, LAST = (np.array([0.5, 0.2, z]) for z in (0.3, 0.4, 0.5))
STILL = np.zeros(7)


class CostlyCell(ToyCell):
    """Tells a plan of standing still what it costs."""

    def __call__(self, actions):
        return torch.full((len(actions),), float(np.linalg.norm(self.pose[:3] - self.goal)))


class Told(StraightPlanner):
    """Whose plans say what they would leave: all but a share of `gain`."""

    gain = 0.5

    def plan(self, cost, **more):
        left = (1 - self.gain) * float(cost(torch.zeros(1, 1, 7))[0])
        return dataclasses.replace(super().plan(cost, **more), cost=left)


class Hopeless(Told):
    gain = 0.01


def pursue(recovery, *, most=40, cell=CostlyCell, steps=2, action=STILL, gripper=None):
    """Three goals by one who makes `action` alone; what was done, its end, and which goals."""
    cell, visited = cell(goals=[FIRST, SECOND, LAST]), []
    loop = Reach(
        cell,
        StraightPlanner(cell, action),
        gripper,
        GoalSequence(3, 'steps', 0.01, steps_per_goal=steps, goes_back=True),
        Limits(most, 60.0),
        say=lambda said: visited.append(said.goal_index),
        recovery=recovery and (lambda: recovery(cell)),
    )
    outcome = loop.run([0, 1, 2])
    changes = [b for a, b in zip([-1, *visited], visited, strict=False) if a != b]
    return cell, outcome, changes


def test_what_was_missed_is_pursued_from_the_last_picture_alone():
    called = []

    def recovery(cell):
        called.append(len(cell.targets))
        return Told(cell)

    cell, outcome, changes = pursue(recovery)
    assert outcome.code is FaultCode.SUCCEEDED and changes == [0, 1, 2]
    assert called == [4], 'once, when the steps of the second were over'
    assert cell.pose[:3] == pytest.approx(LAST)


def test_without_anybody_who_recovers_the_goal_before_is_begun_again():
    cell, outcome, changes = pursue(None, most=9)
    assert outcome.code is FaultCode.MAX_STEPS and changes == [0, 1, 0, 1, 0]


def test_who_recovers_has_all_the_steps_that_are_left_and_is_not_sent_back():
    cell, outcome, changes = pursue(lambda cell: Told(cell, STILL))
    assert outcome.code is FaultCode.MAX_STEPS and len(cell.targets) == 40
    assert changes == [0, 1, 2]


def test_who_recovers_ends_where_a_plan_promises_nothing_better():
    cell, outcome, changes = pursue(lambda cell: Hopeless(cell, STILL))
    assert len(cell.targets) == 5
    assert outcome.code is FaultCode.NO_PROGRESS, 'nobody got there'
    assert 'last picture was missed' in outcome.message


def test_a_hand_that_closed_on_nothing_calls_for_recovery_too():
    class Empty(CostlyCell):
        def move(self, target, planned_from, gripper):
            motion = super().move(target, planned_from, gripper)
            self.pose[6] = gripper
            return motion

    cell, outcome, changes = pursue(
        Told,
        cell=Empty,
        steps=[1, 9, 9],
        action=np.array([0, 0, 0, 0, 0, 0, 1.0]),
        gripper=GripperPolicy(min_hold_steps=0, reopens=True),
    )
    assert outcome.code is FaultCode.SUCCEEDED and changes == [0, 1, 2]
    assert cell.pose[:3] == pytest.approx(LAST)
