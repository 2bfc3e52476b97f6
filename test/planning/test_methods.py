# SPDX-License-Identifier: Apache-2.0
"""What sets each planner apart, against independent calculations."""

import math

import numpy as np
import pytest
import torch

from jepa_wm_ros.planning import make_planner
from jepa_wm_ros.planning.icem import IcemSettings, coloured

BOUNDS = {'max_norms': [0.1, 0.75], 'max_norm_dims': [[0, 1, 2, 3, 4, 5], [6]]}


class Curved:
    """A cost with cross terms: sum of (W a - b)^2, written in NumPy for the oracles."""

    action_dim = 7

    def __init__(self, horizon=2):
        rng = np.random.default_rng(5)
        self.w = rng.normal(size=(9, horizon * 7))
        self.b = rng.normal(size=9) * 0.2
        self.size = horizon * 7

    def residual(self, actions):
        return actions.reshape(-1, self.size) @ self.w.T - self.b

    def __call__(self, actions):
        flat = actions.double().numpy()
        return torch.from_numpy((self.residual(flat) ** 2).sum(-1)).float()

    def gradient(self, actions):
        flat = actions.double().numpy()
        gradient = 2 * self.residual(flat) @ self.w
        return self(actions), torch.from_numpy(gradient).float().reshape(actions.shape)


def tape(shapes, seed=0):
    """Recorded noise of the given shapes, and a draw that plays it."""
    generator = torch.Generator().manual_seed(seed)
    noise = [torch.randn(shape, generator=generator) for shape in shapes]
    left = iter(noise)

    def draw(shape):
        eps = next(left)
        assert eps.shape == shape
        return eps

    return noise, draw


def test_gd_is_the_published_update_and_answers_with_its_last_point():
    cost, steps = Curved(), 6
    noise, draw = tape([(1, 2, 7)] * (steps + 1))
    planner = make_planner(
        'gd',
        {
            'iterations': steps,
            'horizon': 2,
            'lr': 0.004,
            'action_noise': 0.01,
            'var_scale': 0.1,
            **BOUNDS,
        },
    )
    reports = []
    plan = planner.plan(cost, on_iteration=reports.append, draw=draw)
    bound = torch.tensor([0.1] * 6 + [0.75])
    a, losses = noise[0] * 0.1, []
    for eps in noise[1:]:
        loss, gradient = cost.gradient(a)
        losses.append(float(loss))
        a = a - 0.004 * gradient + 0.01 * eps
        a = torch.minimum(torch.maximum(a, -bound), bound)
    assert torch.equal(plan.actions, a[0])
    assert [r.iteration_cost for r in reports] == losses


def test_adam_agrees_with_torch_where_no_bound_is_met():
    cost, steps = Curved(), 25
    planner = make_planner(
        'adam', {'iterations': steps, 'num_samples': 1, 'horizon': 2, 'lr': 0.02, 'init': 'zeros'}
    )
    reports = []
    planner.plan(cost, on_iteration=reports.append)
    a = torch.zeros(1, 2, 7, requires_grad=True)
    optimizer, losses = torch.optim.Adam([a], lr=0.02), []
    for _ in range(steps):
        loss, a.grad = cost.gradient(a.detach())
        losses.append(float(loss))
        optimizer.step()
    np.testing.assert_allclose([r.iteration_cost for r in reports], losses, rtol=1e-4)
    assert losses[-1] < 0.5 * losses[0]


def test_mppi_weighs_candidates_by_their_cost():
    noise, draw = tape([(2, 6, 7)])
    planner = make_planner(
        'mppi',
        {
            'iterations': 1,
            'num_samples': 6,
            'num_elites': 4,
            'horizon': 2,
            'temperature': 0.7,
            'var_scale': 0.3,
        },
    )
    reports = []
    planner.plan(Curved(), on_iteration=reports.append, draw=draw)
    actions = (0.3 * noise[0].numpy()).transpose(1, 0, 2)
    actions[0] = 0
    costs = (Curved().residual(actions) ** 2).sum(-1)
    best = np.argsort(costs)[:4]
    weights = np.exp(-(costs[best] - costs[best[0]]) / (0.7 * costs[best].std()))
    weights /= weights.sum()
    mean = np.einsum('k,kha->ha', weights, actions[best])
    std = np.sqrt(np.einsum('k,kha->ha', weights, (actions[best] - mean) ** 2))
    np.testing.assert_allclose(reports[0].mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(reports[0].std, std, rtol=1e-4, atol=1e-6)


# -- iCEM ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('horizon', [2, 3, 8, 9])
def test_coloured_noise_has_unit_variance_and_its_spectrum(horizon):
    white = torch.randn(horizon, 40000, generator=torch.Generator().manual_seed(1))
    noise = coloured(white, 2.0)
    torch.testing.assert_close(noise.std(dim=1), torch.ones(horizon), rtol=0.03, atol=0)
    power = torch.fft.rfft(noise, dim=0).abs().square().mean(dim=1)
    frequency = torch.fft.rfftfreq(horizon)
    frequency[0] = frequency[1]
    expected = frequency**-2.0
    torch.testing.assert_close(power / power[1], expected / expected[1], rtol=0.06, atol=0)


def test_coloured_noise_of_exponent_zero_is_white_noise_itself():
    white = torch.randn(5, 3)
    assert torch.equal(coloured(white, 0.0), white)
    assert torch.equal(coloured(white[:1], 2.0), white[:1])


def test_icem_shrinks_its_population_but_not_below_twice_the_elites():
    s = IcemSettings(num_samples=100, num_elites=10, decay=2.0)
    assert [s.population(i) for i in range(1, 6)] == [100, 50, 25, 20, 20]


def test_icem_refits_to_elites_weighed_by_rank_and_draws_mirrored_pairs():
    noise, draw = tape([(2, 4, 7)])
    s = {
        'iterations': 1,
        'num_samples': 8,
        'num_elites': 3,
        'horizon': 2,
        'var_scale': 0.3,
        'noise_beta': 0.0,
        'momentum_std': 0.25,
        'rounds': 1,
    }
    reports = []
    make_planner('icem', s).plan(Curved(), on_iteration=reports.append, draw=draw)
    actions = (0.3 * noise[0].numpy()).transpose(1, 0, 2)
    actions = np.concatenate([actions, -actions])
    actions[0] = 0
    np.testing.assert_allclose(reports[0].actions, actions, rtol=1e-6)
    best = actions[np.argsort((Curved().residual(actions) ** 2).sum(-1))[:3]]
    weights = math.log(3.5) - np.log([1, 2, 3])
    weights /= weights.sum()
    mean = np.einsum('k,kha->ha', weights, best)
    variance = np.einsum('k,kha->ha', weights, (best - mean) ** 2) / (1 - (weights**2).sum())
    np.testing.assert_allclose(reports[0].mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(reports[0].std, 0.75 * np.sqrt(variance) + 0.25 * 0.3, rtol=1e-4)


def test_icem_keeps_elites_without_scoring_them_again():
    cost, scored, reports = Curved(horizon=3), [], []

    class Counting:
        action_dim = 7

        def __call__(self, actions):
            scored.append(len(actions))
            return cost(actions)

    s = {'iterations': 4, 'num_samples': 20, 'num_elites': 5, 'decay': 1.0, 'rounds': 1}
    plan = make_planner('icem', s).plan(Counting(), on_iteration=reports.append)
    assert scored == [20] * 4 and plan.evaluations == 80
    best = torch.cat([r.costs for r in reports]).sort().values
    assert plan.cost == float(best[0])
    assert float(cost(plan.elites)[0]) == pytest.approx(float(best[0]), rel=1e-5)


def test_icem_scores_the_shifted_elites_of_the_previous_plan_first():
    seen = []

    class Watching(Curved):
        def __call__(self, actions):
            seen.append(actions)
            return super().__call__(actions)

    planner = make_planner('icem', {'iterations': 1, 'num_samples': 16, 'num_elites': 4})
    warm = 0.01 * torch.randn(5, 3, 7, generator=torch.Generator().manual_seed(2))
    planner.plan(Watching(horizon=3), warm_start=warm)
    assert torch.equal(seen[0][0], warm[0]) and torch.equal(seen[0][-4:], warm[1:])


def test_icem_searches_a_step_that_was_not_planned_in_full():
    seen = []

    class Watching(Curved):
        def __call__(self, actions):
            seen.append(actions)
            return super().__call__(actions)

    warm = torch.full((3, 7), 0.01)
    warm[2] = 0.0
    make_planner(
        'icem', {'iterations': 1, 'num_samples': 2000, 'var_scale': 0.1, 'warm_scale': 0.2}
    ).plan(Watching(horizon=3), warm_start=warm)
    spread = (seen[0][1:] - warm).std(dim=(0, 2))
    torch.testing.assert_close(spread, torch.tensor([0.02, 0.02, 0.1]), rtol=0.05, atol=0)


class TwoValleys:
    """A flat valley around +0.05 and, beyond a ridge, a lower one around -0.05."""

    action_dim = 7

    def __call__(self, actions):
        return self.gradient(actions)[0]

    def gradient(self, actions):
        a = actions.detach().requires_grad_()
        with torch.enable_grad():
            wells = [(a - 0.05).square().mean((1, 2)) + 0.001, (a + 0.05).square().mean((1, 2))]
            costs = torch.stack(wells).min(0).values
            slope = torch.autograd.grad(costs.sum(), a)[0]
        return costs.detach(), slope


def test_icem_leaves_the_valley_of_its_warm_start_in_the_second_round():
    warm = torch.full((3, 7), 0.05)
    costs = [
        make_planner('icem', {'rounds': rounds, 'num_samples': 64, 'iterations': 8})
        .plan(TwoValleys(), warm_start=warm, index=3)
        .cost
        for rounds in (1, 2)
    ]
    assert costs[0] == pytest.approx(0.001, abs=1e-6) and costs[1] < 1e-6


def test_icem_hands_the_end_of_its_descent_to_the_next_plan():
    cost = Curved(horizon=3)
    plan = make_planner('icem', {'rounds': 1, 'iterations': 2}).plan(cost)
    by_sampling = make_planner('icem', {'rounds': 1, 'iterations': 2, 'descents': 0}).plan(cost)
    assert plan.cost < 0.1 * by_sampling.cost and plan.gradients > 0 == by_sampling.gradients
    assert torch.equal(plan.elites[0], plan.actions)


# -- Nevergrad -------------------------------------------------------------------------------------


def published_loop(cost, seed, iterations, samples, optimizer):
    """Sequential asks, one batch of costs, sequential tells: doc/reference/models.md 4.3."""
    ng = pytest.importorskip('nevergrad')
    array = ng.p.Array(shape=(3, 7))
    bound = np.tile([0.1] * 6 + [0.75], (3, 1))
    array.set_bounds(-bound, bound)
    array.random_state = np.random.RandomState(seed)
    search = ng.optimizers.registry[optimizer](
        parametrization=array, budget=iterations * samples, num_workers=samples
    )
    for _ in range(iterations):
        asked = [search.ask() for _ in range(samples)]
        costs = cost(torch.tensor(np.array([a.value for a in asked]), dtype=torch.float32))
        for candidate, value in zip(asked, costs.tolist(), strict=True):
            search.tell(candidate, value if math.isfinite(value) else 1e6)
    return search.provide_recommendation().value


@pytest.mark.filterwarnings('ignore::UserWarning')
@pytest.mark.parametrize(
    ('iterations', 'samples', 'optimizer', 'published'),
    [
        (15, 300, 'NGOpt', 'DiagonalCMA'),  # at this budget NGOpt resolves to MetaModel
        (6, 30, 'PSO', 'PSO'),
    ],
)
def test_nevergrad_repeats_the_published_loop(iterations, samples, optimizer, published):
    s = {'iterations': iterations, 'num_samples': samples, 'seed': 11, 'optimizer': optimizer}
    plan = make_planner('nevergrad', {**s, **BOUNDS}).plan(Curved(horizon=3))
    expected = published_loop(Curved(horizon=3), 11, iterations, samples, published)
    np.testing.assert_allclose(plan.actions, expected, rtol=1e-5, atol=1e-7)


def test_nevergrad_bounds_every_dimension_by_one_as_soon_as_any_is_bounded():
    pytest.importorskip('nevergrad')
    seen = []

    class Watching(Curved):
        def __call__(self, actions):
            seen.append(actions)
            return super().__call__(actions)

    make_planner(
        'nevergrad',
        {
            'iterations': 1,
            'num_samples': 300,
            'horizon': 2,
            'max_norms': [0.1],
            'max_norm_dims': [[0, 1, 2]],
        },
    ).plan(Watching())
    largest = seen[0].abs().amax(dim=(0, 1))
    assert bool((largest[:3] <= 0.1).all()) and bool((largest[3:] <= 1.0).all())
    assert bool((largest[3:] > 0.3).all())


def test_nevergrad_is_told_a_million_for_costs_that_are_not_finite(monkeypatch):
    ng = pytest.importorskip('nevergrad')
    told = []
    tell = ng.optimizers.base.Optimizer.tell

    def listen(self, candidate, loss, *args, **kwargs):
        told.append(loss)
        return tell(self, candidate, loss, *args, **kwargs)

    monkeypatch.setattr(ng.optimizers.base.Optimizer, 'tell', listen)

    class Broken(Curved):
        def __call__(self, actions):
            costs = super().__call__(actions)
            costs[:3] = torch.tensor([math.nan, math.inf, -math.inf])[: len(costs)]
            return costs

    make_planner(
        'nevergrad', {'iterations': 1, 'num_samples': 8, 'horizon': 2, 'optimizer': 'DiagonalCMA'}
    ).plan(Broken())
    assert told[:3] == [1e6] * 3 and max(told[3:]) < 1e6
