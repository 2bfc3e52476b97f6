# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials: paired tasks, honest judges, a stopping rule that only reads the latent."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jepa_wm_ros.evaluation.closed_loop import trials as closed_loop
from jepa_wm_ros.evaluation.closed_loop.trials import (
    MAX_STEP,
    Decision,
    NoMotion,
    Planned,
    RandomActions,
    StraightLine,
    Trial,
    limited,
    run_trial,
    summarise,
    table,
)
from jepa_wm_ros.planning import load_profile


@dataclass
class Task:
    start: np.ndarray
    goal: np.ndarray
    cell: None = None


class PointCell:
    """A hand that goes exactly where it is told."""

    def reset(self, start, cell):
        self.pose, self.longest = start.copy(), 0.0
        return np.zeros((2, 2, 3), np.uint8), self.pose.copy()

    def goal_frame(self, goal):
        return np.zeros((2, 2, 3), np.uint8)

    def step(self, action):
        self.longest = max(self.longest, np.linalg.norm(action[:3]))
        self.pose = self.pose + action
        return np.zeros((2, 2, 3), np.uint8), self.pose.copy()


def task() -> Task:
    return Task(np.array([0.5, 0, 0.2, np.pi, 0, 0, 0]), np.array([0.5, 0.18, 0.2, np.pi, 0, 0, 0]))


def test_the_straight_line_arrives_in_the_fewest_steps_the_limit_allows():
    cell = PointCell()
    trial = run_trial(cell, task(), StraightLine(), 0, 4)
    assert trial.errors_cm == pytest.approx([18, 10.5, 3, 0, 0], abs=1e-9)
    assert cell.longest == pytest.approx(MAX_STEP)


@pytest.mark.parametrize(('length', 'plans'), [(0.05, 2), (0.1, 4)])
def test_a_plan_of_several_steps_is_followed_until_one_is_clipped(length, plans, monkeypatch):
    made = []

    class ThreeSteps:
        def __init__(self, profile):
            self.executed = lambda steps: None

        def plan(self, cost):
            made.append(cost)
            return SimpleNamespace(actions=torch.tensor([[length] + [0.0] * 6] * 3))

    monkeypatch.setattr(closed_loop, 'Mpc', ThreeSteps)
    model = SimpleNamespace(
        spec=SimpleNamespace(reached_distance=0.1),
        prepare_images=lambda frames: frames,
        encode=lambda *_: None,
    )
    monkeypatch.setattr(closed_loop, 'distance', lambda *_: 1.0)
    monkeypatch.setattr(closed_loop, 'LatentCost', lambda *_: None)
    trial = run_trial(PointCell(), task(), Planned('', model, load_profile('paper')), 0, 4)
    assert len(made) == plans == sum(math.isfinite(s) for s in trial.plan_seconds)
    assert summarise('', [trial])['plan_ms'] > 0


def test_no_motion_stays_and_random_actions_are_paired_by_their_seed():
    assert run_trial(PointCell(), task(), NoMotion(), 0, 3).final_cm == pytest.approx(18)
    runs = [
        run_trial(PointCell(), task(), RandomActions(), seed, 5).errors_cm for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_the_stopping_rule_reads_the_latent_distance_and_never_the_true_one():
    class Wrong(StraightLine):
        """Its latent says `reached` while the hand is still 10.5 cm away."""

        reached_distance = 0.5

        def begin(self, goal_frame, goal, seed):
            super().begin(goal_frame, goal, seed)
            self.latent = iter([0.9, 0.5, 0.9, 0.1])

        def decide(self, frame, pose):
            return Decision(super().decide(frame, pose).action, next(self.latent), 0.01)

    trial = run_trial(PointCell(), task(), Wrong(), 0, 4)
    assert trial.stopped and trial.stop == 1
    assert trial.stop_cm == pytest.approx(10.5) and trial.final_cm == pytest.approx(0, abs=1e-9)


def test_only_the_translation_is_limited():
    action = np.array([0.1, 0, 0, 0.1, 0, 0, -1.0])
    assert limited(action) == pytest.approx([MAX_STEP, 0, 0, 0.1, 0, 0, -1.0])
    assert limited(0.5 * action) == pytest.approx(0.5 * action)


def test_a_row_counts_successes_at_both_tolerances_and_both_ends():
    trials = [
        Trial(i, (20.0, stop, end), 1, True, (0.1, 0.3))
        for i, (stop, end) in enumerate([(1.0, 2.0), (3.0, 1.0), (4.0, 5.0), (2.0, 2.6)])
    ]
    row = summarise('x', trials)
    assert row['within_4cm_stop'] == 1.0 and row['within_2.5cm_stop'] == 0.5
    assert row['within_4cm_end'] == 0.75 and row['within_2.5cm_end'] == 0.5
    assert row['median_cm_stop'] == 2.5 and row['steps'] == 1
    assert row['plan_ms'] == pytest.approx(200)
    assert '100%' in table([row]) and 'x' in table([row])
