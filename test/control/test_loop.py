# SPDX-License-Identifier: Apache-2.0
"""The reach loop against a toy cell: how it goes on, and how it ends."""

import math

import numpy as np
import pytest

from jepa_wm_ros.control.loop import MAX_REPLANS
from jepa_wm_ros.control.ports import MotionOutcome
from jepa_wm_ros.control.progress import Limits, Phase
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.planning import PlanningError
from support.toy_cell import DONE, MOVED, StraightPlanner, ToyCell, reach, run


def test_the_hand_reaches_the_goal_in_the_fewest_steps():
    cell = ToyCell()
    outcome = reach(cell)
    assert outcome.code == FaultCode.SUCCEEDED and outcome.progress.step == 4
    np.testing.assert_allclose(cell.pose[:3], cell.goals[0], atol=1e-9)


def test_a_goal_that_is_already_reached_moves_nothing():
    cell = ToyCell(goals=[np.array([0.5, 0.005, 0.3])])
    outcome = reach(cell)
    assert outcome.code == FaultCode.SUCCEEDED and outcome.progress.step == 0 and not cell.targets


def test_each_frame_is_taken_after_the_motion_before_it():
    cell = ToyCell()
    reach(cell)
    assert all(a < b for a, b in zip(cell.frozen_after[1:], cell.frozen_after[2:], strict=False))


def test_a_step_is_counted_when_it_has_been_taken_and_numbered_while_it_is():
    said = []
    outcome = reach(ToyCell(outcomes=[DONE, MotionOutcome.WORKSPACE]), said=said)
    assert outcome.progress.step == 1
    assert [p.step for p in said if p.phase is Phase.MOVING] == [1, 2]
    assert [p.step for p in said if p.phase is Phase.WAITING] == [0, 1]


def test_a_cancel_stops_the_arm_and_is_reported_as_one():
    cell = ToyCell()
    outcome = reach(cell, cancelled=lambda: len(cell.targets) == 2)
    assert outcome.code is FaultCode.CANCELED and outcome.progress.step == 2
    assert cell.stops == 1 and len(cell.targets) == 2


def test_a_motion_that_a_cancel_has_stopped_is_a_cancel():
    asked = []
    cell = ToyCell(outcomes=[MotionOutcome.STOPPED])
    move = cell.move
    cell.move = lambda *args: (asked.append(1), move(*args))[1]
    outcome = reach(cell, cancelled=lambda: bool(asked))
    assert outcome.code is FaultCode.CANCELED and outcome.progress.step == 0


def test_a_plan_from_where_the_arm_no_longer_is_gets_discarded_and_remade():
    cell, said = ToyCell(outcomes=[MOVED, MOVED, DONE]), []
    outcome = reach(cell, said=said)
    assert outcome.code is FaultCode.SUCCEEDED and outcome.progress.step == 4
    assert [p.phase for p in said].count(Phase.REPLAN) == 2


def test_an_arm_that_never_stands_still_is_given_up_with_a_code_of_its_own():
    cell = ToyCell(outcomes=[MOVED] * 50)
    outcome = reach(cell)
    assert outcome.code is FaultCode.ARM_MOVED and 'keeps moving' in outcome.message
    assert len(cell.outcomes) == 50 - (MAX_REPLANS + 1) and outcome.progress.step == 0


@pytest.mark.parametrize(
    ('end', 'code'),
    [
        (MotionOutcome.WORKSPACE, FaultCode.WORKSPACE_LIMIT),
        (MotionOutcome.FAILED, FaultCode.ROBOT_REFLEX),
        (MotionOutcome.REFUSED, FaultCode.COMMAND_REFUSED),
        (MotionOutcome.STOPPED, FaultCode.STOPPED),
        ((MotionOutcome.FAILED, FaultCode.ARM_LOST), FaultCode.ARM_LOST),
        ((MotionOutcome.REFUSED, FaultCode.BUSY), FaultCode.BUSY),
    ],
)
def test_a_motion_that_fails_ends_the_goal_with_the_code_it_told(end, code):
    outcome = reach(ToyCell(outcomes=[DONE, end]))
    assert outcome.code is code and outcome.progress.step == 1
    assert outcome.message == f'it was {(end[0] if isinstance(end, tuple) else end).name}'


@pytest.mark.parametrize(
    'trouble',
    [
        {'outcomes': [DONE, Fault(FaultCode.CONTROLLER_LOST, 'late')]},
        {'outcomes': [DONE, MotionOutcome.FAILED]},
    ],
)
def test_an_aborted_goal_has_a_standing_arm(trouble):
    cell = ToyCell(**trouble)
    assert reach(cell).code is not FaultCode.SUCCEEDED and cell.stops == 1


def test_an_error_of_the_planner_after_a_motion_stops_the_arm_too():
    cell = ToyCell()
    actions_left = [np.array([0, 0.01, 0, 0, 0, 0, 0])]

    class Fails(StraightPlanner):
        def plan(self, cost, **_):
            self.action = actions_left.pop() if actions_left else PlanningError('no')
            return super().plan(cost)

    outcome = run(cell, Fails(cell))
    assert outcome.code is FaultCode.INTERNAL and cell.stops == 1 and outcome.progress.step == 1


def test_a_bug_after_a_motion_stops_the_arm_and_is_not_swallowed():
    cell = ToyCell(outcomes=[DONE, ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        reach(cell)
    assert cell.stops == 1


def test_an_arm_that_was_never_commanded_is_left_alone():
    cell = ToyCell()
    assert reach(cell, action=PlanningError('no')).code is FaultCode.INTERNAL and not cell.stops


def test_whoever_hears_of_the_end_hears_when_the_arm_may_still_move():
    lost = [Fault(FaultCode.CONTROLLER_LOST, 'late')]
    assert reach(ToyCell(outcomes=lost, stands=False)).message.startswith('late; it is not known')


@pytest.mark.parametrize(
    'limits',
    [
        {'max_seconds': -5.0},
        {'max_seconds': math.nan},
        {'max_seconds': math.inf},
        {'max_steps': 0},
        {'no_progress_steps': -1},
        {'planning_seconds': 0.0},
        {'planning_seconds': math.nan},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(Fault) as told:
        Limits(**{'max_steps': 5, 'max_seconds': 1.0} | limits)
    assert told.value.code is FaultCode.BAD_LIMITS


def test_steps_time_and_lack_of_progress_end_a_goal():
    still = np.zeros(7)
    assert reach(ToyCell(), action=still, steps=5).code == FaultCode.MAX_STEPS
    assert reach(ToyCell(), action=still, seconds=0.5).code == FaultCode.MAX_DURATION
    outcome = reach(ToyCell(), action=still, patience=3)
    assert outcome.code == FaultCode.NO_PROGRESS and outcome.progress.step == 3


@pytest.mark.fault(9)
def test_a_plan_that_is_not_finite_never_reaches_the_arm():
    cell = ToyCell()
    outcome = reach(cell, action=np.array([math.nan, 0, 0, 0, 0, 0, 0]))
    assert outcome.code == FaultCode.MODEL_OUTPUT_INVALID and not cell.targets


def test_planning_errors_keep_their_code():
    error = PlanningError('no finite cost', FaultCode.MODEL_OUTPUT_INVALID)
    assert reach(ToyCell(), action=error).code == FaultCode.MODEL_OUTPUT_INVALID
    assert (
        reach(ToyCell(), action=PlanningError('late', FaultCode.PLANNING_TIMEOUT)).code
        == FaultCode.PLANNING_TIMEOUT
    )


def test_a_lost_model_ends_the_goal():
    cell = ToyCell()
    cell.score = lambda _: (_ for _ in ()).throw(Fault(FaultCode.MODEL_LOST, 'gone'))
    assert reach(cell).code == FaultCode.MODEL_LOST


def test_goals_are_reached_in_order():
    cell = ToyCell(goals=[np.array([0.5, 0.1, 0.3]), np.array([0.4, 0.1, 0.3])])
    outcome = reach(cell)
    assert outcome.code == FaultCode.SUCCEEDED and outcome.progress.goal_index == 1
    visited = [np.linalg.norm(t[:3] - cell.goals[0]) < 0.01 for t in cell.targets]
    assert any(visited) and np.linalg.norm(cell.pose[:3] - cell.goals[1]) < 0.01
