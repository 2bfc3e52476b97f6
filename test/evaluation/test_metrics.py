# SPDX-License-Identifier: Apache-2.0
"""Score arithmetic against cases worked out by hand."""

import numpy as np
import pytest

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.metrics import (
    action_errors,
    action_score,
    bootstrap,
    mean_difference,
    score_difference,
    score_interval,
)


def test_errors_compare_the_sums_over_time_not_the_single_steps():
    planned = np.zeros((3, 7))
    expert = np.zeros((3, 7))
    planned[0, 0], expert[2, 0] = 0.06, 0.06  # same x in another order: no error
    planned[:, 1], expert[:, 1] = 0.01, -0.01  # y: |0.03 - -0.03| = 0.06
    expert[1, 2] = 0.02  # z: 0.02
    planned[0, 3], expert[:, 5] = 0.1, -0.05  # roll 0.1, yaw 0.15
    planned[2, 6], expert[0, 6] = 0.5, -0.25  # closure 0.75
    errors = action_errors(planned, expert)
    assert errors.xyz == pytest.approx(0.08)
    assert errors.orientation == pytest.approx(0.25)
    assert errors.closure == pytest.approx(0.75)
    assert errors.total == pytest.approx(1.08)


@pytest.mark.parametrize(
    ('errors', 'score'),
    [
        ([0.0], 80.0),
        ([0.05], 40.0),
        ([0.1], 0.0),
        ([0.3], 0.0),
        ([0.02, 0.04], 56.0),
        ([0.0, 0.16], 16.0),  # mean 0.08; clipping each clip first would give 40
        ([0.0, 0.5], 0.0),  # mean 0.25; clipping each clip first would give 40
    ],
)
def test_score_averages_before_it_clips(errors, score):
    assert action_score(np.array(errors)) == pytest.approx(score)


def test_one_clip_scores_but_has_no_interval():
    interval = score_interval(np.array([0.05]))
    assert interval.value == pytest.approx(40.0)
    assert np.isnan(interval.low) and np.isnan(interval.high)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(100):
        interval = score_interval(rng.gamma(4.0, 0.01, 60), resamples=300, seed=trial)
        hits += interval.low <= 800 * (0.1 - 0.04) <= interval.high
    assert 85 <= hits <= 100


def test_equal_errors_give_an_interval_of_no_width():
    interval = score_interval(np.full(20, 0.06))
    assert (interval.value, interval.low, interval.high) == pytest.approx((32.0, 32.0, 32.0))


def test_paired_difference_is_tighter_than_its_parts_when_clips_share_their_difficulty():
    rng = np.random.default_rng(2)
    hard = rng.uniform(0.01, 0.09, 80)
    first, second = hard, hard + 0.005
    difference = mean_difference(first, second)
    assert (difference.value, difference.low, difference.high) == pytest.approx(
        (-0.005, -0.005, -0.005)
    )
    assert score_difference(first, second).low == pytest.approx(4.0, abs=1e-6)
    assert score_interval(first).high - score_interval(first).low > 2.0


def test_bootstrap_repeats_with_its_seed_and_refuses_unequal_samples():
    values = np.random.default_rng(3).uniform(0, 0.1, 30)
    assert score_interval(values, seed=5) == score_interval(values, seed=5)
    assert score_interval(values, seed=5) != score_interval(values, seed=6)
    with pytest.raises(JepaWmError):
        bootstrap(lambda a, b: 0.0, values, values[:-1])


def test_errors_refuse_actions_of_another_horizon():
    with pytest.raises(JepaWmError, match='horizon'):
        action_errors(np.zeros((3, 7)), np.zeros((2, 7)))
