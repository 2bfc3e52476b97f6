# SPDX-License-Identifier: Apache-2.0
"""The modes of scoring on a GPU, beside plain mode there, and a whole plan (make test-slow)."""

import pytest
import torch
from test_modes import NARROW, in_mode, off, random_case
from test_predictor import COMBINATIONS

from jepa_wm_ros.planning import load_profile

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device'),
]
BOUNDS = {'plain': 1e-6, 'exact': 5e-5, 'fast': NARROW, 'compiled': NARROW}


def on_gpu(parts):
    model, context, goal, actions = random_case(parts, torch.float32)
    context, goal = (frame.map(lambda t: t.cuda()) for frame in (context, goal))
    return model.cuda(), context, goal, actions.cuda()


@pytest.mark.parametrize('parts', COMBINATIONS[::5], ids=lambda p: '-'.join(p.values()))
@pytest.mark.parametrize('mode', BOUNDS)
def test_every_mode_gives_the_costs_of_plain_mode_within_its_bound(mode, parts):
    model, context, goal, actions = on_gpu(parts)
    want, slope = in_mode('plain', model, context, goal).gradient(actions)
    scorer = in_mode(mode, model, context, goal)
    assert scorer(actions).device == actions.device
    assert off(scorer(actions), want) < BOUNDS[mode]
    steep = scorer.gradient(actions)[1]
    assert float(torch.cosine_similarity(steep.flatten(1), slope.flatten(1)).min()) > 0.99


@pytest.mark.parametrize('mode', ['exact', 'fast', 'compiled'])
def test_a_score_never_waits_for_the_gpu(mode):
    model, context, goal, actions = on_gpu(COMBINATIONS[0])
    scorer = in_mode(mode, model, context, goal)
    scorer(actions)  # compiles, fills caches
    torch.cuda.set_sync_debug_mode('error')
    try:
        scorer(actions)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('profile', ['paper', 'fast'])
def test_a_plan_made_there_is_as_good_as_one_made_on_the_cpu(profile):
    model, context, goal, _ = on_gpu(COMBINATIONS[0])
    scorer = in_mode('exact', model, context, goal)
    planner = load_profile(profile).make_planner()
    there = planner.plan(scorer)
    model, context, goal, _ = random_case(COMBINATIONS[0], torch.float32)
    here = planner.plan(in_mode('exact', model, context, goal))
    assert there.actions.isfinite().all()
    assert there.cost == pytest.approx(here.cost, rel=0.05)
