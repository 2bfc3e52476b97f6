# SPDX-License-Identifier: Apache-2.0
"""How far a cost may rise over the steps of one plan."""

import math

import pytest

from jepa_wm_ros.control.jump import cost_bound

# (before, predicted, first, after): the highest rises that were measured, tolerance 0.00467
MEASURED = [
    (0.0021, 0.0007, 0.8053, 0.0733),  # profile paper
    (0.0009, 0.0008, 1.0879, 0.0693),
    (0.0027, 0.0012, 0.4415, 0.0316),
    (0.0002, 0.0030, 0.8053, 0.0030),  # profile cell
    (0.0001, 0.0018, 0.0117, 0.0013),  # a goal 1 cm away
]


@pytest.mark.parametrize(('before', 'predicted', 'first', 'after'), MEASURED)
def test_ordinary_runs_stay_far_below_it(before, predicted, first, after):
    assert after < 0.5 * cost_bound(before, predicted, first, 0.00467)


def test_another_scene_is_above_it():
    other = 2.0  # mean square between unrelated latents of variance 1
    for before in (0.6, 0.3, 0.01):
        assert other > cost_bound(before, before / 2, 0.6, 0.00467)


def test_a_rise_that_was_predicted_is_none():
    assert cost_bound(0.1, 0.8, 0.2, 0.0) > 0.8
    assert cost_bound(-0.9, -0.95, -0.5, 0.0) == pytest.approx(-0.65)  # a cosine


def test_without_a_cost_there_is_no_bound():
    assert not 1e9 > cost_bound(math.nan, math.nan, math.nan, 0.0)
