# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials: paired tasks, honest judges, a stopping rule that only reads the latent."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jepa_wm_ros import actions as convention
from jepa_wm_ros.control.goal_sequence import NEVER_REACHED
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.evaluation.closed_loop.baselines import NoMotion, RandomActions, StraightLine
from jepa_wm_ros.evaluation.closed_loop.command import _profile_and_planner, report
from jepa_wm_ros.evaluation.closed_loop.table import faults, spread, summarise, table
from jepa_wm_ros.evaluation.closed_loop.trials import Policy, Trial, run_trial
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.planning import Mpc, Plan, load_profile

START = np.array([0.5, 0, 0.2, np.pi, 0, 0, 0])
PICTURE = np.zeros((2, 2, 3), np.uint8)


class PointTask:
    """A hand that goes exactly where it is told, one step of an arm at most, but not past `wall`
    [m], which the picture does not show.
    """

    def __init__(self, wall=math.inf):
        self.wall, self.closures = wall, []
        self.goal = START + np.array([0, 0.18, 0, 0, 0, 0, 0])

    def reset(self, seed):
        self.pose, self.longest = START.copy(), 0.0

    def goals(self):
        return [PICTURE]

    def goal_states(self):
        return None

    def observe(self):
        return PICTURE, self.pose.copy()

    def waypoints(self, state, actions):
        return convention.waypoints(state, self.pose, actions)

    def act(self, target, gripper):
        way = target - self.pose
        part = min(1.0, FR3.max_step / max(np.linalg.norm(way[:3]), 1e-12))
        if (self.pose + part * way)[1] > self.wall:
            raise Fault(FaultCode.WORKSPACE_LIMIT, 'a wall')
        self.closures.append(gripper)
        self.pose = self.pose + part * way
        self.longest = max(self.longest, part * np.linalg.norm(way[:3]))
        return part < 1.0

    def error(self):
        return float(np.linalg.norm((self.pose - self.goal)[:3]))

    def success(self):
        return self.error() <= 0.04


class Session:
    """Latents that say what the test wants, whatever the picture shows."""

    reached_distance = 0.5

    def __init__(self, *distances, cost='a cost'):
        self.distances, self.cost = iter(distances), cost
        self.contexts = {}
        self.asked = []

    def prepare_goals(self, pictures, live, recall=False, states=None):
        return list(range(len(pictures))), []

    def freeze(self, picture, state, goal_id, objective, mode):
        self.asked.append((goal_id, objective, mode))
        self.contexts[7] = self.cost
        return SimpleNamespace(id=7, distance=next(self.distances))


class Steps(NoMotion):
    """Plans of three steps of `length` [m] towards the goal."""

    def __init__(self, length, steps_executed=3):
        self.length, self.steps_executed, self.plans = length, steps_executed, 0

    def plan(self, cost, *, steps_left, budget, strokes, pose):
        self.plans += 1
        return Plan(torch.tensor([[0.0, self.length] + [0.0] * 5] * 3), 0.1, 3, 1, 0.25)


def policy(decider, session=None):
    profile = SimpleNamespace(objective=Objective('L1'), mode='fast')
    return Policy('x', lambda task, seed: decider, session, profile)


def baseline(kind):
    return Policy('x', lambda task, seed: kind(task, seed))


def test_the_straight_line_arrives_in_the_fewest_steps_the_limit_allows():
    task = PointTask()
    trial = run_trial(task, baseline(lambda task, _: StraightLine(task)), 0, 4)
    assert trial.errors == pytest.approx([0.18, 0.105, 0.03, 0, 0], abs=1e-9)
    assert task.longest == pytest.approx(FR3.max_step) and trial.success
    assert trial.code is FaultCode.MAX_STEPS and summarise('', [trial])['stopped'] == 0


@pytest.mark.parametrize(('length', 'plans'), [(0.02, 2), (0.1, 4)])
def test_a_plan_of_several_steps_is_followed_until_one_is_clipped(length, plans):
    decider = Steps(length)
    trial = run_trial(PointTask(), policy(decider, Session(*[9.0] * 20)), 0, 4)
    assert decider.plans == plans == len(trial.plan_seconds) and len(trial.errors) == 5
    row = summarise('', [trial])
    assert row['plan_ms'] == pytest.approx(250)
    assert trial.plan_evaluations == (3,) * plans and row['plan_evaluations'] == 3


@pytest.mark.parametrize('reached', [math.nan, 0.5])
def test_the_last_plans_of_a_trial_end_where_its_steps_do(reached):
    """Also where the loop has stopped on the way and is begun again."""

    class Cost:
        action_dim = 7

        def __call__(self, actions):
            lengths.append(actions.shape[1])
            return actions.square().mean(dim=(1, 2))

    lengths, session = [], Session(9.0, 0.4, *[9.0] * 9, cost=Cost())
    session.reached_distance = reached
    mpc = Mpc(load_profile('fast', settings={'horizon': 3, 'iterations': 1, 'descents': 0}))
    mpc.steps_executed = 1
    trial = run_trial(PointTask(), policy(mpc, session), 0, 4)
    assert trial.stop == (4 if math.isnan(reached) else 1) and len(trial.errors) == 5
    assert [length for length, _ in itertools.groupby(lengths)] == [3, 2, 1]


def test_no_motion_stays_and_random_actions_are_paired_by_their_seed():
    still = run_trial(PointTask(), baseline(lambda *_: NoMotion()), 0, 3)
    assert still.final == pytest.approx(0.18) and not still.success
    row = summarise('', [still])
    assert math.isnan(row['plan_ms']) and math.isnan(row['plan_evaluations'])
    assert table([row]).splitlines()[-1].split('|')[-1].split() == ['-', '-']
    runs = [
        run_trial(PointTask(), baseline(lambda _, seed: RandomActions(seed)), seed, 5).errors
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_the_stopping_rule_reads_the_latent_distance_and_never_the_true_one():
    wrong = Session(0.9, 0.5, *[0.9] * 9)  # `reached` while the hand is still 10.5 cm away
    trial = run_trial(PointTask(), policy(Steps(FR3.max_step, 1), wrong), 0, 3)
    assert trial.code is FaultCode.SUCCEEDED and trial.stop == 1
    assert trial.at_stop == pytest.approx(0.105)
    assert trial.errors == pytest.approx([0.18, 0.105, 0.03, 0.045]), 'and on without the rule'


def test_the_session_is_asked_for_the_objective_and_mode_of_the_profile():
    session = Session(*[0.9] * 9)
    run_trial(PointTask(), policy(Steps(0.02, 1), session), 0, 2)
    assert set(session.asked) == {(0, Objective('L1'), 'fast')}


def test_a_loop_that_gets_no_nearer_can_be_ended_as_in_the_planner_node():
    ended = run_trial(
        PointTask(), policy(Steps(0.01, 1), Session(*[0.9] * 9)), 0, 5, no_progress_steps=2
    )
    assert ended.code is FaultCode.NO_PROGRESS and ended.stop == 2 and len(ended.errors) == 6


def test_a_step_that_is_refused_is_not_counted_and_a_trial_that_cannot_go_on_ends():
    trial = run_trial(PointTask(wall=0.1), policy(Steps(0.06, 1), Session(*[0.9] * 9)), 0, 5)
    assert trial.code is FaultCode.WORKSPACE_LIMIT and trial.stop == 1
    assert trial.errors == pytest.approx([0.18, 0.12])
    assert faults('x', [trial, trial]) == 'x: 2 x WORKSPACE_LIMIT'


def test_without_a_calibrated_tolerance_nothing_counts_as_reached():
    session = Session()
    assert policy(None, session).tolerance == 0.5
    session.reached_distance = math.nan
    assert policy(None, session).tolerance == policy(None).tolerance == NEVER_REACHED


def test_the_hand_is_left_alone_without_a_gripper_policy_and_switched_with_one():
    alone, switched = PointTask(), PointTask()
    line = baseline(lambda task, _: StraightLine(task))
    run_trial(alone, line, 0, 2)
    run_trial(switched, line, 0, 2, gripper=GripperPolicy(closed=True, min_hold_steps=0))
    assert all(map(math.isnan, alone.closures)) and switched.closures == [0.0, 0.0]


def test_a_row_counts_successes_at_both_tolerances_and_both_ends(tmp_path):
    trials = [
        Trial(
            i, (0.2, stop / 100, end / 100), 1, FaultCode.SUCCEEDED, end <= 4, (0.1, 0.3), (90, 30)
        )
        for i, (stop, end) in enumerate([(1.0, 2.0), (3.0, 1.0), (4.0, 5.0), (2.0, 2.6)])
    ]
    row = summarise('x', trials)
    assert row['within_4cm_stop'] == 1.0 and row['within_2.5cm_stop'] == 0.5
    assert row['within_4cm_end'] == 0.75 and row['within_2.5cm_end'] == 0.5
    assert row['median_cm_stop'] == 2.5 and row['steps'] == 1
    assert row['plan_ms'] == pytest.approx(200) and not faults('x', trials)
    assert row['plan_evaluations'] == pytest.approx(60)
    assert '100%' in table([row]) and 'x' in table([row])
    heads, titles, line = (text.split('|')[-1].split() for text in table([row]).splitlines())
    assert heads == ['per', 'plan'] and titles == ['evaluations', 'ms'] and line == ['60', '200']
    assert report({'x': trials}, tmp_path / 'out.json') == table([row])
    assert '"success"' in (tmp_path / 'out.json').read_text()


def test_several_models_have_a_row_of_their_mean_and_spread():
    def trial(end):
        return Trial(0, (0.2, 0.03, end / 100), 2, FaultCode.MAX_STEPS, end <= 4, (0.1,), (9,))

    rows = [summarise('a cell', [trial(1.0)]), summarise('b cell', [trial(5.0)])]
    assert spread(rows[:1]) == []
    (mean,) = spread(rows)
    assert mean['within_4cm_end'] == 0.5 and mean['within_4cm_ever'] == 1.0
    assert mean['median_cm_end'] == pytest.approx(3.0)
    assert mean['median_cm_end_sd'] == pytest.approx(8**0.5)  # of 1 and 5, by hand
    assert 'mean of 2 models, cell' in table([*rows, mean]) and '2.83' in table([mean])


def test_a_profile_may_be_named_with_another_planner():
    assert _profile_and_planner('cell/icem') == ('cell', 'icem')
    assert _profile_and_planner('my/file.yaml') == ('my/file.yaml', None)
