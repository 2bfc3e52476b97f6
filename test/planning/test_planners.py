# SPDX-License-Identifier: Apache-2.0
"""What every planner must do, on costs whose answer is known."""

import math
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.planning import PLANNERS, Budget, PlanningError, SettingsError, make_planner

TARGET = torch.tensor(
    [
        [0.05, -0.02, 0.03, 0.0, 0.01, 0.0, 0.2],
        [0.02, 0.06, -0.05, 0.02, 0.0, 0.0, -0.1],
        [-0.04, 0.01, 0.02, 0.0, 0.0, 0.05, 0.0],
    ]
)
DROID_BOUNDS = {'max_norms': [0.1, 0.75], 'max_norm_dims': [[0, 1, 2, 3, 4, 5], [6]]}
SMALL = {
    'cem': {'iterations': 12, 'num_samples': 120},
    'nevergrad': {'iterations': 60, 'num_samples': 20, 'optimizer': 'DiagonalCMA'},
    'gd': {'iterations': 200, 'lr': 2.0, 'action_noise': 0.0, 'var_scale': 0.1},
    'adam': {'iterations': 80, 'lr': 0.01},
    'mppi': {'iterations': 15, 'num_samples': 150},
    'icem': {},
    'icem by sampling': {'iterations': 28, 'descents': 0},
}
needs_nevergrad = pytest.mark.skipif(
    find_spec('nevergrad') is None, reason='nevergrad is not installed'
)
EVERY = [
    pytest.param(name, marks=needs_nevergrad) if name == 'nevergrad' else name
    for name in sorted(SMALL)
]  # nevergrad is the last


class Bowl:
    """Mean squared distance to TARGET, with its gradient. `spoil` changes costs before they go."""

    action_dim = 7

    def __init__(self, spoil=lambda costs: costs):
        self.spoil, self.seen = spoil, []

    def __call__(self, actions):
        self.seen.append(actions.clone())
        return self.spoil((actions - TARGET[: actions.shape[1]]).square().mean(dim=(1, 2)))

    def gradient(self, actions):
        size = actions[0].numel()
        return self(actions), 2 * (actions - TARGET[: actions.shape[1]]) / size


def planner(name, **changes):
    return make_planner(name.split()[0], {**SMALL[name], **DROID_BOUNDS, **changes})


def quick(name, **changes):
    return planner(name, **{'iterations': 3, **changes})


def test_the_planners_of_the_paper_and_their_kin_are_there():
    assert {'cem', 'nevergrad', 'gd', 'adam', 'mppi', 'icem'} <= set(PLANNERS)


@pytest.mark.parametrize('name', EVERY)
def test_every_planner_finds_the_bottom_of_a_bowl(name):
    cost = Bowl()
    plan = planner(name).plan(cost)
    standing_still = float(TARGET.square().mean())
    assert plan.cost < 0.05 * standing_still
    assert plan.cost == pytest.approx(float(Bowl()(plan.actions[None])), abs=1e-9)
    assert plan.evaluations == sum(len(actions) for actions in cost.seen)


@pytest.mark.parametrize('name', EVERY)
def test_the_same_seed_gives_the_same_plan_and_another_index_another_one(name):
    plans = [quick(name).plan(Bowl(), index=i).actions for i in (4, 4, 5)]
    assert torch.equal(plans[0], plans[1])
    assert not torch.equal(plans[0], plans[2])


@pytest.mark.parametrize('name', EVERY)
def test_a_plan_is_no_longer_than_the_steps_left(name):
    assert quick(name).plan(Bowl(), steps_left=2).actions.shape == (2, 7)
    assert quick(name).plan(Bowl(), steps_left=9).actions.shape == (3, 7)
    with pytest.raises(PlanningError, match='steps_left=0'):
        quick(name).plan(Bowl(), steps_left=0)


@pytest.mark.parametrize('name', EVERY)
def test_frozen_dimensions_stay_exactly_zero(name):
    cost = Bowl()
    plan = quick(name, frozen_dims=[3, 4, 5, 6]).plan(cost)
    scored = cost.seen[1:] if name == 'gd' else cost.seen  # the published GD starts unclipped
    assert not plan.actions[:, 3:].any() and not any(a[..., 3:].any() for a in scored)
    assert plan.actions[:, :3].any()


@pytest.mark.parametrize('name', EVERY)
@settings(max_examples=12, deadline=None)
@given(first=st.floats(0.001, 0.3), second=st.floats(0.001, 1.0), seed=st.integers(0, 999))
def test_no_candidate_and_no_plan_leaves_the_bounds(name, first, second, seed):
    cost = Bowl()
    plan = quick(
        name,
        iterations=2,
        max_norms=[first, second],
        seed=seed,
        **({} if name in ('gd', 'adam') else {'num_samples': 70}),
    ).plan(cost)
    bounds = torch.tensor([first] * 6 + [second]) * (1 + 1e-6)
    scored = cost.seen[1:] if name == 'gd' else cost.seen
    assert all(bool((a.abs() <= bounds).all()) for a in [*scored, plan.actions])


# -- budget and cancel -----------------------------------------------------------------------------


class Clock:
    """Time that passes by one second per scored batch."""

    def __init__(self):
        self.now = 0.0

    def tick(self, costs):
        self.now += 1.0
        return costs


@pytest.mark.fault(10)
@pytest.mark.parametrize('name', EVERY)
def test_time_running_out_gives_the_best_candidate_so_far_flagged(name):
    clock = Clock()
    plan = planner(name).plan(Bowl(clock.tick), budget=Budget(2.5, clock=lambda: clock.now))
    assert plan.budget_exhausted and not plan.cancelled
    assert plan.iterations == 2 and plan.seconds == 2.0  # a third would have ended at 3.0
    assert plan.cost == pytest.approx(float(Bowl()(plan.actions[None])), abs=1e-9)


@pytest.mark.parametrize('name', EVERY)
def test_a_cancel_ends_the_search_before_the_next_iteration(name):
    reports = []
    plan = planner(name).plan(
        Bowl(), on_iteration=reports.append, budget=Budget(cancelled=lambda: len(reports) >= 2)
    )
    assert plan.cancelled and not plan.budget_exhausted
    assert plan.iterations == len(reports) == 2
    assert plan.cost == reports[-1].best_cost


@pytest.mark.parametrize('name', EVERY)
def test_a_cancel_before_the_first_iteration_scores_nothing(name):
    cost = Bowl()
    plan = planner(name).plan(cost, budget=Budget(cancelled=lambda: True))
    assert plan.cancelled and plan.evaluations == 0 and not cost.seen
    assert plan.cost == math.inf and not plan.actions.any()


@pytest.mark.fault(10)
@pytest.mark.parametrize('name', EVERY)
def test_no_time_at_all_is_a_planning_timeout(name):
    with pytest.raises(PlanningError) as raised:
        planner(name).plan(Bowl(), budget=Budget(seconds=0.0))
    assert raised.value.code == FaultCode.PLANNING_TIMEOUT


# -- costs that are not finite ---------------------------------------------------------------------


def spoil_some(value):
    """Makes the cost of every third candidate invalid."""

    def spoil(costs):
        costs = costs.clone()
        costs[1::3] = value
        return costs

    return spoil


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('name', ['cem', 'mppi', 'icem', 'icem by sampling', EVERY[-1]])
def test_invalid_costs_count_as_worst_and_are_counted(name, value):
    cost = Bowl(spoil_some(value))
    plan = planner(name).plan(cost)
    assert plan.cost < 0.2 * float(TARGET.square().mean())
    assert plan.invalid_costs == sum(len(a[1::3]) for a in cost.seen)
    assert 0.2 < plan.invalid_fraction < 0.5


@pytest.mark.parametrize('name', EVERY)
def test_no_finite_cost_at_all_is_an_error_that_names_its_kind(name):
    with pytest.raises(PlanningError) as raised:
        planner(name).plan(Bowl(lambda costs: costs * math.nan))
    assert raised.value.code == FaultCode.MODEL_OUTPUT_INVALID and '\n' not in str(raised.value)


@pytest.mark.parametrize('name', ['cem', 'mppi', 'icem', 'icem by sampling'])
def test_one_finite_candidate_is_enough(name):
    def spoil(costs):
        costs = torch.full_like(costs, math.nan)
        costs[-1] = 1.0
        return costs

    plan = quick(name).plan(Bowl(spoil))
    assert bool(plan.actions.isfinite().all()) and plan.cost == 1.0
    assert plan.invalid_fraction > 0.5


@pytest.mark.parametrize('name', ['gd', 'adam'])
def test_a_gradient_that_is_not_finite_makes_its_candidate_invalid(name):
    class Broken(Bowl):
        def gradient(self, actions):
            costs, gradient = super().gradient(actions)
            gradient[0, 0, 0] = math.nan
            return costs, gradient

    plan = quick(name, num_samples=3).plan(Broken())
    assert plan.invalid_costs == 3 and bool(plan.actions.isfinite().all())


def test_a_cost_function_of_the_wrong_shape_is_named():
    with pytest.raises(PlanningError, match=r'shape \(120, 1\) for 120 candidates'):
        planner('cem').plan(Bowl(lambda costs: costs[:, None]))


# -- warm starts -----------------------------------------------------------------------------------


@pytest.mark.parametrize('name', EVERY)
def test_a_search_can_start_at_a_given_plan(name):
    start = TARGET + 0.001
    changes = {
        'gd': {'init': 'zeros'},
        'adam': {'init': 'zeros'},
        'icem': {'descent_steps': 1},
    }.get(name, {})
    cold, warm = (
        quick(name, iterations=1, **changes).plan(Bowl(), warm_start=w) for w in (None, start)
    )
    assert warm.cost < cold.cost


@pytest.mark.parametrize(
    'start', [torch.zeros(3, 6), torch.full((3, 7), math.nan), torch.zeros(0, 3, 7), torch.zeros(7)]
)
def test_a_useless_warm_start_is_refused(start):
    with pytest.raises(PlanningError) as raised:
        planner('icem').plan(Bowl(), warm_start=start)
    assert raised.value.code == FaultCode.INTERNAL


def test_a_warm_start_that_is_too_short_stands_still_at_its_end():
    cost = Bowl()
    quick('icem').plan(cost, warm_start=TARGET[:2])
    assert torch.equal(cost.seen[0][0], torch.cat([TARGET[:2], torch.zeros(1, 7)]))


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('cem', {'horizon': 0}),
        ('cem', {'horizon': True}),
        ('cem', {'var_scale': -1}),
        ('cem', {'var_scale': [0.1, 0.1]}),
        ('cem', {'momentum_std': 1.0}),
        ('cem', {'seed': -1}),
        ('cem', {'num_elites': 1}),
        ('cem', {'frozen_dims': [9]}),
        ('cem', {'max_norms': [0.1, -1]}),
        ('gd', {'lr': 0}),
        ('gd', {'init': 'ones'}),
        ('adam', {'beta1': 1.0}),
        ('mppi', {'temperature': 0}),
        ('mppi', {'min_std': 3.0}),
        ('icem', {'decay': 0.9}),
        ('icem', {'noise_beta': -1}),
        ('nevergrad', {'optimizer': 'NoSuch'}),
        ('nevergrad', {'var_scale': 0.1}),
    ],
)
def test_a_setting_that_cannot_be_honoured_is_refused_in_one_line(name, changes):
    if name == 'nevergrad':
        pytest.importorskip('nevergrad')
    with pytest.raises(SettingsError) as refused:
        planner(name, **changes).plan(Bowl())
    assert '\n' not in str(refused.value) and next(iter(changes)) in str(refused.value)


def test_each_dimension_can_have_its_own_first_standard_deviation():
    cost = Bowl()
    scales = [0.02] * 6 + [0.3]
    quick('cem', var_scale=scales, max_norms=None, num_samples=3000).plan(cost)
    spread = cost.seen[0][1:].std(dim=(0, 1))
    torch.testing.assert_close(spread, torch.tensor(scales), rtol=0.06, atol=0)
