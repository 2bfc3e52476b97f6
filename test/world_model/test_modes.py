# SPDX-License-Identifier: Apache-2.0
"""Plain mode is the oracle: exact mode gives its numbers with less work, fast mode nearly."""

import gc
import math
import random
import weakref

import pytest
import torch
from test_predictor import COMBINATIONS, small_spec

from jepa_wm_ros.errors import Interrupted
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.world_model import LatentCost, Latents, blocks, build
from jepa_wm_ros.world_model.scoring import narrow
from jepa_wm_ros.world_model.scoring.fast_rollout import CompileError, unroll
from jepa_wm_ros.world_model.scoring.scorer import STEPS_IN_BUDGET, default_micro_batch

FLOAT32, FLOAT64, NARROW = 5e-5, 1e-12, 0.02


def random_case(parts, dtype):
    """A random model of these parts, a context frame, actions and a window, all small."""
    draw = random.Random(str(parts))
    spec = small_spec(**parts, predict_change=draw.random() < 0.5)
    spec = spec.replace(
        normalize_latents=draw.random() < 0.5,
        context_window=draw.randint(1, 4),
        proprio_rollout='integrate' if parts['proprio'] == 'token' else 'predict',
    )
    torch.manual_seed(0)
    model = build(spec, dtype=dtype, seed=3).freeze()
    for name, parameter in model.predictor.named_parameters():
        if 'norm' not in name:  # as after training: every part has a say
            parameter.add_(0.1 * torch.randn_like(parameter))
    frames = Latents(
        torch.randn(2, 1, 1, 2, 2, 20, dtype=dtype),
        model.encode_proprio(0.3 * torch.randn(2, 7, dtype=dtype), 2, 1),
    )
    return model, frames[:1], frames[1:], 0.3 * torch.randn(3, draw.randint(1, 5), 7, dtype=dtype)


def off(value, want):
    return float((value - want).abs().max() / want.abs().max())


def in_mode(mode, model, context, goal, objective=None):
    return LatentCost(model, context, goal, objective or Objective(sum_all=True, alpha=0.2), mode)


@pytest.mark.parametrize(('dtype', 'bound'), [(torch.float32, FLOAT32), (torch.float64, FLOAT64)])
@pytest.mark.parametrize('parts', COMBINATIONS, ids=lambda p: '-'.join(p.values()))
def test_exact_mode_gives_the_costs_and_gradients_of_plain_mode(parts, dtype, bound):
    model, context, goal, actions = random_case(parts, dtype)
    costs, slopes = {}, {}
    for mode in ('plain', 'exact'):
        costs[mode], slopes[mode] = in_mode(mode, model, context, goal).gradient(actions)
        assert torch.equal(in_mode(mode, model, context, goal)(actions), costs[mode])
    assert off(costs['exact'], costs['plain']) < bound
    assert off(slopes['exact'], slopes['plain']) < 20 * bound


@pytest.mark.parametrize('horizon', [1, 2, 3, 5])
@pytest.mark.parametrize('window', [1, 2, 3, 4])
@pytest.mark.parametrize('conditioning', ['adaln', 'feature', 'sequence'])
def test_every_window_and_horizon_imagines_the_same_frames(conditioning, window, horizon):
    parts = {'conditioning': conditioning, 'position': 'rope', 'proprio': 'feature'}
    model, context, _, _ = random_case(parts, torch.float64)
    actions = 0.3 * torch.randn(horizon, 2, 7, dtype=torch.float64)
    want = model.unroll(context, actions, window)
    have = unroll(model, model.predictor, context, actions, window)
    assert off(have.visual, want.visual) < FLOAT64
    assert off(have.proprio, want.proprio) < FLOAT64
    assert have.visual.shape == want.visual.shape and have.proprio.shape == want.proprio.shape


@pytest.mark.parametrize('parts', COMBINATIONS[::3], ids=lambda p: '-'.join(p.values()))
def test_fast_mode_stays_within_its_bound_and_its_slope_points_the_same_way(parts, monkeypatch):
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    model, context, goal, actions = random_case(parts, torch.float32)
    exact = in_mode('exact', model, context, goal)
    want, slope = exact(actions), exact.gradient(actions)[1]
    fast = in_mode('fast', model, context, goal)
    costs = fast(actions)
    assert costs.dtype == torch.float32 and off(costs, want) < NARROW
    scored, steep = fast.gradient(actions)
    assert off(scored, costs) < NARROW and steep.dtype == torch.float32
    angle = torch.cosine_similarity(steep.flatten(1), slope.flatten(1))
    assert float(angle.min()) > 0.99


@pytest.mark.parametrize('scores', [1, 100, 1 << 22])
def test_narrow_attention_is_attention_however_many_candidates_at_a_time(scores, monkeypatch):
    monkeypatch.setattr(blocks, 'CACHED_SCORES', scores)
    torch.manual_seed(0)
    q, k, v = (torch.randn(5, 2, n, 8).bfloat16() for n in (4, 9, 9))
    want = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float())
    assert off(blocks.narrow_softmax(q, k, v).float(), want) < NARROW


def rows_through(module, run):
    """Leading sizes (batch, frames) of everything `module` is given while `run` runs."""
    seen = []
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:2]))
    run()
    handle.remove()
    return [tuple(shape) for shape in seen]


def test_a_filling_window_computes_one_frame_and_a_sliding_one_all_but_the_end():
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, _ = random_case(parts, torch.float32)
    model.spec = model.spec.replace(context_window=2)
    scorer = in_mode('exact', model, context, goal)
    actions = torch.randn(5, 4, 7)
    first, last = (model.predictor.predictor_blocks[i].mlp for i in (0, -1))
    assert rows_through(first, lambda: scorer(actions)) == [(5, 1), (5, 1), (5, 2), (5, 2)]
    assert rows_through(last, lambda: scorer(actions)) == [(5, 1)] * 4
    embedded = rows_through(model.predictor.predictor_embed, lambda: scorer(actions))
    assert embedded == [(1, 1), (5, 1), (5, 1), (5, 1)]


def test_no_mode_but_plain_builds_a_mask(monkeypatch):
    parts = {'conditioning': 'sequence', 'position': 'rope', 'proprio': 'token'}
    model, context, goal, actions = random_case(parts, torch.float32)
    attend, masks = torch.nn.functional.scaled_dot_product_attention, []

    def watched(*tensors, attn_mask=None, **options):
        masks.append(attn_mask is not None)
        return attend(*tensors, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, 'scaled_dot_product_attention', watched)
    for mode, masked in (('plain', True), ('exact', False), ('fast', False)):
        masks.clear()
        in_mode(mode, model, context, goal)(actions)
        assert any(masks) is masked


@pytest.mark.parametrize(
    ('backend', 'parts'),
    [
        ('eager', COMBINATIONS[14]),
        pytest.param('eager', COMBINATIONS[0], marks=pytest.mark.slow),
        *(pytest.param('inductor', parts, marks=pytest.mark.slow) for parts in COMBINATIONS[::7]),
    ],
)
def test_compiled_mode_is_fast_mode_for_any_number_of_candidates(
    backend, parts, monkeypatch, compiler
):
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    compiler(backend)
    model, context, goal, _ = random_case(parts, torch.float32)
    for number in (3, 1, 6):
        actions = 0.3 * torch.randn(number, 3, 7)
        want, slope = in_mode('exact', model, context, goal).gradient(actions)
        compiled = in_mode('compiled', model, context, goal)
        assert off(compiled(actions), want) < NARROW
        scored, steep = compiled.gradient(actions)
        assert off(scored, want) < NARROW
        angle = torch.cosine_similarity(steep.flatten(1), slope.flatten(1))
        assert float(angle.min()) > 0.99


def test_without_a_compiler_compiled_mode_says_so_in_one_line(compiler):
    def no_compiler(*_):
        raise RuntimeError('no C++ compiler\nand a long story')

    compiler(no_compiler)
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, actions = random_case(parts, torch.float32)
    with pytest.raises(CompileError) as caught:
        in_mode('compiled', model, context, goal)(actions)
    assert 'no C++ compiler' in str(caught.value) and '\n' not in str(caught.value)


@pytest.fixture
def narrows(monkeypatch):
    """Any model is worth narrowing, on any machine."""
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)


def shifted_in_place(predictor):
    with torch.no_grad():
        predictor.predictor_proj.bias.add_(1)


def replaced(predictor):
    predictor.predictor_proj.bias.data = predictor.predictor_proj.bias + 1


def loaded(predictor):
    name = 'predictor_proj.bias'
    predictor.load_state_dict({name: predictor.state_dict()[name] + 1}, strict=False)


@pytest.mark.parametrize('change', [shifted_in_place, replaced, loaded])
def test_the_narrow_copy_is_made_once_and_follows_the_weights(change, narrows):
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, actions = random_case(parts, torch.float32)
    model.spec = model.spec.replace(normalize_latents=False)
    names = set(model.state_dict())
    before = in_mode('fast', model, context, goal)(actions)
    assert narrow.narrow_copy(model.predictor) is narrow.narrow_copy(model.predictor)
    assert set(model.state_dict()) == names
    change(model.predictor)
    after = in_mode('fast', model, context, goal)(actions)
    assert off(after, before) > 0.05
    assert off(after, in_mode('exact', model, context, goal)(actions)) < NARROW


def test_the_narrow_copy_goes_with_its_model(narrows, monkeypatch):
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    for worth in (0, 1 << 30):
        monkeypatch.setattr(narrow, 'WORTH_NARROWING', worth)
        model, context, goal, _ = random_case(parts, torch.float32)
        in_mode('fast', model, context, goal)
        kept = weakref.ref(model.predictor)
        del model
        gc.collect()
        assert kept() is None


def test_one_model_serves_all_modes_in_any_order(narrows):
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'feature'}
    model, context, goal, actions = random_case(parts, torch.float32)
    order = ('fast', 'plain', 'exact', 'fast')
    scorers = [in_mode(mode, model, context, goal) for mode in order]
    first = {scorer.mode: scorer(actions) for scorer in scorers}
    assert all(torch.equal(scorer(actions), first[scorer.mode]) for scorer in reversed(scorers))
    assert not torch.equal(first['fast'], first['exact'])


def test_without_bfloat16_products_fast_mode_is_exact_mode(monkeypatch):
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: False)
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: False)
    parts = {'conditioning': 'feature', 'position': 'learned', 'proprio': 'none'}
    model, context, goal, actions = random_case(parts, torch.float32)
    want = in_mode('exact', model, context, goal)(actions)
    assert torch.equal(in_mode('fast', model, context, goal)(actions), want)


def test_a_model_too_small_to_gain_by_narrow_numbers_keeps_its_own(monkeypatch):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, *_ = random_case(parts, torch.float32)
    assert narrow.narrow_copy(model.predictor) is model.predictor
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    assert narrow.narrowed(model.predictor) is not model.predictor


@pytest.mark.parametrize('gradient', [False, True])
@pytest.mark.parametrize('asked_before', [0, 1, 4])
def test_scoring_can_be_interrupted_before_every_block(asked_before, gradient):
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, actions = random_case(parts, torch.float32)
    asked = []
    scorer = LatentCost(
        model, context, goal, interrupted=lambda: asked.append(0) or len(asked) > asked_before
    )
    with pytest.raises(Interrupted):
        scorer.gradient(actions) if gradient else scorer(actions)
    assert len(asked) == asked_before + 1
    asked.clear()
    scorer.interrupted = lambda: asked.append(0) or False
    scorer(actions)
    assert len(asked) == 1 + len(model.predictor.predictor_blocks) * actions.shape[1]


@pytest.mark.parametrize('mode', ['plain', 'exact', 'fast'])
def test_a_gradient_can_be_interrupted_on_its_way_back(mode):
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, actions = random_case(parts, torch.float32)
    asked, at_most = [], math.inf
    scorer = LatentCost(
        model, context, goal, mode=mode, interrupted=lambda: asked.append(0) or len(asked) > at_most
    )
    scorer(actions)
    forward = len(asked)
    asked.clear()
    scorer.gradient(actions)
    assert len(asked) > forward
    asked.clear()
    at_most = forward
    with pytest.raises(Interrupted):
        scorer.gradient(actions)
    assert len(asked) == forward + 1


def test_a_long_gradient_takes_fewer_candidates_at_a_time_than_a_short_one():
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, _ = random_case(parts, torch.float32)
    depth = len(model.predictor.predictor_blocks)
    scorer = LatentCost(model, context, goal, micro_batch=2 * depth)
    first, sizes = model.predictor.predictor_blocks[0].mlp, []
    first.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    for steps in (STEPS_IN_BUDGET, 2 * STEPS_IN_BUDGET):
        sizes.clear()
        scorer.gradient(torch.randn(2, steps, 7))
        assert max(sizes) * steps == 2 * STEPS_IN_BUDGET


def test_a_gradient_takes_fewer_candidates_at_a_time_than_a_score():
    parts = {'conditioning': 'adaln', 'position': 'rope', 'proprio': 'none'}
    model, context, goal, _ = random_case(parts, torch.float32)
    scorer = LatentCost(model, context, goal, micro_batch=6)
    first, actions = model.predictor.predictor_blocks[0].mlp, torch.randn(6, 1, 7)
    depth = len(model.predictor.predictor_blocks)
    assert rows_through(first, lambda: scorer(actions)) == [(6, 1)]
    assert rows_through(first, lambda: scorer.gradient(actions)) == [(6 // depth, 1)] * depth


def test_kept_keys_and_values_count_against_the_micro_batch():
    shallow, deep = (build(small_spec(depth=depth), device='meta') for depth in (2, 24))
    assert default_micro_batch(deep) < default_micro_batch(shallow)


@pytest.mark.parametrize('parts', COMBINATIONS[::5], ids=lambda p: '-'.join(p.values()))
@pytest.mark.parametrize('mode', ['exact', 'fast'])
def test_a_score_never_waits_for_its_device_nor_leaves_it(mode, parts, monkeypatch):
    """On a device whose tensors have no numbers: one look at them would be an error, and so would
    be a table that lies elsewhere.
    """
    monkeypatch.setattr(narrow, 'WORTH_NARROWING', 0)
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    spec = small_spec(**parts).replace(
        context_window=2, proprio_rollout='integrate' if parts['proprio'] == 'token' else 'predict'
    )
    model = build(spec, device='meta').freeze()
    with torch.device('meta'):
        frames = Latents(
            torch.empty(2, 1, 1, 2, 2, 20), model.encode_proprio(torch.empty(2, 7), 2, 1)
        )
        actions = torch.empty(5, 3, 7)
    scorer = LatentCost(model, frames[:1], frames[1:], Objective(sum_all=True, alpha=0.2), mode)
    assert scorer(actions).shape == (5,)
    costs, slope = scorer.gradient(actions)
    assert costs.device.type == slope.device.type == 'meta' and slope.shape == actions.shape
