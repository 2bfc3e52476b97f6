# SPDX-License-Identifier: Apache-2.0
"""The simplest encoder: one linear map per patch. Stands in where the encoder does not matter."""

from __future__ import annotations

from torch import Tensor, nn

from jepa_wm_ros.world_model.spec import EncoderSpec


class PatchEncoder(nn.Module):
    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, spec.width, spec.patch_size, stride=spec.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels).flatten(2).transpose(1, 2)
