# SPDX-License-Identifier: Apache-2.0
"""A small convolutional encoder, trained with the predictor on the cell and then frozen.

The picture is cut into patches first (on a CPU several times faster than strided convolutions at
full resolution, and no pixel is lost), then 3x3 convolutions (GroupNorm, GELU), then either one
vector for the whole picture (`grid` 1) or one token per cell of `grid` x `grid`. The output
is normalised without parameters, so its scale cannot shrink or grow during training. With a `neck`
the head begins with convolutions of its own: what a frozen stem, learnt for something else, does
not tell apart.
"""

from __future__ import annotations

from torch import Tensor, nn

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model.spec import EncoderSpec

GROUP_SIZE = 8


def conv_spec(
    width: int = 128,
    grid: int = 1,
    norm: str = 'batch',
    hidden: int = 256,
    patch_size: int = 4,
    channels: tuple[int, ...] = (32, 64, 64, 128, 128),
    strides: tuple[int, ...] = (1, 2, 1, 2, 1),
    neck: tuple[int, ...] = (),
) -> EncoderSpec:
    """Default: 96 px pictures to 24x24 patches, to a 6x6 map, to one token (or 2x2, 3x3, 6x6)."""
    return EncoderSpec(
        'conv',
        width,
        patch_size=patch_size,
        channels=channels,
        strides=strides,
        neck=neck,
        grid=grid,
        hidden=hidden,
        norm=norm,
    )


class ConvEncoder(nn.Module):
    """Pixels (B, 3, S, S) to tokens (B, grid * grid, D)."""

    def __init__(self, spec: EncoderSpec, img_size: int) -> None:
        super().__init__()
        if len(spec.channels) != len(spec.strides) or not spec.channels:
            raise JepaWmError('a conv encoder needs one stride per entry of channels')
        layers: list[nn.Module] = [nn.PixelUnshuffle(spec.patch_size)]
        before, side = 3 * spec.patch_size**2, img_size // spec.patch_size
        for channels, stride in zip(spec.channels, spec.strides, strict=True):
            layers += _convolution(before, channels, stride)
            before, side = channels, (side - 1) // stride + 1
        self.stem = nn.Sequential(*layers)
        neck: list[nn.Module] = []
        for channels in spec.neck:
            neck += _convolution(before, channels)
            before = channels
        if spec.grid == 1:
            self.head = nn.Sequential(
                *neck,
                nn.Flatten(),
                nn.Linear(before * side * side, spec.hidden),
                nn.BatchNorm1d(spec.hidden),
                nn.GELU(),
                nn.Linear(spec.hidden, spec.width),
                nn.Unflatten(1, (1, spec.width)),
            )
        elif side % spec.grid == 0:
            cell = side // spec.grid
            self.head = nn.Sequential(*neck, nn.Conv2d(before, spec.width, cell, cell), _Tokens())
        else:
            raise JepaWmError(
                f'the conv encoder ends in a {side}x{side} map at {img_size} px, which is not '
                f'{spec.grid}x{spec.grid} cells of one size; change its strides'
            )
        self.norm = _norm(spec)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tokens_and_features(pixels)[0]

    def tokens_and_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, with what the picture is made of (B, C), wherever it lies: before the head,
        which has learnt to pass over all that does not matter in the pictures it was trained on.
        """
        seen = self.stem(pixels)
        return self.tokens(seen), seen.mean(dim=(2, 3))

    def tokens(self, seen: Tensor) -> Tensor:
        """Tokens (B, grid * grid, D) of what the stem has seen (B, C, s, s)."""
        return self.norm(self.head(seen))


def _convolution(before: int, channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, channels, 3, stride=stride, padding=1),
        nn.GroupNorm(max(1, channels // GROUP_SIZE), channels),
        nn.GELU(),
    ]


class _Tokens(nn.Module):
    """A map (B, D, g, g) as tokens (B, g*g, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class _BatchNormTokens(nn.BatchNorm1d):
    """Batch norm of tokens (B, N, D) over batch and tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).view_as(x)


def _norm(spec: EncoderSpec) -> nn.Module:
    if spec.norm == 'layer':
        return nn.LayerNorm(spec.width, elementwise_affine=False)
    if spec.norm == 'batch':
        return _BatchNormTokens(spec.width, affine=False)
    if spec.norm == 'none':
        return nn.Identity()
    raise JepaWmError(f"conv encoder norm {spec.norm!r} is unknown; use 'layer', 'batch' or 'none'")
