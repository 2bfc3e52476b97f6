# SPDX-License-Identifier: Apache-2.0
"""Decoders: latents back to pictures and proprioception, for people to look at.

The picture decoder is the published one, planning never uses it; our own is picture_decoder.py.
doc/reference/models.md section 1.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros.world_model import images
from jepa_wm_ros.world_model.blocks import Block, registered
from jepa_wm_ros.world_model.files.safe_files import (
    CheckpointError,
    load_strict,
    read_torch_file,
    tensors_only,
)
from jepa_wm_ros.world_model.rope import sincos_table
from jepa_wm_ros.world_model.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, SpecError


@dataclass(frozen=True, slots=True)
class ImageHeadSpec:
    """A picture decoder: transformer over (img_size / patch_size)^2 tokens of `width`."""

    latent_width: int
    img_size: int
    width: int = 1024
    depth: int = 24
    heads: int = 16
    patch_size: int = 8
    mlp_ratio: float = 4.0
    image_mean: tuple[float, ...] = IMAGENET_MEAN
    image_std: tuple[float, ...] = IMAGENET_STD

    @property
    def side(self) -> int:
        return self.img_size // self.patch_size


class ImageHead(nn.Module):
    """Latents (B, T, 1, g, g, D) to pictures uint8 (B, T, 1, S, S, 3)."""

    def __init__(self, spec: ImageHeadSpec) -> None:
        super().__init__()
        self.spec = spec
        self.decoder_embed = nn.Linear(spec.latent_width, spec.width)
        self.view_tokens = nn.Parameter(torch.zeros(1, 1, spec.width))
        self.decoder_blocks = registered(
            Block(
                spec.width,
                spec.heads,
                spec.width // spec.heads,
                int(spec.width * spec.mlp_ratio),
                eps=1e-5,
            )
            for _ in range(spec.depth)
        )
        self.decoder_norm = nn.LayerNorm(spec.width, eps=1e-5)
        self.decoder_proj = nn.Linear(spec.width, 3 * spec.patch_size**2)

    def patches(self, visual: Tensor) -> Tensor:
        """Normalised colours (B, T, 1, side, side, p * p * 3) of latents (B, T, 1, g, g, D)."""
        lead, side = visual.shape[:3], self.spec.side
        x = visual.flatten(0, 2).movedim(-1, 1)
        if side != x.shape[-1]:
            x = F.interpolate(x, scale_factor=side / x.shape[-1], mode='bilinear')
        x = self.decoder_embed(x.flatten(2).mT)
        x = x + sincos_table((side, side), self.spec.width, x.device, x.dtype) + self.view_tokens
        x = x.unsqueeze(1)
        for block in self.decoder_blocks:
            x = block(x)
        x = self.decoder_proj(self.decoder_norm(x.squeeze(1)))
        return x.view(*lead, side, side, -1)

    def forward(self, visual: Tensor) -> Tensor:
        spec, p = self.spec, self.spec.patch_size
        patches = self.patches(visual).unflatten(-1, (p, p, 3))
        pixels = patches.movedim(-1, 3).transpose(-3, -2).flatten(-2).flatten(-3, -2)
        pixels = images.denormalize(pixels, spec.image_mean, spec.image_std)
        return images.to_uint8(pixels).movedim(-3, -1)


class ProprioHead(nn.Module):
    """Visual latents (.., .., 1, g, g, D) to proprioception (.., .., P) in physical units.

    A linear reading of all tokens: what can be seen of the arm in the latents alone.
    """

    def __init__(self, features: int, proprio_dim: int) -> None:
        super().__init__()
        self.read = nn.Linear(features, proprio_dim)

    def forward(self, visual: Tensor) -> Tensor:
        return self.read(visual.flatten(-4))

    @classmethod
    def fit(cls, visual: Tensor, proprio: Tensor, ridge: float = 1e-3) -> ProprioHead:
        """Ridge regression from latents (n, 1, 1, g, g, D) to proprio (n, 1, P)."""
        x, y = visual.flatten(1).double(), proprio.flatten(1).double()
        x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
        x, y = x - x_mean, y - y_mean
        penalty = ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(x.T @ x + penalty, x.T @ y).T
        head = cls(x.shape[1], y.shape[1])
        with torch.no_grad():
            head.read.weight.copy_(weight)
            head.read.bias.copy_(y_mean - weight @ x_mean)
        return head.requires_grad_(False).eval()


def load_image_head(path: Path | str, spec: ImageHeadSpec) -> ImageHead:
    """A published picture decoder, frozen; its stored position table is recomputed."""
    content = read_torch_file(path)
    if 'model' not in content:
        raise CheckpointError(f'{path} holds no decoder (no entry named model)')
    state = {
        key.replace('module.', ''): value
        for key, value in tensors_only(content['model'], str(path)).items()
    }
    state.pop('decoder_pos_embed', None)
    with torch.device('meta'):
        head = ImageHead(spec)
    head = head.to_empty(device='cpu')
    load_strict(head, state, str(path))
    return head.requires_grad_(False).eval()


def published_head_spec(model: ModelSpec, name: str) -> ImageHeadSpec:
    """The decoder `name` of the published models, for the latents of `model`."""
    return ImageHeadSpec(
        model.encoder.width,
        model.img_size,
        depth=12 if name.startswith('vjepa2') else 24,
        image_mean=model.image_mean,
        image_std=model.image_std,
    )


def image_head_spec(config: Mapping[str, Any]) -> ImageHeadSpec:
    """A decoder's description from its configuration in the released code's schema."""
    try:
        mean, std = config.get('normalize', (IMAGENET_MEAN, IMAGENET_STD))
        return ImageHeadSpec(
            config['embed_dim'],
            config['img_size'][0],
            config['decoder_embed_dim'],
            config['depth'],
            config['num_heads'],
            config['patch_size'],
            config['mlp_ratio'],
            tuple(mean),
            tuple(std),
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise SpecError(f'the decoder configuration lacks or misstates {error}') from error
