# SPDX-License-Identifier: Apache-2.0
"""The reach loop with plans of which several steps are taken."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.progress import Phase
from jepa_wm_ros.errors import FaultCode
from support.toy_cell import DONE, MOVED, StraightPlanner, ToyCell, reach, run


def test_several_steps_of_one_plan_are_executed_when_asked():
    cell = ToyCell()
    reach(cell, steps_executed=2, steps=2)
    assert len(cell.targets) == 2 and len(cell.frozen_after) == 2


def test_a_plan_of_several_steps_ends_with_a_clipped_one():
    cell = ToyCell(clips=True)
    outcome = reach(cell, steps_executed=2)
    assert outcome.code == FaultCode.SUCCEEDED
    assert len(cell.frozen_after) == len(cell.targets) + 1  # one plan for each step


def test_an_arm_that_strays_within_plans_is_not_one_that_never_stands_still():
    cell, said = ToyCell(outcomes=[DONE, MOVED] * 4), []
    cell.goals = [np.array([0.5, 0.3, 0.3])]
    outcome = reach(cell, steps_executed=2, said=said)
    assert outcome.code == FaultCode.SUCCEEDED and [p.phase for p in said].count(Phase.REPLAN) == 4
    assert all(a < b for a, b in zip(cell.frozen_after[1:], cell.frozen_after[2:], strict=False))
    strays = ToyCell(outcomes=[DONE, MOVED] * 50)
    strays.goals = [np.array([0.5, 0.9, 0.3])]
    assert reach(strays, steps_executed=2, steps=12).code == FaultCode.MAX_STEPS


def test_a_plan_of_several_steps_ends_at_the_limit_of_the_goal():
    cell = ToyCell()
    outcome = reach(cell, steps_executed=2, steps=3)
    assert outcome.code == FaultCode.MAX_STEPS and len(cell.targets) == outcome.progress.step == 3


def test_a_plan_of_several_steps_ends_where_the_schedule_turns_to_the_next_goal():
    cell = ToyCell(goals=[np.array([0.5, 0.2, 0.3]), np.array([0.4, 0.2, 0.3])])
    reach(cell, steps_executed=2, sequence=GoalSequence(2, 'steps', steps_per_goal=[1, 3]))
    assert len(cell.targets) == 4
    assert cell.targets[0][1] > 0.04 and cell.targets[1][0] < 0.49  # turned after the first


class Promises(ToyCell):
    """Standing still costs 1; so a plan of the StraightPlanner, of cost 0.1, gains nine tenths, and
    a shortened one, of cost 1, nothing.
    """

    def score(self, seen):
        return lambda actions: torch.ones(len(actions))


class Notes(StraightPlanner):
    """Notes how long its plans may be; a plan of one step promises nothing."""

    def plan(self, cost, *, steps_left, **_):
        self.asked.append(steps_left)
        plan = super().plan(cost)
        return replace(plan, cost=1.0) if steps_left == 1 else plan


@pytest.mark.parametrize(
    ('sequence', 'asked'),
    [
        (GoalSequence(1, 'cost', 0.01), [5, 4, 2]),  # the second plan's first step was not taken
        (GoalSequence(1, 'plan', 0.01, 9), [None] * 3),  # or a short one would end the goal
    ],
)
def test_no_plan_is_asked_for_beyond_the_steps_that_are_left(sequence, asked):
    cell = Promises(outcomes=[DONE, MOVED])
    cell.goals = [np.array([0.5, 0.9, 0.3])]
    planner = Notes(cell, steps_executed=2)
    planner.asked = []
    assert run(cell, planner, steps=5, sequence=sequence).code == FaultCode.MAX_STEPS
    assert planner.asked == asked


def test_a_goal_is_not_ended_by_what_its_last_step_alone_can_gain():
    cell = Promises()
    cell.goals = [np.array([0.5, 0.9, 0.3])]
    planner = Notes(cell)
    planner.asked = []
    outcome = run(cell, planner, steps=3, sequence=GoalSequence(1, 'plan', 0.01, 9))
    assert outcome.code == FaultCode.MAX_STEPS and outcome.progress.step == 3
