# SPDX-License-Identifier: Apache-2.0
"""What a planner sees of the world model: action sequences in, costs out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from jepa_wm_ros.errors import FaultCode, Interrupted, JepaWmError
from jepa_wm_ros.objective import Objective, checked_mode
from jepa_wm_ros.world_model.device import is_out_of_memory
from jepa_wm_ros.world_model.distance import distance
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.scoring.fast_rollout import compiled_halves, tensor_cores, unroll
from jepa_wm_ros.world_model.scoring.narrow import narrow_copy

ACTIVATION_BUDGET = 1 << 30  # bytes; on a GPU a quarter of what is free
LIVE_ACTIVATIONS = 16
STEPS_IN_BUDGET = 8  # of a rollout with its gradient


class ScoreError(JepaWmError):
    """Actions of the wrong shape, or not enough memory for a single candidate."""


class LatentCost:
    """Latent distance to the goal at the end of each candidate's imagined rollout.

    Context and goal are frozen at construction: frames that arrive later change nothing. One model
    serves any `mode` (objective.MODES); what fast and compiled mode make of its weights is kept in
    narrow.py.
    Candidates are scored `micro_batch` at a time; out of memory halves it and goes on, which
    changes no cost since candidates never see each other. `interrupted` is asked at every block of
    every step (in plain mode, every step), on the way back of a gradient as well: when it says yes,
    Interrupted is raised.
    """

    def __init__(
        self,
        model: WorldModel,
        context: Latents,
        goal: Latents,
        objective: Objective | None = None,
        mode: str = 'exact',
        *,
        micro_batch: int | None = None,
        interrupted: Callable[[], bool] | None = None,
    ) -> None:
        self.model = model
        self.objective = objective or Objective()
        self.mode = checked_mode(mode)
        self.interrupted = interrupted
        with torch.inference_mode(False):  # so that `gradient` may use what inference made
            self.context = context.map(lambda t: t.detach().clone())
            self.goal = goal.map(lambda t: t.detach().clone())
            narrow = mode in ('fast', 'compiled')
            self._predictor = narrow_copy(model.predictor) if narrow else model.predictor
        self.action_dim = model.spec.action_dim
        self.device = model.device
        self.dtype = torch.promote_types(model.dtype, torch.float32)
        self.micro_batch = micro_batch or default_micro_batch(model)

    @cached_property
    def proposal(self) -> Tensor | None:
        """Actions (H, A) to begin a search with; None where the model has none to propose."""
        with torch.inference_mode():
            proposed = self.model.propose(self.context, self.goal)
        return None if proposed is None else proposed[0].to(self.dtype)

    @torch.inference_mode()
    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,) of physical actions (N, H, A)."""
        return self._in_chunks(actions, lambda chunk: (self._costs(chunk),), 1)[0]

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Costs (N,) and the gradient (N, H, A) of each with respect to its own actions."""
        # what all blocks of all steps computed is kept for the slope; a few steps fit the budget
        kept = self.model.spec.predictor.depth * max(1, actions.shape[1] // STEPS_IN_BUDGET)
        costs, slopes = self._in_chunks(actions, self._costs_and_gradient, kept)
        return costs, slopes

    def unroll(self, actions: Tensor) -> Latents:
        """Imagined frames (H + 1, N, ...) of physical actions (N, H, A), the context first."""
        model = self.model
        normalized = model.normalize_actions(actions.to(model.device, model.dtype)).transpose(0, 1)
        if self.mode == 'plain':
            return model.unroll(self.context, normalized, pause=self._pause)
        halves = compiled_halves() if self.mode == 'compiled' else None
        return unroll(
            model, self._predictor, self.context, normalized, pause=self._pause, halves=halves
        )

    def _costs(self, actions: Tensor) -> Tensor:
        return distance(self.unroll(actions), self.goal, self.objective).to(actions)

    @torch.enable_grad()
    def _costs_and_gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        actions = actions.detach().requires_grad_()
        costs = self._costs(actions)
        return costs.detach(), torch.autograd.grad(costs.sum(), actions)[0]

    def _pause(self) -> None:
        if self.interrupted is not None and self.interrupted():
            raise Interrupted('scoring was interrupted')

    def _in_chunks(self, actions: Tensor, score, share: int) -> tuple[Tensor, ...]:
        """`score` of all actions, a `share`-th of the micro-batch at a time."""
        if actions.ndim != 3 or actions.shape[-1] != self.action_dim or 0 in actions.shape:
            raise ScoreError(
                f'actions must be (N, H, {self.action_dim}), got {tuple(actions.shape)}'
            )
        fast_gpu = self.mode in ('fast', 'compiled') and self.model.device.type == 'cuda'
        done, start = [], 0
        with tensor_cores() if fast_gpu else contextlib.nullcontext():
            while start < len(actions):
                self._pause()
                size = max(1, self.micro_batch // share)
                try:
                    done.append(score(actions[start : start + size]))
                    start += size
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    self._halve(error)
        return tuple(torch.cat(parts) for parts in zip(*done, strict=True))

    def _halve(self, error: Exception) -> None:
        if self.micro_batch == 1:
            raise ScoreError(
                'out of memory for even a single candidate: use a smaller model or horizon',
                FaultCode.OUT_OF_MEMORY,
            ) from error
        self.micro_batch //= 2
        if self.model.device.type == 'cuda':
            torch.cuda.empty_cache()


def default_micro_batch(model: WorldModel) -> int:
    """Candidates whose activations, keys and values fit in the ACTIVATION_BUDGET."""
    budget = ACTIVATION_BUDGET
    if model.device.type == 'cuda':
        budget = torch.cuda.mem_get_info(model.device)[0] // 4
    spec, predictor = model.spec, model.spec.predictor
    frame = spec.grid**2 + predictor.condition_tokens
    alive = spec.context_window * frame * predictor.token_width * LIVE_ACTIVATIONS
    kept = (
        predictor.depth
        * (spec.context_window - 1)
        * frame
        * 2
        * predictor.heads
        * predictor.attention_head_dim
    )
    return max(1, budget // ((alive + kept) * model.dtype.itemsize))
