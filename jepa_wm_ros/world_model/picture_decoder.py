# SPDX-License-Identifier: Apache-2.0
"""A small picture decoder: latents of a model of our own back to pictures, for people to look at.

It is trained afterwards on the latents of the frozen encoder (learning/decoding.py), lies in a file
beside the model's (files/decoders.py), and planning never uses it. The published decoders are in
heads.py.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros.world_model import images
from jepa_wm_ros.world_model.spec import ModelSpec

HIDDEN = 256  # of the two layers from a single token to the first map
SMALLEST_MAP = 6  # pixels a side
CHANNELS = (96, 64, 48, 32)  # of the first map and the next ones; the last holds for all after it
GROUP_SIZE = 8


class PictureDecoder(nn.Module):
    """Latents (B, T, 1, g, g, D) to pictures uint8 (B, T, 1, S, S, 3).

    One token becomes a small map through two linear layers, a grid of tokens is one already. The
    map doubles until half the picture's side, each time with a 3x3 convolution (GroupNorm, GELU);
    the last convolution gives four pixels for each place.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self._size, self._grid = spec.img_size, spec.grid
        self._sides = map_sides(spec.img_size, spec.grid)
        width, side, first = spec.encoder.width, self._sides[0], CHANNELS[0]
        self.begin: nn.Module
        if spec.grid == 1:
            self.begin = nn.Sequential(
                nn.Flatten(),
                nn.Linear(width, HIDDEN),
                nn.GELU(),
                nn.Linear(HIDDEN, first * side**2),
                nn.Unflatten(1, (first, side, side)),
            )
        else:
            self.begin = nn.Conv2d(width, first, 1)
        channels = [CHANNELS[min(i, len(CHANNELS) - 1)] for i in range(len(self._sides))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(after // GROUP_SIZE, after),
                nn.GELU(),
            )
            for before, after in zip([first, *channels], channels, strict=False)
        )
        self.colours = nn.Sequential(nn.Conv2d(channels[-1], 12, 3, padding=1), nn.PixelShuffle(2))

    def pixels(self, visual: Tensor) -> Tensor:
        """Pictures (n, 3, S, S), about 0..1, of latents (..., g, g, D), leading dimensions
        flattened.
        """
        x = visual.flatten(0, -4).movedim(-1, 1)
        x = self.begin(x.to(next(self.parameters()).dtype))
        for side, block in zip(self._sides, self.blocks, strict=True):
            x = block(F.interpolate(x, size=(side, side), mode='bilinear'))
        # Around middle grey; a picture of an odd side is cut from one that is a pixel larger.
        return 0.5 + self.colours(x)[..., : self._size, : self._size]

    def forward(self, visual: Tensor) -> Tensor:
        pictures = images.to_uint8(self.pixels(visual)).movedim(-3, -1)
        return pictures.unflatten(0, visual.shape[:-3])


def map_sides(img_size: int, grid: int) -> list[int]:
    """Sides [px] of the maps on the way: halves of the picture's, none smaller than the grid of
    tokens or SMALLEST_MAP, the smallest first.
    """
    sides = [-(-img_size // 2)]
    while (half := -(-sides[0] // 2)) >= max(grid, SMALLEST_MAP):
        sides.insert(0, half)
    return sides
