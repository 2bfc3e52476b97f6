# SPDX-License-Identifier: Apache-2.0
"""The parts every transformer of this room is built from: attention, MLP, block.

Parameter names are those of the published AdaLN and V-JEPA-2 files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros.world_model.rope import rotate

Tables = tuple[Tensor, Tensor]
Memory = tuple[Tensor, Tensor]  # keys and values (B, heads, tokens, head_dim)
Modulation = tuple[Tensor | None, ...]  # of shifts, scales and gates (B, T, 1, width)
Halves = tuple[Callable, Callable]  # Block.before_attention and Block.after_attention

CACHED_SCORES = 1 << 22  # numbers


class Attention(nn.Module):
    """Multi-head attention over (B, tokens, width), queries and keys optionally rotated."""

    def __init__(
        self, width: int, heads: int, head_dim: int, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * heads * head_dim, bias=bias)
        self.proj = nn.Linear(heads * head_dim, width)

    def project(self, x: Tensor, rope: Tables | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, tokens, head_dim); `rope` fits the tokens given."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        if narrow_on_cpu(qkv):
            qkv = qkv.contiguous()  # narrow products of strided matrices take twice as long
        qk = qkv[:2] if rope is None else rotate(qkv[:2], rope)
        return qk[0], qk[1], qkv[2]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Softmax(q k^T / sqrt(head_dim)) v, projected back to (B, tokens of q, width)."""
        return self.output(self._softmax(q, k, v, mask))

    def attend_frames(self, q: Tensor, k: Tensor, v: Tensor, tokens: int) -> Tensor:
        """Softmax(q k^T / sqrt(head_dim)) v with the frame-causal mask, (B, heads, .., head_dim):
        frame by frame and so without a mask.

        The frames of q, `tokens` each, are the last ones of k and v.
        """
        ends = range(k.shape[2] - q.shape[2] + tokens, k.shape[2] + 1, tokens)
        look = narrow_softmax if narrow_on_cpu(q) else self._softmax
        frames = [
            look(one, k[:, :, :end], v[:, :, :end])
            for one, end in zip(q.split(tokens, dim=2), ends, strict=True)
        ]
        return torch.cat(frames, dim=2) if len(frames) > 1 else frames[0]

    def output(self, y: Tensor) -> Tensor:
        """Heads (B, heads, tokens, head_dim) joined and projected to (B, tokens, width)."""
        return F.dropout(self.proj(y.transpose(1, 2).flatten(-2)), self.dropout, self.training)

    def _softmax(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )

    def forward(self, x: Tensor, rope: Tables | None = None, mask: Tensor | None = None) -> Tensor:
        return self.attend(*self.project(x, rope), mask)


class MLP(nn.Module):
    """Linear, exact (erf) GELU, linear."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.dropout(F.gelu(self.fc1(x)), self.dropout, self.training)
        return F.dropout(self.fc2(hidden), self.dropout, self.training)


class Block(nn.Module):
    """Pre-norm transformer block over frames of tokens (B, T, tokens, width).

    With `modulated` the action's vector z (B, T, width) shifts, scales and gates both halves of
    the block (AdaLN, arXiv 2212.09748), the same for all tokens of a frame.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        head_dim: int,
        hidden: int,
        *,
        eps: float = 1e-6,
        bias: bool = True,
        dropout: float = 0.0,
        modulated: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, head_dim, bias=bias, dropout=dropout)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(width, hidden, dropout)
        self.adaLN_modulation = (
            nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width)) if modulated else None
        )

    def modulation(self, z: Tensor | None) -> Modulation:
        """(shift, scale, gate) of the attention half, then of the MLP half, (B, T, 1, width)."""
        if self.adaLN_modulation is None:
            return (None,) * 6
        return self.adaLN_modulation(z).unsqueeze(-2).chunk(6, dim=-1)

    def forward(
        self,
        x: Tensor,
        z: Tensor | None = None,
        rope: Tables | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(z)
        h = modulate(self.norm1(x), shift1, scale1)
        h = self.attn(h.flatten(-3, -2), rope, mask).view_as(x)
        x = add_gated(x, h, gate1)
        return add_gated(x, self.mlp(modulate(self.norm2(x), shift2, scale2)), gate2)

    def advance(
        self,
        x: Tensor,
        modulation: Modulation,
        rope: Tables | None,
        past: Memory | None,
        read: int,
        halves: Halves | None = None,
    ) -> tuple[Tensor, Memory]:
        """As `forward` for the frames x (B, T, tokens, width) that follow those of `past`.

        modulation: of these frames; rope: theirs; read: how many of them, counted from the last,
        are wanted; halves: the two below, in another form. Returns those (B, read, tokens, width),
        and keys and values of all frames. Attention and MLP may be in narrower numbers than x,
        which stays in its own.
        """
        before, after = halves or (Block.before_attention, Block.after_attention)
        tokens = x.shape[2]
        q, k, v = before(self, x, modulation[:2], rope)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        y = self.attn.attend_frames(q[:, :, -read * tokens :], k, v, tokens)
        late = tuple(m if m is None else m[:, -read:] for m in modulation[2:])
        return after(self, x[:, -read:], y, late), (k, v)

    def before_attention(
        self, x: Tensor, modulation: Modulation, rope: Tables | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, T * tokens, head_dim) of x (B, T, tokens, width)."""
        h = modulate(self.norm1(x), *modulation).to(self.attn.qkv.weight.dtype)
        return self.attn.project(h.flatten(1, 2), rope)

    def after_attention(self, x: Tensor, y: Tensor, modulation: Modulation) -> Tensor:
        """x (B, T, tokens, width) after the block, from what attention saw (B, heads, ..)."""
        gate1, shift2, scale2, gate2 = modulation
        x = add_gated(x, self.attn.output(y).unflatten(1, x.shape[1:3]), gate1)
        h = modulate(self.norm2(x), shift2, scale2).to(self.mlp.fc1.weight.dtype)
        return add_gated(x, self.mlp(h), gate2)


def registered(blocks: Iterable[Block]) -> Sequence[Block]:
    """Blocks as parts of the module they are set on: a ModuleList that tells what it holds."""
    return cast('Sequence[Block]', nn.ModuleList(blocks))


def narrow_on_cpu(x: Tensor) -> bool:
    return x.dtype == torch.bfloat16 and x.device.type == 'cpu'


def narrow_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention in plain bfloat16 products, a few candidates at a time to stay in cache.

    The fused CPU kernel is no faster in bfloat16 than in float32; this is, more than twice.
    """
    q = q * q.shape[-1] ** -0.5
    few = max(1, CACHED_SCORES // (q.shape[1] * q.shape[2] * k.shape[2]))
    parts = [
        (a @ b.transpose(-2, -1)).softmax(dim=-1) @ c
        for a, b, c in zip(q.split(few), k.split(few), v.split(few), strict=True)
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def modulate(x: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    if shift is None or scale is None:
        return x
    return torch.addcmul(shift, x, 1 + scale)


def add_gated(x: Tensor, change: Tensor, gate: Tensor | None) -> Tensor:
    return x + change if gate is None else torch.addcmul(x, change, gate)
