# SPDX-License-Identifier: Apache-2.0
"""The predictor and its parts: positions, masks, causality, every ablation composed."""

import itertools
import math

import pytest
import torch

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model import Latents, ModelSpec, build
from jepa_wm_ros.world_model.files.registry import ENTRIES, cell_spec
from jepa_wm_ros.world_model.rope import (
    frame_causal_mask,
    rope_tables,
    rotate,
    sincos_table,
    token_positions,
)
from jepa_wm_ros.world_model.spec import EncoderSpec, PredictorSpec

CPU, F64 = torch.device('cpu'), torch.float64


def small_spec(**predictor):
    defaults = {'width': 36, 'depth': 2, 'heads': 3}
    if predictor.get('conditioning') == 'feature':
        defaults['action_features'] = 3
    if predictor.get('proprio') == 'feature':
        defaults['proprio_features'] = 6
    spec = PredictorSpec(**{**defaults, **predictor})
    return ModelSpec(
        'small',
        'vit',
        EncoderSpec('patch', 20, 8),
        spec,
        7,
        (0.0,) * 7,
        (1.0,) * 7,
        7,
        (0.0,) * 7,
        (1.0,) * 7,
        img_size=16,
    )


def small_input(spec, frames=3, batch=2):
    visual = torch.randn(batch, frames, 4, 20)
    proprio = {
        'none': None,
        'token': torch.randn(batch, frames, 7),
        'feature': torch.randn(batch, frames, 4, spec.predictor.proprio_features),
    }
    return visual, torch.randn(batch, frames, 7), proprio[spec.predictor.proprio]


COMBINATIONS = [
    {'conditioning': conditioning, 'position': position, 'proprio': proprio}
    for conditioning, position, proprio in itertools.product(
        ('adaln', 'feature', 'sequence'),
        ('rope', 'sincos', 'learned', 'none'),
        ('none', 'feature', 'token'),
    )
    if proprio != 'token' or conditioning == 'sequence'
]


@pytest.mark.parametrize('parts', COMBINATIONS, ids=lambda p: '-'.join(p.values()))
def test_every_combination_predicts_a_frame_from_the_past_alone(parts):
    torch.manual_seed(0)
    spec = small_spec(**parts, heads=1)
    predictor = build(spec).predictor
    visual, actions, proprio = small_input(spec)
    before, _ = predictor(visual, actions, proprio)
    assert before.shape == visual.shape
    visual[:, 2] += 1
    actions[:, 2] += 1
    after, _ = predictor(visual, actions, proprio)
    assert torch.allclose(before[:, :2], after[:, :2], atol=1e-6)
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-3


@pytest.mark.parametrize('conditioning', ['adaln', 'feature', 'sequence'])
def test_every_conditioning_hears_the_action(conditioning):
    torch.manual_seed(0)
    spec = small_spec(conditioning=conditioning, heads=1)
    predictor = build(spec).predictor
    visual, actions, _ = small_input(spec)
    assert (predictor(visual, actions)[0] - predictor(visual, -actions)[0]).abs().max() > 1e-4


@pytest.mark.parametrize('position', ['rope', 'sincos', 'learned'])
def test_positions_tell_frames_and_tokens_apart(position):
    torch.manual_seed(0)
    predictor = build(small_spec(position=position)).predictor
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.mul_(5)  # freshly initialised attention is too even to show it
    visual, actions = torch.randn(1, 2, 4, 20), torch.randn(1, 2, 7)
    out = predictor(visual, actions)[0].roll(1, dims=2)
    assert (out - predictor(visual.roll(1, dims=2), actions)[0]).abs().max() > 1e-3


def test_without_positions_tokens_of_a_frame_are_a_set():
    torch.manual_seed(0)
    predictor = build(small_spec(position='none')).predictor
    visual, actions, _ = small_input(small_spec())
    out = predictor(visual, actions)[0].roll(1, dims=2)
    assert torch.allclose(out, predictor(visual.roll(1, dims=2), actions)[0], atol=1e-6)


@pytest.mark.parametrize('depth', [3, 6, 12, 24])
@pytest.mark.parametrize(('width', 'heads'), [(384, 6), (768, 12), (1024, 16)], ids='sbl')
def test_the_papers_depths_and_widths_can_be_described(depth, width, heads):
    model = build(small_spec(width=width, depth=depth, heads=heads), device='meta')
    assert len(model.predictor.predictor_blocks) == depth


def test_predicting_the_change_adds_the_frame_it_starts_from():
    torch.manual_seed(0)
    spec = small_spec()
    plain = build(spec, seed=1).predictor
    change = build(small_spec(predict_change=True), seed=1).predictor
    visual, actions, _ = small_input(spec)
    assert torch.allclose(change(visual, actions)[0], visual + plain(visual, actions)[0])


def test_tokens_are_counted_frame_by_frame_row_by_row_behind_their_conditions():
    frame, row, col = token_positions(2, 2, 3, condition_tokens=1).tolist()
    assert frame == [0] * 7 + [1] * 7
    assert row == [0, 0, 0, 0, 1, 1, 1] * 2
    assert col == [0, 0, 1, 2, 0, 1, 2] * 2


def test_frequencies_are_tiled_over_interleaved_pairs():
    cos, sin = rope_tables(3, 1, 1, 0, 13, CPU, F64)  # 13 // 3 = 4: two frequencies, 1 and 1/100
    angles = [2.0, 0.02, 2.0, 0.02] + [0.0] * 9
    assert torch.allclose(cos[2], torch.tensor([math.cos(a) for a in angles], dtype=F64))
    signed = [-math.sin(a) if i % 2 == 0 else math.sin(a) for i, a in enumerate(angles)]
    assert torch.allclose(sin[2], torch.tensor(signed, dtype=F64))
    x = torch.arange(1.0, 14.0, dtype=F64).expand(3, 13)
    turned = rotate(x, (cos, sin))[2]
    assert turned[0] == pytest.approx(1 * math.cos(2) - 2 * math.sin(2))
    assert turned[1] == pytest.approx(2 * math.cos(0.02) + 1 * math.sin(0.02))
    assert turned[12] == 13


@pytest.mark.parametrize(('head_dim', 'turning'), [(64, 60), (25, 24), (15, 12), (5, 0)])
def test_a_head_turns_in_three_even_parts_and_leaves_the_rest(head_dim, turning):
    _, sin = rope_tables(2, 2, 2, 0, head_dim, CPU, F64)
    assert sin[-1, :turning].all() and not sin[:, turning:].any()


def test_positions_count_from_the_start_of_the_window():
    short, long = (rope_tables(t, 2, 2, 1, 24, CPU, F64)[1] for t in (1, 3))
    assert torch.equal(short, long[:5])


def test_a_frame_sees_itself_and_the_past():
    mask = frame_causal_mask(3, 2, CPU)
    first, second, third = [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1] * 6
    assert mask.int().tolist() == [first, first, second, second, third, third]


def test_sine_cosine_positions_are_all_different():
    table = sincos_table((2, 3, 4), 32, CPU, F64)
    assert table.shape == (24, 32)
    assert torch.pdist(table).min() > 0.1


@pytest.mark.parametrize(
    'change',
    [
        {'conditioning': 'film'},
        {'position': 'alibi'},
        {'heads': 5},
        {'proprio': 'token'},
        {'action_features': 4},
        {'proprio': 'feature', 'proprio_features': 0},
    ],
)
def test_a_predictor_that_cannot_be_is_refused(change):
    with pytest.raises(JepaWmError):
        PredictorSpec(**{'width': 36, 'depth': 1, 'heads': 3, **change})


@pytest.mark.parametrize('spec', [e.spec for e in ENTRIES.values()], ids=list(ENTRIES))
def test_a_description_survives_json(spec):
    import json

    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_damaged_description_is_refused():
    values = cell_spec().to_dict()
    for broken in (
        {},
        {**values, 'colour': 1},
        {**values, 'encoder': 3},
        {**values, 'action_std': [0.0] * 7},
        {**values, 'proprio_dim': 3},
    ):
        with pytest.raises(JepaWmError):
            ModelSpec.from_dict(broken)


@pytest.mark.parametrize('proprio', ['feature', 'none'])
def test_the_rollout_shows_the_newest_frames_and_their_actions(proprio):
    torch.manual_seed(0)
    spec = small_spec(proprio=proprio)
    model = build(spec).freeze()
    visual, _, features = small_input(spec, frames=1, batch=1)
    context = Latents(visual.unflatten(2, (1, 2, 2)), features)
    actions = torch.randn(3, 2, 7)
    rollout = model.unroll(context, actions, window=2).transpose()
    seen = rollout[:, 1:3]
    last = model.predict(seen, actions[1:3].transpose(0, 1))
    assert rollout.visual.shape[:2] == (2, 4)
    assert torch.allclose(rollout.visual[:, 3], last.visual[:, 1], atol=1e-6)
    if proprio == 'feature':
        assert torch.allclose(rollout.proprio[:, 3], last.proprio[:, 1], atol=1e-6)


def test_a_frozen_encoder_never_trains():
    model = build(cell_spec(depth=1))
    model.encoder.requires_grad_(False)
    model.train()
    assert model.predictor.training and not model.encoder.training
    model.encoder.requires_grad_(True)
    assert model.train().encoder.training
