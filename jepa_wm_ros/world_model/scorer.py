# SPDX-License-Identifier: Apache-2.0
"""What a planner sees of the world model: action sequences in, costs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model.fast_rollout import unroll
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.objective import Objective, distance

if TYPE_CHECKING:
    from jepa_wm_ros.world_model.model import WorldModel
    from jepa_wm_ros.world_model.predictor import Predictor

ACTIVATION_BUDGET = 1 << 30
LIVE_ACTIVATIONS = 16


class ScoreError(JepaWmError):
    """Actions of the wrong shape, or not enough memory for a single candidate."""


class LatentCost:
    """Latent distance to the goal at the end of each candidate's imagined rollout.

    Context and goal are frozen at construction: frames that arrive later change nothing.
    Candidates are scored `micro_batch` at a time; out of memory halves it and goes on, which
    changes no cost since candidates never see each other.
    """

    def __init__(self, model: WorldModel, context: Latents, goal: Latents, objective: Objective,
                 micro_batch: int | None = None) -> None:
        self.model = model
        self.objective = objective
        with torch.inference_mode(False):  # so that `gradient` may use what inference made
            self.context = context.map(lambda t: t.detach().clone())
            self.goal = goal.map(lambda t: t.detach().clone())
        self.action_dim = model.spec.action_dim
        self.device = model.device
        self.dtype = torch.promote_types(model.dtype, torch.float32)
        self.micro_batch = micro_batch or default_micro_batch(model)

    @torch.no_grad()
    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,) of physical actions (N, H, A)."""
        return self._in_chunks(actions, lambda chunk: (self._costs(chunk),))[0]

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Costs (N,) and the gradient (N, H, A) of each with respect to its own actions."""
        return self._in_chunks(actions, self._costs_and_gradient)

    def unroll(self, actions: Tensor) -> Latents:
        """Imagined frames (H + 1, N, ...) of physical actions (N, H, A), the context first."""
        fast = self.model.mode == 'fast'
        return self._unroll(actions, self.model.narrow_predictor if fast else self.model.predictor)

    def _unroll(self, actions: Tensor, predictor: Predictor) -> Latents:
        model = self.model
        normalized = model.normalize_actions(actions.to(model.device, model.dtype)).transpose(0, 1)
        if model.mode == 'plain':
            return model.unroll(self.context, normalized)
        return unroll(model, predictor, self.context, normalized)

    def _costs(self, actions: Tensor) -> Tensor:
        return distance(self.unroll(actions), self.goal, self.objective).to(actions)

    @torch.enable_grad()
    def _costs_and_gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        actions = actions.detach().requires_grad_()
        rollout = self._unroll(actions, self.model.predictor)  # a slope needs all the digits
        costs = distance(rollout, self.goal, self.objective).to(actions)
        return costs.detach(), torch.autograd.grad(costs.sum(), actions)[0]

    def _in_chunks(self, actions: Tensor, score) -> tuple[Tensor, ...]:
        if actions.ndim != 3 or actions.shape[-1] != self.action_dim or 0 in actions.shape:
            raise ScoreError(f'actions must be (N, H, {self.action_dim}), '
                             f'got {tuple(actions.shape)}')
        done, start = [], 0
        while start < len(actions):
            try:
                done.append(score(actions[start:start + self.micro_batch]))
                start += self.micro_batch
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
        return tuple(torch.cat(parts) for parts in zip(*done, strict=True))

    def _halve(self, error: RuntimeError) -> None:
        if self.micro_batch == 1:
            raise ScoreError('not enough memory to score a single candidate; use a smaller '
                             'model or horizon') from error
        self.micro_batch //= 2
        if self.model.device.type == 'cuda':
            torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA raises its own class; the CPU allocator a RuntimeError known by its words."""
    words = str(error)
    return (isinstance(error, torch.OutOfMemoryError) or 'out of memory' in words
            or "can't allocate memory" in words)


def default_micro_batch(model: WorldModel) -> int:
    """Candidates whose activations, keys and values fit in about a gibibyte."""
    spec, predictor = model.spec, model.spec.predictor
    frame = spec.grid ** 2 + predictor.condition_tokens
    alive = spec.context_window * frame * predictor.token_width * LIVE_ACTIVATIONS
    kept = (predictor.depth * (spec.context_window - 1) * frame
            * 2 * predictor.heads * predictor.attention_head_dim)
    return max(1, ACTIVATION_BUDGET // ((alive + kept) * model.dtype.itemsize))
