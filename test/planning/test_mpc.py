# SPDX-License-Identifier: Apache-2.0
"""Warm starts, gripper samples and profiles."""

import pytest
import torch

from jepa_wm_ros.objective import Objective
from jepa_wm_ros.planning import PLANNERS, Budget, Mpc, SettingsError, load_profile
from jepa_wm_ros.planning.mpc import shifted
from jepa_wm_ros.planning.registry import make_planner, make_settings


class Bowl:
    """Squared distance to a target sequence; counts what it is asked."""

    def __init__(self, target):
        self.target, self.action_dim = target, target.shape[-1]
        self.seen = []

    def __call__(self, actions):
        self.seen.append(actions)
        return (actions - self.target[: actions.shape[1]]).square().mean(dim=(1, 2))

    def gradient(self, actions):
        away = actions - self.target[: actions.shape[1]]
        return self(actions), 2 * away / away[0].numel()


TARGET = torch.zeros(3, 7)  # within the bounds of every shipped profile
TARGET[:, :3] = torch.tensor([[0.05, -0.02, 0.03], [0.02, 0.06, -0.05], [-0.04, 0.01, 0.02]])


def profile(name='fast', **settings):
    return load_profile(name, settings=settings)


def test_shifting_drops_the_executed_steps_and_ends_standing_still():
    actions = torch.arange(6.0).reshape(3, 2)
    assert shifted(actions, 1).tolist() == [[2, 3], [4, 5], [0, 0]]
    assert shifted(actions[None], 2).tolist() == [[[4, 5], [0, 0], [0, 0]]]
    assert shifted(actions, 0).tolist() == actions.tolist()
    assert shifted(actions, 9).tolist() == [[0, 0]] * 3


def test_the_next_plan_starts_from_the_shifted_previous_one():
    mpc = Mpc(profile())
    first = mpc.plan(Bowl(TARGET))
    mpc.executed()
    cost = Bowl(shifted(TARGET, 1))
    mpc.plan(cost)
    assert torch.equal(cost.seen[0][0], shifted(first.actions, 1))


@pytest.mark.parametrize('planner', sorted(PLANNERS))
def test_a_plan_begins_at_what_the_model_proposes_and_not_at_the_last_plan(planner):
    mpc = Mpc(load_profile('fast', planner=planner, settings={'warm_start': 'proposal'}))
    for number in (1, 2):
        cost = Bowl(TARGET)
        cost.proposal = torch.full((5, 7), 0.01 * number) * (torch.arange(7) < 3)
        plan = mpc.plan(cost)
        mpc.executed()
        # To nevergrad it is one of those asked for first, on its way through double precision.
        first = cost.seen[0] if planner == 'nevergrad' else cost.seen[0][:1]
        away = (first - cost.proposal[:3]).abs().amax(dim=(1, 2))
        assert away.min() < 1e-7
        assert plan.cost <= Bowl(TARGET)(cost.proposal[None, :3]).item()


@pytest.mark.parametrize('planner', sorted(PLANNERS))
def test_a_proposal_beyond_the_bounds_begins_at_them(planner):
    cost = Bowl(TARGET)
    cost.proposal = torch.full((5, 7), 9.0)
    plan = Mpc(load_profile('fast', planner=planner, settings={'warm_start': 'proposal'})).plan(
        cost
    )
    bounds = load_profile('fast').settings.bounds(7)
    assert (torch.cat(cost.seen).abs() <= bounds + 1e-6).all()
    assert plan.cost < Bowl(TARGET)(bounds.expand(1, 3, 7)).item()


@pytest.mark.parametrize('named', [True, False])
def test_a_model_that_proposes_nothing_is_refused_by_a_profile_that_asks(named):
    cost = Bowl(TARGET)
    if named:
        cost.proposal = None
    with pytest.raises(SettingsError, match='train --stage proposal'):
        Mpc(profile(warm_start='proposal')).plan(cost)
    assert not cost.seen


@pytest.mark.parametrize('warm_start', [False, True, 'proposal'])
@pytest.mark.parametrize('planner', sorted(PLANNERS))
def test_plans_grow_short_with_the_steps_that_are_left(planner, warm_start):
    settings = {'warm_start': warm_start, 'iterations': 3}
    mpc = Mpc(load_profile('fast', planner=planner, settings=settings))
    for left in (4, 2, 1):
        cost = Bowl(TARGET)
        cost.proposal = TARGET + 0.01
        plan = mpc.plan(cost, steps_left=left)
        mpc.executed(1)
        assert plan.actions.shape == (min(left, 3), 7)
        assert all(actions.shape[1:] == plan.actions.shape for actions in cost.seen)


def test_warm_start_has_three_values():
    with pytest.raises(SettingsError, match='true, false or proposal'):
        profile(warm_start='previous')


def test_nothing_is_remembered_with_warm_start_off_or_after_a_reset():
    for mpc, forget in ((Mpc(profile('paper', num_samples=20)), False), (Mpc(profile()), True)):
        mpc.plan(Bowl(TARGET))
        mpc.executed()
        if forget:
            mpc.reset()
        cost = Bowl(TARGET)
        mpc.plan(cost)
        assert torch.equal(cost.seen[0][0], torch.zeros(3, 7))


def test_warm_start_needs_fewer_evaluations_for_the_same_cost():
    mpc, threshold, needed = Mpc(profile(iterations=30)), 1e-6, []
    for executed in (0, 1):
        target, reached = shifted(TARGET, executed), []

        def note(report, reached=reached):
            if report.best_cost < threshold:
                reached.append(report.evaluations)

        mpc.plan(Bowl(target), on_iteration=note)
        needed.append(reached[0])
        mpc.executed()
    assert needed[1] < 0.7 * needed[0]


def test_two_runs_of_the_same_episode_give_the_same_plans_and_two_plans_differ():
    runs = []
    for _ in range(2):
        mpc = Mpc(profile('paper', num_samples=20, iterations=2))
        runs.append([mpc.plan(Bowl(TARGET)).actions for _ in range(2)])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert not torch.equal(runs[0][0], runs[0][1])


def test_the_profile_gives_the_time_where_the_caller_names_none():
    ticks = iter(range(1000))
    budget = Budget(clock=lambda: float(next(ticks)))  # every look at the clock costs a second
    plan = Mpc(profile('reactive')).plan(Bowl(TARGET), budget=Budget(seconds=1e9))
    assert not plan.budget_exhausted
    with pytest.raises(Exception, match='0.2 s'):
        Mpc(profile('reactive')).plan(Bowl(TARGET), budget=budget)


# -- gripper -------------------------------------------------------------------------------------


class Door:
    """A handle: going up (dimension 2) is worth something alone, and much after it was grasped."""

    action_dim = 7

    def __init__(self):
        self.seen = []

    def __call__(self, actions):
        self.seen.append(actions.clone())
        closed = actions[..., 6].cumsum(1) > 0.5
        lifted = (actions[..., 2] * closed).sum(1)
        up = actions[..., 2].sum(1)
        return 1.0 - up - 10 * lifted + actions[..., :2].square().sum((1, 2))


def grasping(**changes):
    given = {'horizon': 3, 'iterations': 6, 'num_samples': 140, 'num_elites': 14, 'seed': 3}
    given |= {
        'var_scale': (0.05,) * 6 + (0.0,),
        'max_norms': (0.07,),
        'max_norm_dims': ((0, 1, 2),),
    }
    return make_planner('cem', make_settings('cem', given | changes | {'gripper': {'dim': 6}}))


def test_a_plan_closes_first_and_lifts_then_though_lifting_at_once_looks_better_at_first():
    door = Door()
    plan = grasping().plan(door)
    assert plan.actions[:, 6].tolist() == [1.0, 0.0, 0.0]
    assert plan.actions[0, :6].abs().max() == 0  # the hand stands meanwhile
    assert (plan.actions[1:, 2] > 0.06).all()
    assert plan.evaluations <= 6 * 140 + 1


@pytest.mark.parametrize('possible', [(), (1,), (-1,), (-1, 1)])
def test_a_hand_is_asked_for_the_strokes_alone_that_it_can_make(possible):
    door = Door()
    grasping(iterations=1).plan(door, strokes=possible)
    strokes = torch.cat(door.seen)[..., 6]
    assert set(strokes.unique().tolist()) == {0.0, *possible}
    assert len(strokes.unique(dim=0)) == 1 + 3 * len(possible)


def test_no_candidate_makes_half_a_stroke_two_strokes_or_one_on_the_way():
    door = Door()
    grasping(iterations=1).plan(door)
    actions = torch.cat(door.seen)
    strokes = actions[..., 6]
    assert set(strokes.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert ((strokes != 0).sum(1) <= 1).all()
    assert actions[..., :6][strokes != 0].abs().max() == 0
    kinds = strokes.unique(dim=0)
    assert len(kinds) == 7  # none, and opening and closing at each of three steps


# -- profiles ------------------------------------------------------------------------------------


def test_the_paper_profile_has_the_published_droid_numbers():
    paper = load_profile('paper')
    s = paper.settings
    assert (paper.planner, s.horizon, s.iterations, s.num_samples, s.num_elites) == (
        'cem',
        3,
        15,
        300,
        10,
    )
    assert (s.var_scale, s.momentum_mean, s.momentum_std, s.warm_start) == (0.1, 0, 0, False)
    assert s.bounds(7).tolist() == [0.1] * 6 + [0.75]
    assert (paper.steps_executed, paper.mode) == (3, 'exact')
    assert paper.objective == Objective('L2', sum_all=False, alpha=0.0)


@pytest.mark.parametrize('name', ['paper', 'fast', 'reactive', 'cell'])
def test_every_shipped_profile_makes_a_plan(name):
    plan = Mpc(profile(name)).plan(Bowl(TARGET))
    assert plan.actions.shape[1] == 7 and bool(plan.actions.isfinite().all())


def test_another_planner_takes_the_settings_it_knows():
    swapped = load_profile('paper', planner='gd', settings={'seed': 9})
    assert swapped.planner == 'gd' and swapped.settings.seed == 9
    assert swapped.settings.max_norms == (0.1, 0.75)


@pytest.mark.parametrize(
    ('planner', 'iterations', 'num_samples'),
    [('mppi', 15, 300), ('nevergrad', 15, 300), ('gd', 500, 1), ('adam', 60, 4)],
)
def test_a_planner_that_descends_keeps_its_own_length_of_search(planner, iterations, num_samples):
    swapped = load_profile('paper', planner=planner).settings
    assert (swapped.iterations, swapped.num_samples) == (iterations, num_samples)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('planner: cem\nsettings: {num_sample: 3}', ['num_sample', 'num_samples', 'horizon']),
        ('planner: cem\nhorizon: 3', ['horizon', 'steps_executed']),
        ('planner: sem', ['sem', 'cem', 'icem']),
        ('planner: cem\nobjective: {kind: L3}', ['L3', 'L2', 'cosine']),
        ('planner: cem\nobjective: {beta: 1}', ['beta', 'alpha']),
        ('planner: cem\nmode: quick', ['quick', 'exact']),
        ('planner: cem\nsteps_executed: 4', ['4', 'horizon 3']),
        ('planner: cem\nsettings: {gripper: {sise: 0.5}}', ['sise', 'size']),
        ('planner: cem\nsettings: {num_elites: 400}', ['400', '300']),
        ('planner: cem\nsettings: {max_norms: [0.1]}', ['max_norm_dims']),
        ('- cem', ['planner']),
        ('a: [', ['YAML']),
    ],
)
def test_a_bad_profile_is_refused_in_one_line_that_names_the_mend(tmp_path, text, words):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_profile(path)
    message = str(refused.value)
    assert '\n' not in message and str(path) in message
    assert all(word in message for word in words)


def test_an_unknown_profile_is_refused_with_the_shipped_ones():
    with pytest.raises(
        SettingsError, match='cell, fast, grasp, one_picture, one_picture_push, paper'
    ):
        load_profile('papre')
