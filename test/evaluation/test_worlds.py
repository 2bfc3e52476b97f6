# SPDX-License-Identifier: Apache-2.0
"""Models in the paper's tasks: plans as wide as the model's actions, and the world as the judge."""

import json

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.evaluation import tasks, worlds  # noqa: E402
from jepa_wm_ros.tasks import frozen_worlds  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.world_model import build  # noqa: E402
from jepa_wm_ros.world_model.files.checkpoints import save_world_model  # noqa: E402
from support.tiny_models import STEP, tiny_spec  # noqa: E402


@pytest.fixture
def model(tmp_path):
    stds = tuple(0.1 * (i + 1) for i in range(STEP))
    spec = tiny_spec('tiny', action_std=stds, proposal_steps=6)
    save_world_model(build(spec, seed=0), tmp_path / 'tiny.safetensors')
    return tmp_path / 'tiny.safetensors'


def test_the_first_proposal_is_as_wide_as_the_actions_the_model_was_trained_on(model):
    spec = worlds.session_of(model).model.spec
    profile = worlds.profile_for(spec, size='20x3', objective='all L1', executed=2)
    assert profile.settings.var_scale == pytest.approx(spec.action_std)
    assert (profile.settings.num_samples, profile.settings.iterations) == (20, 3)
    assert profile.objective.kind == 'L1' and profile.objective.sum_all
    assert profile.steps_executed == 2 and profile.settings.max_norms is None


def test_every_planner_can_be_asked(model):
    spec = worlds.session_of(model).model.spec
    for planner in ('cem', 'icem', 'mppi', 'nevergrad', 'adam', 'gd'):
        assert worlds.profile_for(spec, planner=planner).planner == planner


def test_the_table_has_the_baselines_behaviour_cloning_and_every_way_of_planning(
    model, tmp_path, capsys
):
    out = tmp_path / 'rows.json'
    words = ['wall', '--model', str(model), '--episodes', '2', '--size', '8x1', '--out', str(out)]
    assert tasks.main(['evaluate', *words]) == 0
    rows = json.loads(out.read_text())['rows']
    assert list(rows) == [
        'no motion',
        'random actions',
        'straight line',
        'oracle',
        'tiny, behaviour cloning',
        'tiny, 6 of 6 executed',
        'tiny, 1 of 6 executed',
    ]
    shipped = list(frozen_worlds.read('wall', Wall()).tasks.values())[:2]
    away = [float(np.linalg.norm(start[:2] - goal[:2])) for start, goal in shipped]
    assert rows['no motion']['ends'] == pytest.approx(away)
    assert rows['no motion']['success'] == 0 and 'oracle' in capsys.readouterr().out
