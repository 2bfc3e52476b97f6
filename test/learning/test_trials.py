# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials during a training: the same goals in every round, the best round is kept."""

import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.learning.trials import score, trials  # noqa: E402
from jepa_wm_ros.world_model import load_world_model  # noqa: E402


def test_the_shipped_model_reaches_and_one_that_has_forgotten_all_does_not():
    model = load_world_model('jepa_wm_cell')
    with trials(model, 0, 2) as measure:
        first = measure()
        assert first == measure(), 'the same goals'
        for parameter in model.predictor.parameters():
            parameter.zero_()
        forgotten = measure()
    assert first['reached'] == 1.0 and first['median_cm'] < 2.5
    assert forgotten['reached'] == 0.0 and forgotten['median_cm'] > 4.0
    assert score(first) > score(forgotten)
    assert score({'reached': 0.5, 'median_cm': 3.0}) > score({'reached': 0.5, 'median_cm': 4.0})
