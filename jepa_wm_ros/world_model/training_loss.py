# SPDX-License-Identifier: Apache-2.0
"""The paper's training loss: teacher forcing, plus a rollout on the model's own predictions.

Source: arXiv 2512.24497 section 3 (multistep rollout losses); weights as released,
doc/reference/models.md section 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_wm_ros.world_model.latents import Latents, cat_time
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class LossSettings:
    """l1, l2, cosine, smooth_l1: weights of a token's absolute error, squared error, negated
    cosine similarity and smooth absolute error.

    rollout_steps: k, frames imagined from the model's own output (1: teacher forcing only).
    window: W, frames the rollout shows the predictor. stop_gradient: the rollout's context is
    detached before every step. random_prefix: the rollout starts anywhere in the clip, not only
    at its first frame. proprio: predicted proprioception features count, weight 1.
    """

    l1: float = 0.0
    l2: float = 1.0
    cosine: float = 0.0
    smooth_l1: float = 0.0
    rollout_steps: int = 2
    window: int = 3
    stop_gradient: bool = True
    random_prefix: bool = True
    proprio: bool = True


@dataclass(frozen=True, slots=True)
class TrainingLoss:
    """total = teacher_forcing / (k + 1) + sum(rollout) / k; rollout has k - 1 entries."""

    total: Tensor
    teacher_forcing: Tensor
    rollout: tuple[Tensor, ...]


def published_settings(spec: ModelSpec) -> LossSettings:
    """What the published models of this family were trained with."""
    if spec.family == 'vjepa2_ac':
        return LossSettings(
            l1=1.0, l2=0.0, window=8, stop_gradient=False, random_prefix=False, proprio=False
        )
    return LossSettings(rollout_steps=1 if spec.family == 'dino_wm' else 2)


def draw_prefix(frames: int, settings: LossSettings, generator: torch.Generator) -> int:
    """Where the rollout of clips of `frames` frames starts: one of `prefixes`."""
    return int(torch.randint(len(prefixes(frames, settings)), (), generator=generator))


def prefixes(frames: int, settings: LossSettings) -> range:
    """Where the rollout of clips of `frames` frames may start: 0 ... frames - k - 1."""
    return range(max(1, frames - settings.rollout_steps) if settings.random_prefix else 1)


def training_loss(
    model: WorldModel, latents: Latents, actions: Tensor, settings: LossSettings, prefix: int = 0
) -> TrainingLoss:
    """Loss of encoded clips (B, T, ...) and normalised actions (B, T, A); T >= prefix + 3 if k > 1.

    prefix: t, frames before the rollout starts from the prediction of frame t + 1.
    """
    predicted = model.predict(latents, actions)
    forced = frame_loss(predicted[:, :-1], latents[:, 1:], settings)
    rollout = _rollout_losses(model, latents, actions, predicted, settings, prefix)
    k = settings.rollout_steps
    total = forced / (k + 1) + sum(rollout, torch.zeros_like(forced)) / k
    return TrainingLoss(total, forced, tuple(rollout))


def frame_loss(predicted: Latents, target: Latents, settings: LossSettings) -> Tensor:
    """Mean over batch, frames and tokens of the token errors, proprio features included."""
    loss = _error(predicted.visual, target.visual, settings).mean()
    told, true = predicted.proprio, target.proprio
    if settings.proprio and told is not None and true is not None and told.shape == true.shape:
        loss = loss + _error(told, true, settings).mean()
    return loss


def _rollout_losses(
    model: WorldModel,
    latents: Latents,
    actions: Tensor,
    predicted: Latents,
    settings: LossSettings,
    prefix: int,
) -> list[Tensor]:
    """Losses of frames t + 2 ... t + k, each imagined from the one before."""
    losses, newest = [], predicted[:, prefix : prefix + 1]
    known = [latents[:, i : i + 1] for i in range(prefix + 1)]
    for h in range(1, settings.rollout_steps):
        known.append(_as_context(model, newest, latents[:, prefix + h : prefix + h + 1]))
        seen = cat_time(known[-settings.window :])
        if settings.stop_gradient:
            seen = seen.detach()
        end = prefix + h + 1
        taken = actions[:, max(0, end - settings.window) : end]
        newest = model.predict(seen, taken)[:, -1:]
        losses.append(frame_loss(newest, latents[:, end : end + 1].detach(), settings))
    return losses


def _as_context(model: WorldModel, predicted: Latents, truth: Latents) -> Latents:
    """A predicted frame as context: a pose that is a token is the true one."""
    if model.spec.predictor.proprio == 'token':
        return Latents(predicted.visual, truth.proprio)
    return predicted


def _error(predicted: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    """Weighted error of each token: mean over its features."""
    terms = (
        (settings.l1, lambda: (predicted - target).abs().mean(dim=-1)),
        (settings.l2, lambda: (predicted - target).square().mean(dim=-1)),
        (settings.cosine, lambda: -F.cosine_similarity(predicted, target, dim=-1)),
        (
            settings.smooth_l1,
            lambda: F.smooth_l1_loss(predicted, target, reduction='none').mean(dim=-1),
        ),
    )
    zero = torch.zeros((), dtype=predicted.dtype, device=predicted.device)
    return sum((weight * term() for weight, term in terms if weight), zero)
