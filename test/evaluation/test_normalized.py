# SPDX-License-Identifier: Apache-2.0
"""Plans in normalised actions: found alike whatever the units of a world's actions."""

import pytest
import torch

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.evaluation.normalized import NormalizedCost, NormalizedMpc  # noqa: E402
from jepa_wm_ros.evaluation.worlds import profile_for  # noqa: E402
from jepa_wm_ros.planning import PLANNERS, load_profile  # noqa: E402
from support.tiny_models import tiny_spec  # noqa: E402

AWAY = 0.5  # of the best actions from the mean, in standard deviations


def spec_in(unit):
    """A model of five sub-actions of two numbers, with means, all of them in these units."""
    return tiny_spec('tiny').replace(action_mean=(3 * unit, -4 * unit), action_std=(unit, 2 * unit))


class Bowl:
    """Mean squared distance, in standard deviations, from what is AWAY from the mean."""

    action_dim = 10

    def __init__(self, unit):
        self.std = torch.tensor([unit, 2 * unit] * 5)
        self.best = torch.tensor([3 * unit, -4 * unit] * 5) + AWAY * self.std
        self.seen = []

    def __call__(self, actions):
        self.seen.append(actions)
        return self.away(actions).square().mean(dim=(1, 2))

    def away(self, actions):
        return (actions - self.best) / self.std

    def gradient(self, actions):
        return self(actions), 2 * self.away(actions) / self.std / actions[0].numel()


@pytest.mark.parametrize('planner', sorted(PLANNERS))
def test_every_planner_finds_the_same_in_tiny_and_in_huge_units(planner):
    found, size = [], '40x25' if planner == 'nevergrad' else ''  # it is slow
    for unit in (2.0**-20, 1.0, 2.0**20):  # powers of two: rounding is the same too
        cost = Bowl(unit)
        mpc = NormalizedMpc(profile_for(planner=planner, size=size), spec_in(unit))
        plan = mpc.plan(cost, steps_left=1)
        assert plan.actions.shape == (1, 10)
        assert plan.cost == pytest.approx(cost(plan.actions[None]).item(), abs=1e-6)
        found.append(cost.away(plan.actions))
    assert found[1].square().mean() < 0.05 * AWAY**2
    assert torch.equal(found[0], found[1]) and torch.equal(found[2], found[1])


def test_a_search_begins_at_the_mean_as_wide_as_the_actions_the_model_was_trained_on():
    cost = Bowl(0.1)
    NormalizedMpc(profile_for(size='2000x1'), spec_in(0.1)).plan(cost)
    first = cost.seen[0].flatten(0, 1)
    assert cost.seen[0][0].flatten().tolist() == pytest.approx([0.3, -0.4] * 30)
    assert torch.allclose(first.mean(0), torch.tensor([0.3, -0.4] * 5), atol=0.01)
    assert torch.allclose(first.std(0), torch.tensor([0.1, 0.2] * 5), rtol=0.05)


@pytest.mark.parametrize('warm_start', [True, 'proposal'])
def test_what_a_search_starts_from_is_normalised_too(warm_start):
    profile = load_profile('tasks/paper', settings={'warm_start': warm_start})
    mpc, cost = NormalizedMpc(profile, spec_in(0.1)), Bowl(0.1)
    cost.proposal = torch.full((6, 10), 0.2)
    first = mpc.plan(cost, steps_left=6)
    mpc.executed(2)
    cost.seen.clear()
    mpc.plan(cost, steps_left=4)
    wanted = cost.proposal[:4] if warm_start == 'proposal' else first.actions[2:]
    assert torch.allclose(cost.seen[0][0], wanted, atol=1e-6)


def test_the_slope_is_that_of_normalised_actions():
    cost, actions = NormalizedCost(Bowl(0.1), spec_in(0.1)), torch.randn(2, 3, 10)
    wanted = torch.autograd.functional.jacobian(lambda a: cost(a).sum(), actions)
    costs, slope = cost.gradient(actions)
    assert torch.allclose(slope, wanted, atol=1e-5) and torch.allclose(costs, cost(actions))
