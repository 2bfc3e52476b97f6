# SPDX-License-Identifier: Apache-2.0
"""The reach loop against a toy cell: a hand in space whose cost is its distance to the goal."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from jepa_wm_ros import actions
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.loop import MAX_REPLANS, MOST_MISSED, Reach
from jepa_wm_ros.control.ports import Motion, MotionOutcome, Observation
from jepa_wm_ros.control.progress import Limits, Phase
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.planning import Plan, PlanningError

DONE, MOVED = MotionOutcome.DONE, MotionOutcome.MOVED
S = 1_000_000_000
STEP = 0.05


@dataclass
class ToyCell:
    """Ports of a hand that goes where it is told; `outcomes` overrides how motions end, with an
    exception to be raised or a code to be told.
    """

    goals: list = field(default_factory=lambda: [np.array([0.5, 0.2, 0.3])])
    pose: np.ndarray = field(default_factory=lambda: np.array([0.5, 0, 0.3, math.pi, 0, 0, 0.0]))
    outcomes: list = field(default_factory=list)
    clips: bool = False
    clock: int = 0
    stops: int = 0
    stands: bool = True
    targets: list = field(default_factory=list)
    grippers: list = field(default_factory=list)
    frozen_after: list = field(default_factory=list)

    def now(self):
        self.clock += S // 100
        return self.clock

    def observe(self, goal_id, not_before):
        self.frozen_after.append(not_before)
        distance = np.linalg.norm(self.pose[:3] - self.goals[goal_id])
        self.goal = self.goals[goal_id]
        return Observation(7, self.now(), self.pose.copy(), float(distance))

    def score(self, seen):
        return self

    def waypoints(self, seen, planned):
        return actions.waypoints(seen.pose, np.array([9, 9, 9, 3.0, 0.1, 0.2, 0.0]), planned)

    def move(self, target, planned_from, gripper):
        outcome = self.outcomes.pop(0) if self.outcomes else DONE
        if isinstance(outcome, Exception):
            raise outcome
        code = FaultCode.SUCCEEDED
        if isinstance(outcome, tuple):
            outcome, code = outcome
        if outcome is DONE:
            self.pose = target.copy()
            self.targets.append(target)
            self.grippers.append(gripper)
        return Motion(outcome, self.clips, code, f'it was {outcome.name}')

    def stand(self):
        self.stops += 1
        return self.stands


@dataclass
class StraightPlanner:
    """Goes straight for the goal; `action` overrides what it answers."""

    cell: ToyCell
    action: object = None
    steps_executed: int = 1
    shifts: int = 0
    resets: int = 0

    def executed(self, steps):
        self.shifts += steps

    def reset(self):
        self.resets += 1

    def plan(self, cost, **_):
        way = self.cell.goal - self.cell.pose[:3]
        way = way * min(1.0, STEP / max(np.linalg.norm(way), 1e-9))
        action = np.array([*way, 0, 0, 0, 0]) if self.action is None else self.action
        if isinstance(action, Exception):
            raise action
        return Plan(torch.tensor(np.array([action, action])), 0.1, 10, 1, 0.01)


def reach(cell, *, action=None, steps_executed=1, **options):
    return run(cell, StraightPlanner(cell, action, steps_executed), **options)


def run(
    cell,
    planner,
    *,
    steps=20,
    seconds=1e6,
    patience=0,
    cancelled=lambda: False,
    sequence=None,
    gripper=None,
    said=None,
):
    loop = Reach(
        ports=cell,
        decider=planner,
        gripper=gripper,
        goals=sequence or GoalSequence(len(cell.goals), 'cost', 0.01),
        limits=Limits(steps, seconds, patience),
        reached_distance=0.01,
        say=(said.append if said is not None else lambda _: None),
        cancelled=cancelled,
    )
    return loop.run(list(range(len(cell.goals))))


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


def test_the_gripper_is_left_alone_without_a_policy_and_switched_with_one():
    cell = ToyCell()
    reach(cell, steps=1)
    assert math.isnan(cell.grippers[0])
    closing = ToyCell()
    reach(closing, action=np.array([0, 0, 0, 0, 0, 0, 0.9]), steps=1, gripper=GripperPolicy())
    assert closing.grippers == [1.0]


def test_the_hand_stands_while_the_gripper_makes_a_stroke_and_what_followed_is_planned_anew():
    cell = ToyCell()
    begin = cell.pose.copy()
    lift_and_close = np.array([0, 0, 0.07, 0, 0, 0.1, 1.0])
    reach(cell, action=lift_and_close, steps=2, gripper=GripperPolicy())
    assert np.array_equal(cell.targets[0][:6], begin[:6]) and cell.grippers == [1.0, 1.0]
    assert cell.targets[1][2] == pytest.approx(begin[2] + 0.07)


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
    goals = GoalSequence(2, 'steps', steps_per_goal=2)
    closing = np.array([0, 0, 0, 0, 0, 0, 1.0])
    outcome = Reach(
        cell,
        StraightPlanner(cell, closing),
        GripperPolicy(min_hold_steps=0, reopens=True),
        goals,
        Limits(12, 60.0),
        say=lambda said: visited.append(said.goal_index),
    ).run([0, 1])
    assert outcome.code is FaultCode.SUCCEEDED
    assert cell.grippers[:5] == [1.0, 0.0, 1.0, 0.0, 1.0] and all(cell.grippers[4:])
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


class Distracted(ToyCell):
    """From the second step on the cost is that of another scene."""

    def observe(self, goal_id, not_before):
        seen = super().observe(goal_id, not_before)
        return replace(seen, distance=2.0) if len(self.targets) >= 2 else seen


def test_a_cost_that_jumps_ends_the_goal_before_another_step():
    cell = Distracted()
    outcome = reach(cell)
    assert outcome.code is FaultCode.UNFAMILIAR_VIEW and len(cell.targets) == 2
    assert cell.stops == 1 and '\n' not in outcome.message


class Guided(ToyCell):
    """Someone takes the hand 2 m away whenever a motion is not carried out for that."""

    def move(self, target, planned_from, gripper):
        motion = super().move(target, planned_from, gripper)
        if motion.outcome is MOVED:
            self.pose[1] -= 2.0
        return motion


@pytest.mark.parametrize('steps_executed', [1, 2])
def test_a_cost_that_jumps_because_someone_moved_the_arm_is_no_other_scene(steps_executed):
    cell = Guided(outcomes=[DONE, MOVED])
    outcome = reach(cell, steps=80, steps_executed=steps_executed)
    assert outcome.code is FaultCode.SUCCEEDED


def test_the_next_goal_may_be_farther_than_the_last():
    far = [np.array([0.5, 0.05, 0.3]), np.array([0.5, 3.0, 0.3])]
    outcome = reach(ToyCell(goals=far), steps=80)
    assert outcome.code is FaultCode.SUCCEEDED
