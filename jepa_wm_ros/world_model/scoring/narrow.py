# SPDX-License-Identifier: Apache-2.0
"""The predictor in narrower numbers: made once for a model, and again when its weights change."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

import torch

from jepa_wm_ros.world_model.predictor import Predictor

WORTH_NARROWING = 2048  # numbers in a frame; with fewer a CPU loses by converting what it gains

# Of each predictor alive: its weights' fingerprint then, and the copy. None stands for the
# predictor itself: a value that held its key would keep it alive for ever.
_copies: WeakKeyDictionary[Predictor, tuple[tuple, Predictor | None]] = WeakKeyDictionary()


def narrow_copy(predictor: Predictor) -> Predictor:
    """`narrowed(predictor)`, from the last time unless a weight has changed since."""
    weights = _fingerprint(predictor)
    known, narrow = _copies.get(predictor, (None, None))
    if weights != known:
        made = narrowed(predictor)
        narrow = None if made is predictor else made
        _copies[predictor] = weights, narrow
    return predictor if narrow is None else narrow


def _fingerprint(predictor: Predictor) -> tuple:
    """Where each weight lies and how often it was written to."""
    return tuple(
        (p.data_ptr(), 0 if p.is_inference() else p._version) for p in predictor.parameters()
    )


def narrowed(predictor: Predictor) -> Predictor:
    """A frozen copy that multiplies tokens in bfloat16; itself where the machine has none or where
    the model is too small to gain by it.

    What is left in float32 costs little and is where rounding would do most harm: the sums from
    block to block, norms and modulations.
    """
    device = predictor.predictor_norm.weight.device
    if device.type == 'cuda':
        gains = torch.cuda.is_bf16_supported()
    else:
        large = predictor.grid**2 * predictor.spec.token_width >= WORTH_NARROWING
        gains = large and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    if not gains:
        return predictor
    narrow = copy.deepcopy(predictor).requires_grad_(False).eval()
    wide = [layer for block in narrow.predictor_blocks for layer in (block.attn, block.mlp)]
    for layer in (narrow.predictor_embed, *wide, narrow.predictor_proj):
        if layer is not None:
            layer.to(torch.bfloat16)
    return narrow
