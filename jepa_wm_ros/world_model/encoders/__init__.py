# SPDX-License-Identifier: Apache-2.0
"""Encoders: pixels (B, 3, S, S) to tokens (B, g*g, D), row by row."""

from __future__ import annotations

from torch import nn

from jepa_wm_ros.world_model.spec import EFFICIENTNETS, EncoderSpec


def build_encoder(spec: EncoderSpec, img_size: int) -> nn.Module:
    """The encoder of `spec` with fresh weights, for square pictures of `img_size` [px]."""
    if spec.kind in ('dinov2', 'dinov3'):
        from jepa_wm_ros.world_model.encoders.dino import Dinov2Encoder, Dinov3Encoder

        return (Dinov2Encoder if spec.kind == 'dinov2' else Dinov3Encoder)(spec)
    if spec.kind in ('vjepa', 'vjepa2'):
        from jepa_wm_ros.world_model.encoders.vjepa import VJepaEncoder

        return VJepaEncoder(spec)
    if spec.kind in EFFICIENTNETS:
        from jepa_wm_ros.world_model.encoders.efficientnet import EfficientNetLiteEncoder

        return EfficientNetLiteEncoder(spec)
    if spec.kind == 'conv':
        from jepa_wm_ros.world_model.encoders.conv import ConvEncoder

        return ConvEncoder(spec, img_size)
    from jepa_wm_ros.world_model.encoders.patch import PatchEncoder

    return PatchEncoder(spec)
