# SPDX-License-Identifier: Apache-2.0
"""The one image pipeline: live frames, goals, bags and training batches all come through here.

Central square crop of the short side, bilinear resize, normalise:
doc/reference/models.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_wm_ros.errors import JepaWmError


class ImageError(JepaWmError):
    """Pictures of a shape or type the pipeline does not take."""


def central_square(height: int, width: int) -> tuple[int, int, int]:
    """(top, left, side) [px] of the largest centred square of a picture."""
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side


def crop_and_resize(
    frames: Tensor, size: int, *, antialias: bool, dtype: torch.dtype = torch.float32
) -> Tensor:
    """uint8 RGB frames (B, H, W, 3) as (B, 3, size, size) floats in 0..1."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise ImageError(
            f'pictures must be uint8 (B, H, W, 3), got {frames.dtype} {tuple(frames.shape)}'
        )
    if 0 in frames.shape:
        raise ImageError(f'pictures must not be empty, got {tuple(frames.shape)}')
    top, left, side = central_square(*frames.shape[1:3])
    square = frames[:, top : top + side, left : left + side].permute(0, 3, 1, 2)
    pixels = square.to(dtype).div_(255.0)
    if side == size:
        return pixels
    return F.interpolate(
        pixels, size=(size, size), mode='bilinear', align_corners=False, antialias=antialias
    )


def kept_square(frame: np.ndarray, size: int) -> np.ndarray:
    """The square that a model sees of a camera frame uint8 RGB (H, W, 3), as episodes keep it:
    uint8 (size, size, 3).
    """
    pixels = crop_and_resize(torch.from_numpy(frame)[None], size, antialias=True)[0]
    return (pixels * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()


def normalize(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(pixels - mean) / std per channel of (B, 3, H, W)."""
    return (pixels - _channels(mean, pixels)).div_(_channels(std, pixels))


def denormalize(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The inverse of `normalize`."""
    return pixels * _channels(std, pixels) + _channels(mean, pixels)


def to_uint8(pixels: Tensor) -> Tensor:
    """Pixels in 0..1 as uint8, cut off rather than rounded as the reference does."""
    return (pixels * 255.0).clamp(0, 255).to(torch.uint8)


def _channels(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)
