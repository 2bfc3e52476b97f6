# SPDX-License-Identifier: Apache-2.0
"""A small convolutional encoder, trained on the cell it watches and then frozen."""

from __future__ import annotations

from torch import Tensor, nn

_STRIDE = 16
_PATCH = 4


def _block(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=stride, padding=1),
        nn.GroupNorm(8, channels_out),
        nn.GELU(),
    )


class ConvEncoder(nn.Module):
    """Square images to a grid of tokens: pixels (B, 3, S, S) -> latents (B, grid, grid, dim).

    The picture is cut into 4x4-pixel patches first: on a CPU that is several times faster than
    strided convolutions at full resolution and keeps every pixel. Convolutions then halve it
    twice. One token (`grid` 1) sees the whole feature map through two linear layers, which keeps
    where things are exactly; a larger grid projects its own square of the map. The last
    normalisation has no free scale, so that the latents of the training data have unit variance
    per dimension.

    Parameters
    ----------
    img_size : side S of the input, a multiple of 16
    dim : latent dimension D
    grid : tokens per side; 1, or a divisor of img_size / 16
    width : channels of the first convolution; the last has 4 times as many

    """

    def __init__(self, img_size: int = 96, dim: int = 128, grid: int = 1, width: int = 32) -> None:
        super().__init__()
        side = img_size // _STRIDE
        if img_size % _STRIDE or side % grid:
            raise ValueError(f'img_size {img_size} must be a multiple of {_STRIDE} and '
                             f'img_size / {_STRIDE} a multiple of grid {grid}')
        self.dim = dim
        self.grid = grid
        self.features = nn.Sequential(
            nn.PixelUnshuffle(_PATCH),
            _block(3 * _PATCH ** 2, width, stride=1),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 2 * width, stride=1),
            _block(2 * width, 4 * width, stride=2),
            _block(4 * width, 4 * width, stride=1),
        )
        if grid == 1:
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(4 * width * side ** 2, 256),
                nn.BatchNorm1d(256),
                nn.GELU(),
                nn.Linear(256, dim),
                nn.BatchNorm1d(dim, affine=False),
            )
        else:
            self.head = nn.Sequential(
                nn.Conv2d(4 * width, dim, kernel_size=side // grid, stride=side // grid),
                nn.BatchNorm2d(dim, affine=False),
            )

    def forward(self, pixels: Tensor) -> Tensor:
        """Latents (B, grid, grid, D) of normalised pixels (B, 3, S, S)."""
        out = self.head(self.features(pixels))
        if self.grid == 1:
            return out[:, None, None, :]
        return out.permute(0, 2, 3, 1)
