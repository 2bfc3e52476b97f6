# SPDX-License-Identifier: Apache-2.0
"""The reach loop against a toy cell: a hand in space whose cost is its distance to the goal."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.actions import integrate  # noqa: E402
from jepa_wm_ros.control.goal_sequence import GoalSequence  # noqa: E402
from jepa_wm_ros.control.gripper import GripperPolicy  # noqa: E402
from jepa_wm_ros.control.loop import Limits, Motion, Observation, Reach  # noqa: E402
from jepa_wm_ros.errors import Fault, FaultCode  # noqa: E402
from jepa_wm_ros.planning import Plan, PlanningError, load_profile  # noqa: E402
from jepa_wm_ros.planning.mpc import Mpc  # noqa: E402

pytestmark = pytest.mark.ros
S = 1_000_000_000
STEP = 0.05


@dataclass
class ToyCell:
    """Ports of a hand that goes where it is told; `outcomes` overrides how motions end."""

    goals: list = field(default_factory=lambda: [np.array([0.5, 0.2, 0.3])])
    pose: np.ndarray = field(default_factory=lambda: np.array([0.5, 0, 0.3, math.pi, 0, 0, 0.0]))
    outcomes: list = field(default_factory=list)
    clips: bool = False
    clock: int = 0
    stops: int = 0
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

    def score(self, context_id):
        return self

    def commanded(self):
        return np.array([9, 9, 9, 3.0, 0.1, 0.2, 0.5])

    def move(self, target, planned_from, gripper):
        outcome = self.outcomes.pop(0) if self.outcomes else 'done'
        if outcome == 'done':
            self.pose = target.copy()
            self.targets.append(target)
            self.grippers.append(gripper)
        return Motion(outcome, self.now(), self.clips, f'it was {outcome}')

    def stop(self):
        self.stops += 1


@dataclass
class StraightPlanner:
    """Goes straight for the goal; `action` overrides what it answers."""

    cell: ToyCell
    action: object = None

    def plan(self, cost, **_):
        way = self.cell.goal - self.cell.pose[:3]
        way = way * min(1.0, STEP / max(np.linalg.norm(way), 1e-9))
        action = np.array([*way, 0, 0, 0, 0]) if self.action is None else self.action
        if isinstance(action, Exception):
            raise action
        return Plan(torch.tensor(np.array([action, action])), 0.1, 10, 1, 0.01)


def reach(
    cell,
    *,
    action=None,
    steps=20,
    seconds=1e6,
    patience=0,
    cancelled=lambda: False,
    sequence=None,
    steps_executed=1,
    gripper=None,
    said=None,
):
    mpc = Mpc(load_profile('cell'))
    mpc.planner, mpc.steps_executed = StraightPlanner(cell, action), steps_executed
    loop = Reach(
        ports=cell,
        mpc=mpc,
        gripper=gripper,
        goals=sequence or GoalSequence(len(cell.goals), 'cost', 0.01),
        limits=Limits(steps, seconds, patience, None),
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


def test_position_builds_on_the_measured_and_orientation_on_the_commanded_pose():
    cell = ToyCell()
    start = cell.pose.copy()
    reach(cell, steps=1)
    expected = integrate(
        np.array([*start[:3], 3.0, 0.1, 0.2, 0.0]), np.array([0, STEP, 0, 0, 0, 0, 0])
    )
    np.testing.assert_allclose(cell.targets[0], expected, atol=1e-12)


def test_each_frame_is_taken_after_the_motion_before_it():
    cell = ToyCell()
    reach(cell)
    assert all(a < b for a, b in zip(cell.frozen_after[1:], cell.frozen_after[2:], strict=False))


def test_a_cancel_stops_the_arm_and_is_reported_as_one():
    cell = ToyCell()
    outcome = reach(cell, cancelled=lambda: len(cell.targets) == 2)
    assert outcome.code == FaultCode.CANCELED and cell.stops == 1 and len(cell.targets) == 2


def test_a_plan_from_where_the_arm_no_longer_is_gets_discarded_and_remade():
    cell, said = ToyCell(outcomes=['moved', 'moved', 'done']), []
    outcome = reach(cell, said=said)
    assert outcome.code == FaultCode.SUCCEEDED and outcome.progress.step == 4
    assert [p.phase for p in said].count('replan') == 2


def test_an_arm_that_never_stands_still_is_given_up():
    outcome = reach(ToyCell(outcomes=['moved'] * 50))
    assert outcome.code == FaultCode.COMMAND_REFUSED and 'keeps moving' in outcome.message


@pytest.mark.parametrize(
    ('end', 'code'),
    [
        ('workspace', FaultCode.WORKSPACE_LIMIT),
        ('failed', FaultCode.ROBOT_REFLEX),
        ('refused', FaultCode.COMMAND_REFUSED),
        ('stopped', FaultCode.COMMAND_REFUSED),
    ],
)
def test_a_motion_that_fails_ends_the_goal_with_its_code(end, code):
    outcome = reach(ToyCell(outcomes=['done', end]))
    assert outcome.code == code and outcome.message == f'it was {end}'


def test_steps_time_and_lack_of_progress_end_a_goal():
    still = np.zeros(7)
    assert reach(ToyCell(), action=still, steps=5).code == FaultCode.MAX_STEPS
    assert reach(ToyCell(), action=still, seconds=1.0).code == FaultCode.MAX_DURATION
    assert reach(ToyCell(), action=still, patience=3).code == FaultCode.NO_PROGRESS


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
    cell, said = ToyCell(outcomes=['done', 'moved'] * 4), []
    cell.goals = [np.array([0.5, 0.3, 0.3])]
    outcome = reach(cell, steps_executed=2, said=said)
    assert outcome.code == FaultCode.SUCCEEDED and [p.phase for p in said].count('replan') == 4
    assert all(a < b for a, b in zip(cell.frozen_after[1:], cell.frozen_after[2:], strict=False))
    strays = ToyCell(outcomes=['done', 'moved'] * 50)
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
