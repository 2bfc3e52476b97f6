# SPDX-License-Identifier: Apache-2.0
"""The benchmark counts what it says it counts."""

import json
import math

import pytest
import torch

pytest.importorskip('h5py')

from jepa_wm_ros.evaluation.bench import __main__ as bench  # noqa: E402
from jepa_wm_ros.evaluation.bench import planners as bench_planners  # noqa: E402
from jepa_wm_ros.evaluation.bench.modes import operations, weightless  # noqa: E402
from jepa_wm_ros.evaluation.bench.problems import Problem, random_problems  # noqa: E402
from jepa_wm_ros.evaluation.bench.result import Figure, MatrixRates, matrix_rates  # noqa: E402
from jepa_wm_ros.planning import PLANNERS  # noqa: E402
from jepa_wm_ros.world_model import LatentCost  # noqa: E402

TARGET = 0.03 * torch.randn(3, 7, generator=torch.Generator().manual_seed(3))


class Bowl:
    action_dim, device = 7, 'cpu'

    def __init__(self):
        self.scored = self.gradients = 0

    def __call__(self, actions):
        self.scored += len(actions)
        return (actions - TARGET).square().mean(dim=(1, 2))

    def gradient(self, actions):
        self.gradients += len(actions)
        return self(actions), 2 * (actions - TARGET) / 21


def problem():
    return Problem(Bowl(), (TARGET + 0.005)[None])


def test_a_run_counts_what_was_scored_and_gradients_three_times():
    one = problem()
    ran = bench_planners.run('icem', one, (1e-3, 1e-4), 0)
    near, at = ran.marks
    assert near.evaluations <= at.evaluations <= ran.evaluations < 1500
    assert ran.evaluations == one.cost.scored + 2 * one.cost.gradients > one.cost.scored
    assert 0 <= near.seconds <= at.seconds and ran.cost < 1e-4


def test_a_mark_that_is_not_met_counts_as_infinite():
    near, never = bench_planners.run('icem', problem(), (1e-4, -1.0), 0).marks
    assert math.isfinite(near.evaluations) and never == bench_planners.Reached()
    assert math.isinf(never.evaluations)


def test_a_warm_start_counts_fewer_evaluations_than_a_cold_one():
    cold, warm = (
        bench_planners.run(name, problem(), (3e-5, 3e-5), 0).marks[0].evaluations
        for name in ('icem', 'icem warm')
    )
    assert warm < 0.7 * cold


@pytest.mark.parametrize('planner', PLANNERS)
def test_every_planner_is_measured_from_a_proposal_too(planner):
    one = problem()
    one.cost.proposal = TARGET + 0.001
    assert bench_planners.RUNS[f'{planner} proposed'] == bench_planners.RUNS.get(
        planner, ('cem', {})
    )
    start = float(one.cost(one.cost.proposal[None]))
    ran = bench_planners.run(f'{planner} proposed', one, (start, start), 0)
    assert ran.marks[0].evaluations <= 300 * bench_planners.GRADIENT_WORTH


def test_icem_needs_less_than_a_tenth_of_the_papers_evaluations_on_a_bowl(monkeypatch):
    monkeypatch.setattr(
        bench_planners, 'RUNS', {name: bench_planners.RUNS[name] for name in ('icem warm', 'icem')}
    )
    figures = bench_planners.compare_planners('bowl', iter([problem(), problem()]), 2)
    values = {f.name: f.value for f in figures}
    assert values['bowl: icem warm, same cost, reached'] == 1.0
    assert values['bowl: icem warm, same cost, with a third'] == 1.0
    assert values['bowl: icem warm, same cost, with a tenth'] == 1.0
    assert values['bowl: icem warm, same cost, share of 4500'] < 0.1
    assert (
        values['bowl: icem, 99% of the way, evaluations']
        <= values['bowl: icem, same cost, evaluations']
    )
    assert values["bowl: icem, final cost over cem's"] < 0.01
    assert 0 < values['bowl: cem paper final cost over standing still'] < 0.05


def test_random_problems_are_the_same_for_a_seed_and_can_be_solved():
    one, again = (next(random_problems(1, torch.device('cpu'), 64)) for _ in range(2))
    actions = torch.cat([one.warm_start[:1], torch.zeros(1, 3, 7)])
    assert torch.equal(one.cost(actions), again.cost(actions))
    planned, still = one.cost(actions).tolist()
    assert planned < 0.3 * still


def test_operations_of_a_matrix_product_are_counted_per_sample_and_step():
    weights = torch.randn(7, 11)
    assert (
        operations(lambda actions: actions.flatten(0, 1) @ weights, torch.zeros(4, 3, 7))
        == 2 * 7 * 11
    )


def test_the_matrix_rate_is_a_plausible_number_of_operations():
    rates = matrix_rates(torch.device('cpu'))
    assert 1e8 < rates.float32 < 1e14 and 1e8 < rates.bfloat16 < 1e15


def test_the_file_holds_name_value_unit_and_context(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, 'matrix_rates', lambda device: MatrixRates(1e9, 2e9, 'here'))
    out = tmp_path / 'deep' / 'bench.json'
    assert bench.main(['--only', 'machine', '--out', str(out)]) == 0
    assert json.loads(out.read_text())[1] == {
        'name': 'matrix rate bfloat16',
        'value': 2.0,
        'unit': 'GFLOP/s',
        'context': 'here',
    }
    assert 'matrix rate float32' in capsys.readouterr().out


def test_without_ros_the_service_is_skipped_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr(bench.importlib.util, 'find_spec', lambda name: None)
    assert bench.service('jepa_wm_cell') == []
    assert 'rclpy is not installed' in capsys.readouterr().err


def test_an_unknown_part_is_refused_in_one_line(capsys):
    assert bench.main(['--only', 'everything']) == 1
    assert capsys.readouterr().err.startswith('error: --only everything: choose from machine')


def test_the_table_lines_its_columns_up():
    lines = bench.table([Figure('a', 1.0, 's', 'x'), Figure('long', 123.456, 'ms', 'y')])
    assert lines.splitlines() == ['a         1 s   x', 'long  123.5 ms  y']


@pytest.mark.parametrize('mode', ['plain', 'exact', 'fast'])
def test_work_is_counted_without_doing_it(mode):
    cost, actions = next(random_problems(1, torch.device('cpu'), 64)).cost, torch.zeros(5, 3, 7)
    cost = LatentCost(cost.model, cost.context, cost.goal, cost.objective, mode)
    assert operations(weightless(cost), actions.to('meta')) == operations(cost, actions) > 1e4
