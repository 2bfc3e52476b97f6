# SPDX-License-Identifier: Apache-2.0
"""Models in the paper's tasks: planned as they are told to, and the world as the judge."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.evaluation import tasks, worlds  # noqa: E402
from jepa_wm_ros.evaluation.closed_loop.ports import TaskPorts  # noqa: E402
from jepa_wm_ros.tasks import frozen_worlds  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.tasks.world import WorldTask  # noqa: E402
from jepa_wm_ros.world_model import build  # noqa: E402
from jepa_wm_ros.world_model.files.checkpoints import save_world_model  # noqa: E402
from support.tiny_models import STEP, tiny_spec  # noqa: E402


@pytest.fixture
def model(tmp_path):
    stds = tuple(0.1 * (i + 1) for i in range(STEP))
    spec = tiny_spec('tiny', action_std=stds, proposal_steps=6)
    save_world_model(build(spec, seed=0), tmp_path / 'tiny.safetensors')
    return tmp_path / 'tiny.safetensors'


def test_what_is_told_takes_the_place_of_the_profiles():
    profile = worlds.profile_for(size='20x3', objective='all L1', executed=2)
    assert (profile.settings.num_samples, profile.settings.iterations) == (20, 3)
    assert profile.objective.kind == 'L1' and profile.objective.sum_all
    assert profile.steps_executed == 2 and profile.settings.max_norms is None


def test_models_plan_in_their_normalised_actions(model):
    session, seen = worlds.session_of(model), []

    class Cost:
        action_dim = STEP

        def __call__(self, actions):
            seen.append(actions)
            return actions.square().mean(dim=(1, 2))

    policy = worlds.planned('x', session, worlds.profile_for(size='2000x1'))
    policy.decider(None, 0).plan(Cost(), steps_left=6)
    found = seen[0].flatten(0, 1).std(0).tolist()
    assert found == pytest.approx(session.model.spec.action_std, rel=0.05)


def test_every_planner_can_be_asked(tmp_path):
    for planner in ('cem', 'icem', 'mppi', 'nevergrad', 'adam', 'gd'):
        assert worlds.profile_for(planner=planner).planner == planner
    assert worlds.profile_for(planner='adam').settings.lr == 0.1
    (tmp_path / 'mine.yaml').write_text('{planner: adam, settings: {lr: 0.2, horizon: 6}}')
    mine = worlds.profile_for(profile=tmp_path / 'mine.yaml', planner='adam')
    assert mine.settings.lr == 0.2  # who says it is heard


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


def test_alpha_counts_what_is_measured_at_the_goal(tmp_path):
    spec = tiny_spec('hears', proprio_dim=2, proprio_mean=(32.0,) * 2, proprio_std=(17.0,) * 2)
    spec = spec.replace(predictor=replace(spec.predictor, proprio='feature', proprio_features=4))
    path = tmp_path / 'hears.safetensors'
    save_world_model(build(spec, seed=0), path)
    session, task = worlds.session_of(path), WorldTask(Wall())
    task.reset(0)
    actions, costs = torch.full((1, 6, STEP), 0.3), {}
    for alpha in (0.0, 0.5):
        ports = TaskPorts(task, session, worlds.profile_for(alpha=alpha))
        cost = ports.score(ports.observe(ports.prepare()[0], 0))
        costs[alpha] = cost(actions).item()
    goal = session.model.encode_proprio(torch.tensor(task.goal[None, :2]), 1, 1)
    ends = cost.unroll(actions).proprio[-1]
    away = (ends - goal[0]).square().mean().item()
    assert away > 1e-3 and costs[0.5] - costs[0.0] == pytest.approx(0.5 * away, rel=1e-3)

    found = []
    for alpha in ('0', '100'):
        out = tmp_path / f'{alpha}.json'
        words = ['wall', '--model', str(path), '--episodes', '1', '--size', '8x1']
        words += ['--executed', '6', '--alpha', alpha, '--out', str(out)]
        assert tasks.main(['evaluate', *words]) == 0
        found.append(json.loads(out.read_text())['rows']['hears, 6 of 6 executed']['ends'])
    assert found[0] != found[1]
