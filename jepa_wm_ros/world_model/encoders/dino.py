# SPDX-License-Identifier: Apache-2.0
"""DINOv2 and DINOv3 through timm, made numerically equal to the published models.

What timm does differently is overridden here: DINOv2's position table is resized with the 0.1
offset its authors used, and DINOv3's rotation periods come from its file.
doc/reference/models.md section 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from jepa_wm_ros.world_model.spec import EncoderSpec

POSITION_OFFSET = 0.1
ROPE_TEMPERATURE = 100.0


class _Dinov2(VisionTransformer):
    """timm's transformer with DINOv2's resizing of the position table."""

    cls_token: nn.Parameter  # (1, 1, D)
    pos_embed: nn.Parameter  # (1, 1 + side * side, D)

    def _pos_embed(self, x: Tensor) -> Tensor:
        rows, cols = x.shape[1:3]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], dim=1)
        return tokens + self.positions(rows, cols)

    def positions(self, rows: int, cols: int) -> Tensor:
        """Position table (1, 1 + rows * cols, D), the class token's entry first."""
        side = self.patch_embed.grid_size[0]
        if rows == cols == side:
            return self.pos_embed
        head, table = self.pos_embed[:, :1], self.pos_embed[:, 1:].float()
        scale = [(rows + POSITION_OFFSET) / side, (cols + POSITION_OFFSET) / side]
        table = F.interpolate(
            table.unflatten(1, (side, side)).movedim(-1, 1), scale_factor=scale, mode='bicubic'
        )
        return torch.cat([head, table.flatten(2).mT.to(head.dtype)], dim=1)


class Dinov2Encoder(nn.Module):
    """Pixels (B, 3, H, W) to normalised patch tokens (B, rows * cols, D)."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.vit = _Dinov2(
            img_size=spec.native_size,
            patch_size=spec.patch_size,
            embed_dim=spec.width,
            depth=spec.depth,
            num_heads=spec.heads,
            mlp_ratio=spec.mlp_ratio,
            init_values=1.0,
            num_classes=0,
            global_pool='',
            dynamic_img_size=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.vit.forward_features(pixels)[:, 1:]

    def position_table(self, pixels: Tensor) -> Tensor:
        """The position table (1, 1 + rows * cols, D) that pictures of this size are given."""
        patch = self.vit.patch_embed.patch_size[0]
        return self.vit.positions(pixels.shape[-2] // patch, pixels.shape[-1] // patch)

    def convert(self, content: Mapping) -> dict[str, Tensor]:
        """Our parameters from the content of a published file."""
        return {f'vit.{key}': value for key, value in content.items() if key != 'mask_token'}


class Dinov3Encoder(nn.Module):
    """Pixels (B, 3, H, W) to normalised patch tokens (B, rows * cols, D)."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.prefix = spec.prefix
        self.vit = Eva(
            img_size=spec.native_size,
            patch_size=spec.patch_size,
            embed_dim=spec.width,
            depth=spec.depth,
            num_heads=spec.heads,
            mlp_ratio=spec.mlp_ratio,
            init_values=1e-5,
            num_classes=0,
            global_pool='',
            dynamic_img_size=True,
            qkv_bias=True,
            use_abs_pos_emb=False,
            use_rot_pos_emb=True,
            rope_type='dinov3',
            rope_temperature=ROPE_TEMPERATURE,
            rope_rotate_half=True,
            num_reg_tokens=spec.prefix - 1,
            use_fc_norm=False,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
        )
        rope = self.vit.rope
        periods = rope.get_buffer('periods')
        del rope.periods
        rope.register_buffer('periods', periods)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.vit.forward_features(pixels)[:, self.prefix :]

    def convert(self, content: Mapping) -> dict[str, Tensor]:
        """Our parameters from the content of a published file; the key third has no bias."""
        state = {}
        for key, value in content.items():
            if key.endswith('attn.qkv.bias'):
                at = f'vit.{key.removesuffix("qkv.bias")}'
                state[f'{at}q_bias'], _, state[f'{at}v_bias'] = value.chunk(3)
            elif not key.endswith(('mask_token', 'qkv.bias_mask')):
                state[
                    f'vit.{_DINOV3_NAMES.get(key, key).replace(".ls1.gamma", ".gamma_1")}'.replace(
                        '.ls2.gamma', '.gamma_2'
                    )
                ] = value
        return state


_DINOV3_NAMES = {'storage_tokens': 'reg_token', 'rope_embed.periods': 'rope.periods'}
