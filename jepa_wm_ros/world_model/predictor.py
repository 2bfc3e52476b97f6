# SPDX-License-Identifier: Apache-2.0
"""The predictor: latents and actions up to frame t give the latents of frame t + 1.

One class covers the published families and the paper's ablations; `PredictorSpec` says how the
action enters, how positions enter, and whether proprioception does.

Source: arXiv 2512.24497 section 3 (AdaLN, feature and sequence conditioning);
doc/reference/models.md section 2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros.world_model.blocks import Block, Tables, registered
from jepa_wm_ros.world_model.latents import carried
from jepa_wm_ros.world_model.rope import frame_causal_mask, rope_tables, sincos_table
from jepa_wm_ros.world_model.spec import ModelSpec


class Predictor(nn.Module):
    """Frame-causal transformer over (B, T, g*g, D) visual tokens."""

    proprio_encoder: nn.Linear  # of a spec whose proprio is not 'none'
    pos_embedding: nn.Parameter  # of a spec whose position is 'learned'

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        spec = model.predictor
        self.spec, self.grid = spec, model.grid
        width, token_width = spec.width, spec.token_width
        action_width = spec.action_features or token_width
        self.predictor_embed = nn.Linear(model.encoder.width, width) if spec.project else None
        self.action_encoder = nn.Linear(model.action_dim, action_width)
        if spec.proprio != 'none':
            self.proprio_encoder = nn.Linear(
                model.proprio_dim, spec.proprio_features or token_width
            )
        if spec.position == 'learned':
            tokens = spec.max_frames * self.grid**2
            self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, token_width))
        self.predictor_blocks = registered(
            Block(
                token_width,
                spec.heads,
                spec.attention_head_dim,
                spec.mlp_width,
                eps=spec.norm_eps,
                bias=spec.qkv_bias,
                dropout=spec.dropout,
                modulated=spec.conditioning == 'adaln',
            )
            for _ in range(spec.depth)
        )
        self.predictor_norm = nn.LayerNorm(token_width, eps=spec.norm_eps)
        self.predictor_proj = nn.Linear(width, model.encoder.width) if spec.project else None

    def forward(
        self, visual: Tensor, actions: Tensor, proprio: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher-forced predictions: entry t is frame t + 1 seen from frames and actions <= t.

        visual (B, T, g*g, D); actions (B, T, A) normalised; proprio features (B, T, g*g, p),
        the pose (B, T, P) when it is a token, or None. Returns visual (B, T, g*g, D) and proprio
        features (B, T, g*g, p), the pose token (B, T, 1, E), or None.
        """
        z = self.action_encoder(actions)
        x = self.add_position(self.embed(visual, z, proprio))
        frames, tokens = x.shape[1:3]
        rope, mask = self.rope(frames, x), frame_causal_mask(frames, tokens, x.device)
        for block in self.predictor_blocks:
            x = block(x, z, rope, mask)
        return self.read(x, visual)

    def embed(self, visual: Tensor, z: Tensor, proprio: Tensor | None = None) -> Tensor:
        """Tokens (B, T, K + g*g, token width), not placed yet, of frames and encoded actions z.

        A visual batch of one is shared by all z (B, T, ...); under AdaLN, where the action enters
        later, its tokens stay a batch of one.
        """
        x = visual if self.predictor_embed is None else through(self.predictor_embed, visual)
        if self.spec.proprio == 'feature':
            x = torch.cat([x, carried(proprio)], dim=-1)
        if self.spec.conditioning == 'adaln':
            return x
        x = x.expand(len(z), *x.shape[1:])
        if self.spec.conditioning == 'feature':
            return torch.cat([x, z.unsqueeze(-2).expand(*x.shape[:-1], -1)], dim=-1)
        front = [z.unsqueeze(-2)]
        if self.spec.proprio == 'token':
            pose = self.proprio_encoder(carried(proprio)).unsqueeze(-2)
            front.append(pose.expand(len(z), *pose.shape[1:]))
        return torch.cat([*front, x], dim=-2)

    def add_position(self, x: Tensor, first: int = 0) -> Tensor:
        """Tokens with the learned or sine-cosine position of their place in the window added.

        x (B, T, K + g*g, width) are its frames `first` to `first` + T - 1. Condition tokens have
        no place.
        """
        frames, _, width = x.shape[1:]
        tokens, end = self.grid**2, first + frames
        if self.spec.position == 'learned':
            table = self.pos_embedding[0, first * tokens : end * tokens]
        elif self.spec.position == 'sincos':
            shape = (end, self.grid, self.grid)
            table = sincos_table(shape, width, x.device, x.dtype)[first * tokens :]
        else:
            return x
        table = table.unflatten(0, (frames, tokens))
        return x + F.pad(table, (0, 0, self.spec.condition_tokens, 0))

    def rope(self, frames: int, like: Tensor, first: int = 0) -> Tables | None:
        """Rotary tables of the window's frames `first` to `first` + `frames` - 1, or None."""
        if self.spec.position != 'rope':
            return None
        tables = rope_tables(
            first + frames,
            self.grid,
            self.grid,
            self.spec.condition_tokens,
            self.spec.attention_head_dim,
            like.device,
            like.dtype,
        )
        skipped = first * (self.spec.condition_tokens + self.grid**2)
        return tables[0][skipped:], tables[1][skipped:]

    def read(self, x: Tensor, visual: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predicted visual tokens and proprioception from the last block's tokens."""
        spec = self.spec
        x = self.predictor_norm(x)
        proprio = None
        if spec.proprio == 'token':
            proprio = x[..., spec.condition_tokens - 1 : spec.condition_tokens, :]
        elif spec.proprio == 'feature':
            proprio = x[
                ..., spec.condition_tokens :, spec.width : spec.width + spec.proprio_features
            ]
        x = x[..., spec.condition_tokens :, : spec.width]
        y = x if self.predictor_proj is None else through(self.predictor_proj, x)
        return (visual + y if spec.predict_change else y), proprio

    def reset_parameters(self) -> None:
        """The paper's initialisation: truncated normal 0.02, AdaLN modulation 0.2, biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        for layer, block in enumerate(self.predictor_blocks, start=1):
            if block.adaLN_modulation is not None:
                nn.init.trunc_normal_(block.adaLN_modulation.get_parameter('1.weight'), std=0.2)
            with torch.no_grad():
                block.attn.proj.weight.div_(math.sqrt(2 * layer))
                block.mlp.fc2.weight.div_(math.sqrt(2 * layer))
        if self.spec.position == 'learned':
            nn.init.normal_(self.pos_embedding)


def through(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer whose weights may be in narrower numbers than what goes in and out."""
    return layer(x.to(layer.weight.dtype)).to(x.dtype)
