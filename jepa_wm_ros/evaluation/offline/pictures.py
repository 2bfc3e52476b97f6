# SPDX-License-Identifier: Apache-2.0
"""Recorded pictures for latents that nobody can decode, and pictures of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_wm_ros.world_model import Latents


@dataclass(frozen=True, slots=True)
class Gallery:
    """Recorded pictures (K, S, S, 3) with their visual latents (K, D)."""

    pictures: np.ndarray
    latents: Tensor

    @staticmethod
    def of(pictures: Sequence[np.ndarray], latents: Sequence[Latents]) -> Gallery:
        """From pictures (S, S, 3) and the encodings (1, 1, ...) of their frames."""
        return Gallery(
            np.stack(pictures), torch.cat([latent.visual.flatten(1) for latent in latents])
        )

    @torch.no_grad()
    def nearest(self, visual: Tensor) -> np.ndarray:
        """The recorded picture nearest in latent space to each of visual (T, 1, 1, g, g, D)."""
        distances = torch.cdist(visual.flatten(1).float(), self.latents.float())
        return self.pictures[distances.argmin(1).cpu().numpy()]


def square(frame: np.ndarray, size: int) -> np.ndarray:
    """The central square of a frame (H, W, 3) uint8, resized with smoothing to (size, size, 3)."""
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    crop = torch.from_numpy(frame[top : top + side, left : left + side].copy())
    resized = F.interpolate(
        crop.permute(2, 0, 1)[None].float(), (size, size), mode='bilinear', antialias=True
    )
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
