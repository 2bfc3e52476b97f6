# SPDX-License-Identifier: Apache-2.0
"""Projected BFGS against minima that are known."""

import math

import pytest
import torch

from jepa_wm_ros.planning import Budget
from jepa_wm_ros.planning.descent import descend, updated_inverse
from jepa_wm_ros.planning.icem import IcemSettings
from jepa_wm_ros.planning.search import Search


class Quadratic:
    """(a - centre)^T curvature (a - centre) + 3, badly scaled and turned."""

    action_dim = 4

    def __init__(self, centre, condition=1e3, spoil=lambda costs, slope: (costs, slope)):
        generator = torch.Generator().manual_seed(0)
        turn, _ = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64))
        self.curvature = (
            turn
            @ torch.diag(torch.logspace(0, math.log10(condition), 8, dtype=torch.float64))
            @ turn.T
        )
        self.centre, self.dtype = centre.double(), torch.float64
        self.spoil, self.asked = spoil, []

    def __call__(self, actions):
        return self.gradient(actions)[0]

    def gradient(self, actions):
        self.asked.append(actions.clone())
        off = actions.flatten(1) - self.centre.flatten()
        slope = off @ self.curvature
        return self.spoil((off * slope).sum(1) + 3.0, 2 * slope.view_as(actions))


CENTRE = torch.tensor([[0.05, -0.02, 0.03, 0.01], [0.02, 0.06, -0.05, 0.0]])


def search(cost, bound=0.1, **changes):
    settings = IcemSettings(horizon=2, max_norms=[bound], max_norm_dims=[[0, 1, 2, 3]], **changes)
    return Search(settings, cost, None, None, changes.get('budget'), None, 0, None)


def starts(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.04 * torch.randn(count, 2, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('count', [1, 3])
def test_it_finds_the_bottom_of_a_valley_a_thousand_times_longer_than_wide(count):
    ends, costs = descend(search(Quadratic(CENTRE)), starts(count), 40)
    assert ends.shape == (count, 2, 4) and costs.shape == (count,)
    assert bool((costs < 3 + 1e-3).any())
    assert float((ends[costs.argmin()] - CENTRE).abs().max()) < 0.02


def test_sequences_side_by_side_do_not_see_each_other():
    both, costs = descend(search(Quadratic(CENTRE)), starts(2), 6)
    for i in range(2):
        alone, cost = descend(search(Quadratic(CENTRE)), starts(2)[i : i + 1], 6)
        torch.testing.assert_close(both[i], alone[0])
        torch.testing.assert_close(costs[i], cost[0])


def test_at_a_bound_it_slides_along_to_the_constrained_minimum():
    bound, cost = 0.03, Quadratic(CENTRE, condition=10.0)
    ends, costs = descend(search(cost, bound), starts(1).clamp(-bound, bound), 60)
    assert all(bool((a.abs() <= bound).all()) for a in cost.asked)
    a = ends.clone()
    for _ in range(20000):  # projected gradient descent, slow and sure
        a = (a - 0.01 * cost.gradient(a)[1]).clamp(-bound, bound)
    assert float(costs) == pytest.approx(float(cost(a)), rel=1e-4)


def test_each_step_costs_one_gradient_and_one_batch_of_lengths():
    one = search(Quadratic(CENTRE))
    descend(one, starts(3), 5)
    assert (one.iterations, one.gradients, one.evaluations) == (5, 15, 15 + 5 * 3 * 4)


def test_it_stops_by_itself_at_the_bottom():
    one = search(Quadratic(CENTRE, condition=2.0))
    _, costs = descend(one, starts(1), 40)
    assert one.iterations < 15 and float(costs) == pytest.approx(3.0, abs=1e-5)


@pytest.mark.parametrize('what', ['slope', 'cost'])
def test_where_there_is_no_slope_it_stays_and_sends_no_nan(what):
    def spoil(costs, slope):
        return (costs * math.nan, slope) if what == 'cost' else (costs, slope * math.nan)

    cost = Quadratic(CENTRE, spoil=spoil)
    ends, costs = descend(search(cost), starts(1), 10)
    assert torch.equal(ends, starts(1))
    assert all(bool(a.isfinite().all()) for a in cost.asked)


def test_a_start_at_the_very_bottom_stays_there():
    ends, costs = descend(search(Quadratic(CENTRE)), CENTRE[None].double(), 10)
    torch.testing.assert_close(ends[0], CENTRE.double())
    assert float(costs) == 3.0


def test_frozen_dimensions_stay_zero():
    ends, _ = descend(
        search(Quadratic(CENTRE), frozen_dims=[1, 3]), starts(1) * torch.tensor([1.0, 0, 1, 0]), 20
    )
    assert not ends[..., [1, 3]].any() and ends[..., [0, 2]].all()


def test_a_cancel_ends_it_between_two_steps():
    one = search(Quadratic(CENTRE))
    one.budget = Budget(cancelled=lambda: one.iterations >= 2)
    descend(one, starts(1), 40)
    assert one.iterations == 2 and one.cancelled


def test_no_starts_are_no_work():
    one = search(Quadratic(CENTRE))
    ends, costs = descend(one, starts(1)[:0], 5)
    assert ends.shape == (0, 2, 4) and costs.shape == (0,) and one.iterations == 0


def test_the_update_fulfils_the_secant_equation_and_refuses_negative_curvature():
    inverse = torch.eye(3)[None].repeat(2, 1, 1)
    moved, turned = torch.tensor([[1.0, 2, 0], [1, 0, 0]]), torch.tensor([[2.0, 3, 1], [-1, 0, 0]])
    updated = updated_inverse(inverse, moved, turned)
    torch.testing.assert_close(updated[0] @ turned[0], moved[0])
    assert torch.equal(updated[1], inverse[1])
