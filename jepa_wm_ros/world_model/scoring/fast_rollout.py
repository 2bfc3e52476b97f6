# SPDX-License-Identifier: Apache-2.0
"""Rollouts with less work: nothing is computed twice that cannot have changed.

`WorldModel.unroll` recomputes every frame of the window at every step. Here a step computes

- one frame while the window still fills: earlier frames see neither later frames nor later
  actions, so their keys and values stand;
- all its frames once the window slides, since those kept move one place forward and no longer
  see the one dropped; but in the last block no more of them than their keys and values.

The context frame is embedded once for all candidates, AdaLN's modulations of all steps are
computed together, and attention runs frame by frame without a mask:
doc/reference/models.md section 3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model.blocks import Block, Halves, Memory
from jepa_wm_ros.world_model.latents import Latents, cat_time
from jepa_wm_ros.world_model.model import WorldModel, paused
from jepa_wm_ros.world_model.predictor import Predictor

COMPILER = 'inductor'
KERNEL_SETS = 32  # of a half: one or many candidates, one or many frames, with a slope or without


class CompileError(JepaWmError):
    """torch.compile does not work here."""


def unroll(
    model: WorldModel,
    predictor: Predictor,
    context: Latents,
    actions: Tensor,
    window: int | None = None,
    pause: Callable[[], None] = lambda: None,
    halves: Halves | None = None,
) -> Latents:
    """As `model.unroll`: imagined frames (T + 1, B, ...), the context frame (1, 1, ...) first.

    predictor: the model's own, or a copy of it in narrower numbers; imagined frames have the
    model's numbers either way. actions (T, B, A) normalised, time first. `pause` is called before
    every block, also where the slope comes back through it, and may raise. halves: of the blocks,
    if not those as written.
    """
    actions = actions.transpose(0, 1)
    batch, horizon = actions.shape[:2]
    sliding = SlidingWindow(predictor, actions, window or model.spec.context_window, pause, halves)
    frames = [context]
    for h in range(horizon):
        predicted = sliding.advance(frames[-1])
        visual = predicted.visual.unflatten(2, context.visual.shape[2:-1])
        seen = frames[-1] if h else context.expand_batch(batch)
        proprio = model.next_proprio(seen, predicted, actions[:, h : h + 1])
        frames.append(Latents(model.normalize_visual(visual), proprio))
    frames[0] = context.expand_batch(batch)
    return cat_time(frames).transpose()


@cache
def compiled_halves() -> Halves:
    """The halves of a block as torch.compile makes them: all that stands between two matrix
    products in one kernel. They serve all blocks and any number of candidates.

    Raises CompileError, when called, where torch.compile finds no compiler or fails otherwise.
    """
    return _compiled(Block.before_attention), _compiled(Block.after_attention)


def _compiled(half: Callable) -> Callable:
    # torch's overloads lack the last two arguments
    fused = torch.compile(  # type: ignore[call-overload]
        half, dynamic=True, backend=COMPILER, recompile_limit=KERNEL_SETS, isolate_recompiles=True
    )

    def call(*args):
        try:
            return fused(*args)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = ' '.join(str(error).split())
            raise CompileError(
                'mode compiled cannot be had on this machine, use mode fast: '
                f'torch.compile says {reason:.200}'
            ) from error

    return call


@contextlib.contextmanager
def tensor_cores() -> Iterator[None]:
    """float32 products on a GPU's tensor cores (TF32) as long as it lasts, elsewhere unchanged."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class SlidingWindow:
    """The frames the predictor sees, with all that is kept of them from step to step."""

    def __init__(
        self,
        predictor: Predictor,
        actions: Tensor,
        size: int,
        pause: Callable[[], None],
        halves: Halves | None,
    ) -> None:
        """actions: of the whole rollout, (B, T, A) normalised."""
        self.predictor, self.size, self.pause, self.halves = predictor, size, pause, halves
        self.z = predictor.action_encoder(actions)
        self.modulations = [block.modulation(self.z) for block in predictor.predictor_blocks]
        self.tokens: list[Tensor] = []  # of each frame so far, (B, 1, K + g*g, token width)
        self.memories: list[Memory | None] = [None] * len(self.modulations)

    def advance(self, newest: Latents) -> Latents:
        """What the predictor says of the frame after `newest`: visual (B, 1, g*g, D), proprio."""
        h, visual = len(self.tokens), newest.visual.flatten(2, 4)
        self.tokens.append(self.predictor.embed(visual, self.z[:, h : h + 1], newest.proprio))
        x = self._blocks(h, 1) if h < self.size else self._blocks(0, self.size)
        return Latents(*self.predictor.read(x, visual))

    def _blocks(self, first: int, new: int) -> Tensor:
        """The newest frame after all blocks; the `new` last frames start at place `first`."""
        end = len(self.tokens)
        fills = end < self.size
        x = self.tokens[-1] if new == 1 else torch.cat(self.tokens[-new:], dim=1)
        x = self.predictor.add_position(x, first)
        rope = self.predictor.rope(new, self.predictor.predictor_blocks[0].attn.qkv.weight, first)
        last = len(self.memories) - 1
        for i, block in enumerate(self.predictor.predictor_blocks):
            paused(x, self.pause)
            modulation = tuple(
                m if m is None else m[:, end - new : end] for m in self.modulations[i]
            )
            x, memory = block.advance(
                x,
                modulation,
                rope,
                self.memories[i],
                read=1 if i == last else new,
                halves=self.halves,
            )
            self.memories[i] = memory if fills else None
        return x
