# SPDX-License-Identifier: Apache-2.0
"""CEM gives the published numbers when it is fed the published noise and costs."""

import json

import numpy as np
import pytest
import torch

from jepa_wm_ros.planning import make_planner
from support.paths import GOLDENS

FAMILIES = [
    'adaln_rope_noprop',
    'adaln_rope_ftprop',
    'dinowm_ftcond_noprop',
    'dinowm_ftcond_prop',
    'vjepa2ac_seqcond_nostate',
    'vjepa2ac_seqcond_state',
]


class Recorded:
    """Answers each iteration with the recorded costs after checking the recorded actions."""

    def __init__(self, golden):
        self.golden, self.calls = golden, 0
        self.action_dim = golden['noise'].shape[-1]

    def __call__(self, actions):
        if self.calls == len(self.golden['costs']):  # the returned plan, scored once more
            self.calls += 1
            return torch.zeros(len(actions))
        expected = torch.from_numpy(self.golden['actions'][self.calls]).transpose(0, 1)
        torch.testing.assert_close(actions, expected, rtol=1e-5, atol=1e-6)
        self.calls += 1
        return torch.from_numpy(self.golden['costs'][self.calls - 1])


def replay(family, file):
    golden = dict(np.load(GOLDENS / family / file))
    settings = json.loads((GOLDENS / family / 'config.json').read_text())['planner']
    names = (
        'iterations',
        'num_samples',
        'num_elites',
        'horizon',
        'var_scale',
        'max_norms',
        'max_norm_dims',
        'momentum_mean',
        'momentum_std',
    )
    values = {name: settings[name] for name in names}
    for name in ('momentum_mean', 'momentum_std'):
        values[name] = float(golden.get(name, values[name]))
    noise = iter(torch.from_numpy(golden['noise']))
    cost, reports = Recorded(golden), []

    def draw(shape):
        eps = next(noise)
        assert eps.shape == shape
        return eps

    plan = make_planner('cem', values).plan(cost, on_iteration=reports.append, draw=draw)
    return golden, plan, reports, cost


@pytest.mark.parametrize(
    ('family', 'file'),
    [(f, 'cem.npz') for f in FAMILIES] + [('adaln_rope_noprop', 'cem_momentum.npz')],
)
def test_cem_repeats_the_recorded_run(family, file):
    golden, plan, reports, cost = replay(family, file)
    assert len(reports) == len(golden['costs'])
    for i, report in enumerate(reports):
        elites = report.costs.topk(golden['elite_idx'].shape[1], largest=False).indices
        assert elites.tolist() == golden['elite_idx'][i].tolist()
        np.testing.assert_allclose(report.mean, golden['means'][i], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(report.std, golden['stds'][i], rtol=1e-5, atol=1e-6)
        assert report.iteration_cost == pytest.approx(float(golden['losses'][i, 0]), rel=1e-6)
    result = golden['result_actions']
    np.testing.assert_allclose(plan.actions[: len(result)], result, rtol=1e-5, atol=1e-6)
    iterations, samples = golden['costs'].shape
    assert plan.evaluations == iterations * samples + 1
    assert not plan.budget_exhausted and not plan.cancelled and plan.invalid_costs == 0
