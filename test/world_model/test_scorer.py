# SPDX-License-Identifier: Apache-2.0
"""What a planner sees: costs of physical actions, their gradient, memory, frozen contexts."""

import pytest
import torch

from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.world_model import LatentCost, Latents, build
from jepa_wm_ros.world_model.distance import distance, distance_curve
from jepa_wm_ros.world_model.files.registry import cell_spec


def cell_model(dtype=torch.float32, **changes):
    spec = cell_spec(depth=2, predictor_width=64, heads=4).replace(
        action_mean=(0.1,) * 7,
        action_std=(0.5, 1, 2, 1, 1, 1, 4),
        proprio_mean=(0.2,) * 7,
        proprio_std=(3.0,) * 7,
        **changes,
    )
    return build(spec, seed=0).to(dtype).freeze()


def two_frames(model):
    torch.manual_seed(1)
    frames = torch.randint(0, 256, (2, 60, 80, 3), dtype=torch.uint8)
    latents = model.encode(model.prepare_images(frames), torch.randn(2, 7))
    return latents[:1], latents[1:]


def test_costs_are_the_distance_of_the_normalised_rollouts_end():
    model = cell_model()
    context, goal = two_frames(model)
    actions = torch.randn(5, 3, 7)
    costs = LatentCost(model, context, goal, Objective(alpha=0.1))(actions)
    normalized = (actions - 0.1) / torch.tensor([0.5, 1, 2, 1, 1, 1, 4])
    rollout = model.unroll(context, normalized.transpose(0, 1))
    want = (rollout.visual[-1] - goal.visual[0]).square().flatten(1).mean(1)
    want += 0.1 * (rollout.proprio[-1] - goal.proprio[0]).square().flatten(1).mean(1)
    assert torch.allclose(costs, want, atol=1e-6)


@pytest.mark.parametrize('micro_batch', [1, 2, 3, 7, 100])
def test_candidates_never_see_each_other(micro_batch):
    model = cell_model()
    context, goal = two_frames(model)
    actions = torch.randn(7, 3, 7)
    scorer = LatentCost(model, context, goal, micro_batch=micro_batch)
    alone = torch.cat([LatentCost(model, context, goal)(a[None]) for a in actions])
    assert torch.allclose(scorer(actions), alone, atol=1e-6)


def hungry(model, limit, monkeypatch):
    """Let the model run out of memory above `limit` candidates; returns the sizes tried."""
    predict, tried = model.predict, []

    def limited(latents, actions):
        tried.append(len(actions))
        if len(actions) > limit:
            raise torch.OutOfMemoryError('CUDA out of memory')
        return predict(latents, actions)

    monkeypatch.setattr(model, 'predict', limited)
    return tried


@pytest.mark.fault(11)
def test_out_of_memory_halves_the_batch_and_changes_no_cost(monkeypatch):
    model = cell_model(torch.float64)
    context, goal = two_frames(model)
    actions = torch.randn(13, 2, 7, dtype=torch.float64)
    want = LatentCost(model, context, goal)(actions)
    scorer = LatentCost(model, context, goal, mode='plain', micro_batch=16)
    tried = hungry(model, 3, monkeypatch)
    assert torch.allclose(scorer(actions), want, rtol=1e-12)
    assert scorer.micro_batch == 2 and max(tried) == 13


@pytest.mark.fault(11)
def test_no_memory_for_one_candidate_is_one_clear_line(monkeypatch):
    model = cell_model()
    scorer = LatentCost(model, *two_frames(model), mode='plain')
    hungry(model, 0, monkeypatch)
    with pytest.raises(JepaWmError, match='out of memory for even a single candidate'):
        scorer(torch.randn(4, 2, 7))


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    model = cell_model()
    scorer = LatentCost(model, *two_frames(model))

    def broken(*_):
        raise RuntimeError('shapes do not match')

    monkeypatch.setattr(scorer, '_costs', broken)
    with pytest.raises(RuntimeError, match='shapes'):
        scorer(torch.randn(4, 2, 7))


@pytest.mark.parametrize('kind', ['L2', 'cosine'])
def test_the_gradient_is_that_of_finite_differences(kind):
    model = cell_model(torch.float64)
    context, goal = two_frames(model)
    scorer = LatentCost(model, context, goal, Objective(kind, sum_all=True, alpha=0.3))
    actions = torch.randn(2, 2, 7, dtype=torch.float64)
    costs, gradient = scorer.gradient(actions)
    assert torch.allclose(costs, scorer(actions))
    step = torch.zeros_like(actions)
    step[:, 1, 4] = 1e-6
    slope = (scorer(actions + step) - scorer(actions - step)) / 2e-6
    assert torch.allclose(gradient[:, 1, 4], slope, rtol=1e-5, atol=1e-10)
    assert all(p.grad is None for p in model.parameters())


def test_a_context_made_in_inference_mode_has_gradients():
    model = cell_model()
    with torch.inference_mode():
        scorer = LatentCost(model, *two_frames(model))
        scorer(torch.randn(2, 2, 7))
    assert scorer.gradient(torch.randn(2, 2, 7))[1].abs().sum() > 0


def test_what_happens_to_the_latents_later_changes_no_cost():
    model = cell_model()
    context, goal = two_frames(model)
    scorer = LatentCost(model, context, goal)
    actions = torch.randn(2, 2, 7)
    before = scorer(actions)
    context.visual.add_(1)
    goal.visual.mul_(2)
    assert torch.equal(scorer(actions), before)


@pytest.mark.parametrize('shape', [(3, 7), (2, 3, 6), (0, 3, 7), (2, 0, 7)])
def test_actions_of_another_shape_are_refused(shape):
    model = cell_model()
    with pytest.raises(JepaWmError, match=r'actions must be \(N, H, 7\)'):
        LatentCost(model, *two_frames(model))(torch.zeros(shape))


def hand_made():
    rollout = torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]], [[2.0, 2.0]]])  # (T=3, B=1, 2)
    return Latents(rollout), Latents(torch.tensor([[[1.0, 1.0]]]))


@pytest.mark.parametrize(
    ('kind', 'want'),
    [
        ('L2', [0.5, 2.5, 1.0]),
        ('L1', [0.5, 1.5, 1.0]),
        ('cosine', [-(0.5**0.5), -(0.5**0.5), -1.0]),
    ],
)
def test_distances_are_those_done_by_hand(kind, want):
    rollout, goal = hand_made()
    per_frame = distance_curve(rollout, goal, Objective(kind))[:, 0]
    assert per_frame.tolist() == pytest.approx(want)
    assert distance(rollout, goal, Objective(kind)).item() == pytest.approx(want[-1])
    assert distance(rollout, goal, Objective(kind, sum_all=True)).item() == pytest.approx(sum(want))
    rising = sum(w * d for w, d in zip((0.5, 0.75, 1.0), want, strict=True))
    told = distance(rollout, goal, Objective(kind, sum_all=True, rise=0.5)).item()
    assert told == pytest.approx(rising)


def test_alpha_weighs_proprioception_when_both_sides_have_it():
    rollout, goal = hand_made()
    seen = Latents(rollout.visual, torch.zeros(3, 1, 2))
    target = Latents(goal.visual, torch.full((1, 1, 2), 3.0))
    assert distance(seen, target, Objective(alpha=0.5)).item() == pytest.approx(1 + 0.5 * 9)
    assert distance(seen, goal, Objective(alpha=0.5)).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ('wrong', 'rule'),
    [
        ({'kind': 'L3'}, 'choose one of L2, L1, cosine'),
        ({'sum_all': 1}, 'true or false'),
        ({'alpha': -0.1}, 'a number >= 0'),
        ({'alpha': float('nan')}, 'a number >= 0'),
        ({'alpha': True}, 'a number >= 0'),
        ({'rise': 1.1, 'sum_all': True}, 'a number from 0 to 1'),
        ({'rise': 0.5}, 'with sum_all'),
    ],
)
def test_an_objective_that_no_scorer_knows_is_refused(wrong, rule):
    with pytest.raises(JepaWmError, match=rule) as caught:
        Objective(**wrong)
    assert caught.value.code == FaultCode.BAD_LIMITS


def test_an_unknown_mode_is_refused():
    model = cell_model()
    with pytest.raises(JepaWmError, match='choose one of plain, exact, fast, compiled') as caught:
        LatentCost(model, *two_frames(model), mode='quick')
    assert caught.value.code == FaultCode.BAD_LIMITS
