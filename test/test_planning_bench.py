# SPDX-License-Identifier: Apache-2.0
"""The benchmark counts what it says it counts."""

import json
import math

import pytest
import torch

pytest.importorskip('h5py')

from jepa_wm_ros.evaluation import bench, bench_planners  # noqa: E402
from jepa_wm_ros.evaluation.bench_modes import operations  # noqa: E402
from jepa_wm_ros.evaluation.bench_result import Figure, MatrixRates, matrix_rates  # noqa: E402

TARGET = 0.03 * torch.randn(3, 7, generator=torch.Generator().manual_seed(3))


class Bowl:
    action_dim, device = 7, 'cpu'

    def __init__(self):
        self.scored = 0

    def __call__(self, actions):
        self.scored += len(actions)
        return (actions - TARGET).square().mean(dim=(1, 2))

    def gradient(self, actions):
        return self(actions), 2 * (actions - TARGET) / 21


def problem():
    return bench_planners.Problem(Bowl(), (TARGET + 0.005)[None])


def test_until_stops_at_the_last_mark_and_counts_what_was_scored():
    one = problem()
    near, at = bench_planners.until('icem', one, (1e-3, 1e-4), 0)
    assert near.evaluations < at.evaluations == one.cost.scored < 700
    assert 0 <= near.seconds <= at.seconds


def test_a_mark_that_is_not_met_counts_as_infinite():
    near, never = bench_planners.until('icem', problem(), (1e-4, -1.0), 0)
    assert math.isfinite(near.evaluations) and never == bench_planners.Reached()
    assert math.isinf(never.evaluations)


def test_a_warm_start_counts_fewer_evaluations_than_a_cold_one():
    cold, warm = (bench_planners.until(name, problem(), (1e-6, 1e-6), 0)[0].evaluations
                  for name in ('icem', 'icem warm'))
    assert warm < 0.7 * cold


def test_icem_needs_less_than_a_third_of_the_papers_evaluations_on_a_bowl(monkeypatch):
    monkeypatch.setattr(bench_planners, 'LIMIT', {
        name: bench_planners.LIMIT[name] for name in ('icem warm', 'icem')})
    figures = bench_planners.compare_planners('bowl', iter([problem(), problem()]))
    values = {f.name: f.value for f in figures}
    assert values['bowl: icem warm, same cost, reached'] == 1.0
    assert values['bowl: icem warm, same cost, with a third'] == 1.0
    assert values['bowl: icem warm, same cost, share of 4500'] < 1 / 3
    assert (values['bowl: icem, 99% of the way, evaluations']
            <= values['bowl: icem, same cost, evaluations'])
    assert 0 < values['bowl: cem paper final cost over standing still'] < 0.05


def test_operations_of_a_matrix_product_are_counted_per_sample_and_step():
    weights = torch.randn(7, 11)
    assert operations(lambda actions: actions.flatten(0, 1) @ weights,
                      torch.zeros(4, 3, 7)) == 2 * 7 * 11


def test_the_matrix_rate_is_a_plausible_number_of_operations():
    rates = matrix_rates(torch.device('cpu'))
    assert 1e8 < rates.float32 < 1e14 and 1e8 < rates.bfloat16 < 1e15


def test_the_file_holds_name_value_unit_and_context(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, 'matrix_rates', lambda device: MatrixRates(1e9, 2e9, 'here'))
    out = tmp_path / 'deep' / 'bench.json'
    assert bench.main(['--only', 'machine', '--out', str(out)]) == 0
    assert json.loads(out.read_text())[1] == {
        'name': 'matrix rate bfloat16', 'value': 2.0, 'unit': 'GFLOP/s', 'context': 'here'}
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
