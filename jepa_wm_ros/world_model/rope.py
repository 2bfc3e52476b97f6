# SPDX-License-Identifier: Apache-2.0
"""Where a token stands: rotary tables, sine-cosine tables and the frame-causal mask.

Every position counts from the start of the window that is shown to the predictor, so a table
depends on the shape of the window alone and is made once.

Source: arXiv 2512.24497; the rotation is V-JEPA 2's, arXiv 2506.09985.
doc/reference/models.md section 2.2.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

ROPE_BASE = 10000.0


def token_positions(frames: int, rows: int, cols: int, condition_tokens: int = 0) -> Tensor:
    """Frame, row and column (3, T * (K + rows * cols)) of each token, in sequence order.

    The K condition tokens stand in front of each frame's visual tokens, at row 0 and column 0.
    """
    frame = torch.arange(frames).repeat_interleave(condition_tokens + rows * cols)
    zeros = torch.zeros(condition_tokens, dtype=torch.long)
    row = torch.cat([zeros, torch.arange(rows).repeat_interleave(cols)]).repeat(frames)
    col = torch.cat([zeros, torch.arange(cols).repeat(rows)]).repeat(frames)
    return torch.stack([frame, row, col])


@lru_cache(maxsize=64)
def rope_tables(
    frames: int,
    rows: int,
    cols: int,
    condition_tokens: int,
    head_dim: int,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Cosine and signed sine tables (tokens, head_dim) for `rotate`.

    A third of the head rotates with the frame, a third with the row, a third with the column;
    what is left (cosine 1, sine 0) does not rotate. Neighbours (2i, 2i+1) are rotated as a pair,
    while the frequencies w_0..w_{d/2-1} are tiled twice over the third, so the two members of a
    pair turn at different rates: that is what the published weights were trained with.
    """
    with torch.inference_mode(False), torch.no_grad():
        third = 2 * (head_dim // 3 // 2)
        positions = token_positions(frames, rows, cols, condition_tokens).double()
        angles = torch.zeros(positions.shape[1], head_dim, dtype=torch.float64)
        if third:
            omega = ROPE_BASE ** (-torch.arange(third // 2, dtype=torch.float64) / (third // 2))
            for axis in range(3):
                turns = torch.outer(positions[axis], omega)
                angles[:, axis * third : (axis + 1) * third] = torch.cat([turns, turns], dim=-1)
        sines = angles.sin()
        sines[:, 0::2] *= -1  # (a, b) -> (a cos - b sin, b cos + a sin)
        return angles.cos().to(device, dtype), sines.to(device, dtype)


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys (..., tokens, head_dim) turned by the tables of their tokens."""
    cos, signed_sin = tables
    even = x.shape[-1] // 2 * 2
    swapped = x[..., :even].unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    if even < x.shape[-1]:  # the last one has no partner and does not turn
        swapped = torch.cat([swapped, x[..., even:]], dim=-1)
    return torch.addcmul(x * cos, swapped, signed_sin)


@lru_cache(maxsize=64)
def sincos_table(
    shape: tuple[int, ...], width: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Fixed positions (tokens of a grid of `shape`, width) to add, the last axis fastest.

    Every axis has an equal share [sin, cos] over frequencies 10000^(-k/n); what an indivisible
    width leaves over stays zero.
    """
    with torch.inference_mode(False), torch.no_grad():
        half = width // (2 * len(shape))
        omega = ROPE_BASE ** (-torch.arange(half, dtype=torch.float64) / max(half, 1))
        axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing='ij')
        turns = [torch.outer(axis.flatten(), omega) for axis in axes]
        table = torch.cat([part for turn in turns for part in (turn.sin(), turn.cos())], dim=-1)
        table = torch.nn.functional.pad(table, (0, width - table.shape[-1]))
        return table.to(device, dtype)


@lru_cache(maxsize=64)
def frame_causal_mask(frames: int, tokens_per_frame: int, device: torch.device) -> Tensor:
    """True where a token (row) may look: every token of its own and of earlier frames.

    Made for the window at hand, (T * tokens)^2 booleans, never for the longest one possible.
    """
    with torch.inference_mode(False):
        frame = torch.arange(frames, device=device).repeat_interleave(tokens_per_frame)
        return frame[:, None] >= frame[None, :]
