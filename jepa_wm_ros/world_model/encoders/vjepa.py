# SPDX-License-Identifier: Apache-2.0
"""V-JEPA and V-JEPA 2 video transformers, showing each picture as a clip of equal frames.

V-JEPA 2 (arXiv 2506.09985) turns queries and keys by frame, row and column; V-JEPA (arXiv
2404.08471) adds a stored position table. doc/reference/models.md sections 1.3 and 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros.world_model.blocks import Block, registered
from jepa_wm_ros.world_model.rope import rope_tables, sincos_table
from jepa_wm_ros.world_model.spec import EncoderSpec

FILE_KEY = {'vjepa': 'target_encoder', 'vjepa2': 'encoder'}
FILE_PREFIX = 'module.backbone.'


class VJepaEncoder(nn.Module):
    """Pixels (B, 3, H, W), or clips (B, 3, T, H, W), to normalised tokens (B, tokens, D)."""

    pos_embed: nn.Parameter  # (1, tokens, D), of V-JEPA alone

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        cube = (spec.tubelet, spec.patch_size, spec.patch_size)
        self.patch_embed = nn.ModuleDict({'proj': nn.Conv3d(3, spec.width, cube, stride=cube)})
        if spec.kind == 'vjepa':
            table = sincos_table(
                self._native_grid(), spec.width, torch.device('cpu'), torch.float32
            )
            self.pos_embed = nn.Parameter(
                table[None].to(torch.get_default_device()), requires_grad=False
            )
        self.blocks = registered(
            Block(
                spec.width, spec.heads, spec.width // spec.heads, int(spec.width * spec.mlp_ratio)
            )
            for _ in range(spec.depth)
        )
        self.norm = nn.LayerNorm(spec.width, eps=1e-6)

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.ndim == 4:
            pixels = pixels.unsqueeze(2).expand(-1, -1, self.spec.tubelet, -1, -1)
        x = self.patch_embed['proj'](pixels)
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        rope = None
        if self.spec.kind == 'vjepa':
            x = x + self._positions(grid)
        else:
            rope = rope_tables(*grid, 0, self.spec.width // self.spec.heads, x.device, x.dtype)
        x = x.unsqueeze(1)
        for block in self.blocks:
            x = block(x, rope=rope)
        return self.norm(x.squeeze(1))

    def _native_grid(self) -> tuple[int, int, int]:
        side = self.spec.native_size // self.spec.patch_size
        return self.spec.frames // self.spec.tubelet, side, side

    def _positions(self, grid: torch.Size) -> Tensor:
        """The stored table resized to the grid (frames, rows, cols) at hand."""
        native = self._native_grid()
        if tuple(grid) == native:
            return self.pos_embed
        table = self.pos_embed.unflatten(1, native).movedim(-1, 1)
        scale = [new / old for new, old in zip(grid, native, strict=True)]
        return F.interpolate(table, scale_factor=scale, mode='trilinear').flatten(2).mT

    def convert(self, content: Mapping) -> dict[str, Tensor]:
        """Our parameters from the content of a published file."""
        state = content.get(FILE_KEY[self.spec.kind], {})
        state = {key.replace(FILE_PREFIX, ''): value for key, value in state.items()}
        if self.spec.kind != 'vjepa':
            state.pop('pos_embed', None)
        return state
