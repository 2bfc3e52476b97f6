# SPDX-License-Identifier: Apache-2.0
"""What a training costs: operations counted by hand, and what follows from them."""

import dataclasses

import yaml

from jepa_wm_ros.learning import cost
from jepa_wm_ros.learning.cost import Cost, cost_of
from jepa_wm_ros.learning.settings import load_settings
from support.tiny_models import tiny_spec

FRAMES, SIDE, PATCH = 3, 16, 4
TOKENS = (SIDE // PATCH) ** 2
D, E, HEADS, DEPTH, MLP, A = 8, 24, 2, 2, 96, 7


def settings(tmp_path, rollout_steps=1, **more):
    """A training of an AdaLN predictor on pictures cut into patches, so small as to be counted."""
    spec = tiny_spec('counted', img_size=SIDE).to_dict()
    spec |= {'encoder': {'kind': 'patch', 'width': D, 'patch_size': PATCH}, 'proprio_dim': 0}
    spec |= {'proprio_mean': [], 'proprio_std': [], 'proprio_position': [], 'proprio_wraps': []}
    spec |= {'action_dim': A, 'action_mean': [0.0] * A, 'action_std': [1.0] * A}
    spec['predictor'] = {'width': E, 'depth': DEPTH, 'heads': HEADS}
    stage = {'iterations': 10, 'batch': 4, 'window': FRAMES, 'context_window': 2}
    told = {'model': spec, 'predictor': stage | {'rollout_steps': rollout_steps} | more}
    (tmp_path / 'counted.yaml').write_text(yaml.safe_dump(told))
    return load_settings(tmp_path / 'counted.yaml')


def by_hand(frames):
    """Operations of the predictor on clips of so many frames, forwards and backwards.

    A matrix is multiplied once forwards and twice backwards, but once where what goes in has no
    gradient; of attention's two products each has two backwards.
    """
    n = frames * TOKENS
    blocks = DEPTH * (n * (E * 3 * E + E * E + 2 * E * MLP) + frames * E * 6 * E)
    attention = DEPTH * 2 * n * n * E
    enters = n * D * E + frames * A * E
    return 2 * (3 * (blocks + attention + n * E * D) + 2 * enters)


def test_teacher_forcing_by_hand(tmp_path):
    told = cost_of(settings(tmp_path))
    assert told.predictor == by_hand(FRAMES)
    assert told.encoder == 2 * FRAMES * TOKENS * 3 * PATCH**2 * D
    assert told.windows == 10 * 4
    linear = E * 3 * E + E * E + 2 * E * MLP + 6 * E * E, 3 * E + E + MLP + E + 6 * E
    norms = DEPTH * 4 * E + 2 * E
    learnt = DEPTH * sum(linear) + norms + D * E + E + A * E + E + E * D + D
    assert told.trained == learnt


def test_a_rollout_costs_the_frames_that_it_is_shown(tmp_path):
    told = cost_of(settings(tmp_path, rollout_steps=2))  # three frames: it begins at the first
    assert told.predictor == by_hand(FRAMES) + by_hand(2)


def test_parts_of_a_step_are_windows_too(tmp_path):
    assert cost_of(settings(tmp_path, accumulate=3)).windows == 10 * 4 * 3


def test_gpu_hours_by_hand():
    told = Cost(trained=1, encoder=1e12, predictor=3e12, windows=3600)
    assert told.hours(2e12, encoded=True) == 2.0 and told.hours(2e12, encoded=False) == 1.5
    faster = dataclasses.replace(told, windows=7200).hours(4e12, encoded=True)
    assert faster == 2.0


def test_the_table_and_what_it_assumes(tmp_path, capsys):
    settings(tmp_path)
    path = str(tmp_path / 'counted.yaml')
    assert cost.main([path, '--sustained', '1e-9']) == 0
    said = capsys.readouterr().out
    hours = cost_of(load_settings(path)).hours(1e3, encoded=True)
    assert f'| {hours:.3g} |' in said and 'at 1e-09 TFLOP/s a GPU' in said
    assert cost.main([path, '--sustained', '0']) == 1
    assert cost.main(['wall']) == 1
    assert 'wall is no published model' in capsys.readouterr().err
