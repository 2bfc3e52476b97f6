# SPDX-License-Identifier: Apache-2.0
"""Picture decoders on disk: our own in a file beside the model's, published ones in the weights
folder. Both are optional, and the model's own file knows nothing of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from jepa_wm_ros.world_model.files.registry import DECODERS, ENTRIES
from jepa_wm_ros.world_model.files.safe_files import (
    CheckpointError,
    check_sha256,
    load_strict,
    read_safetensors,
    record_sha256,
    write_safetensors,
)
from jepa_wm_ros.world_model.heads import load_image_head, published_head_spec
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.picture_decoder import PictureDecoder

SUFFIX = '.decoder.safetensors'
ENCODER_KEY = 'jepa_wm_encoder'
LATENTS_DEPEND_ON = (  # of a spec, beside the encoder's weights
    'encoder',
    'img_size',
    'antialias',
    'image_mean',
    'image_std',
    'normalize_latents',
)


def decoder_file(weights: Path) -> Path:
    """Where the decoder of a model lies whose weights are in this file."""
    name = weights.name.removesuffix('.safetensors').removesuffix('.pth.tar')
    return weights.with_name(name + SUFFIX)


def encoder_digest(model: WorldModel) -> str:
    """What the visual latents of a model are made by: a SHA-256 over its encoder and image
    pipeline. Models that differ in their predictors alone have the same.
    """
    told = {name: getattr(model.spec, name) for name in LATENTS_DEPEND_ON}
    digest = hashlib.sha256(repr(sorted(told.items())).encode())
    for name, value in sorted(model.encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def save_decoder(model: WorldModel, path: Path, metadata: Mapping[str, str]) -> str:
    """Write the decoder of a model of ours, in half precision, and which encoder it belongs to;
    record its SHA-256 beside it and return that.
    """
    assert isinstance(model.decoder, PictureDecoder)
    tensors = {name: value.half() for name, value in model.decoder.state_dict().items()}
    write_safetensors(tensors, path, {**metadata, ENCODER_KEY: encoder_digest(model)})
    return record_sha256(path)


def load_decoder(model: WorldModel, path: Path) -> PictureDecoder:
    """The decoder in a file of ours, which must be made for the encoder of this model."""
    check_sha256(path)
    tensors, metadata = read_safetensors(path)
    if metadata.get(ENCODER_KEY) != encoder_digest(model):
        raise CheckpointError(
            f'{path} decodes latents of another encoder than that of {model.spec.name}: remove it '
            '(`jepa-wm train --stage decoder --from MODEL` makes one that fits)'
        )
    with torch.device('meta'):
        decoder = PictureDecoder(model.spec)
    decoder = decoder.to_empty(device='cpu')
    load_strict(decoder, tensors, str(path))
    return decoder


def present_decoder(model: WorldModel, weights: Path, folder: Path) -> nn.Module | None:
    """The decoder of a model, when its file is there: ours beside its weights, or the published
    one in the weights folder.
    """
    own = decoder_file(weights)
    if own.is_file():
        return load_decoder(model, own)
    entry = ENTRIES.get(model.spec.name)
    if entry is None or not entry.decoder:
        return None
    path = folder / DECODERS[entry.decoder].file
    if path.name.endswith(SUFFIX) or not path.is_file():
        return None  # ours is beside its model or nowhere
    check_sha256(path, DECODERS[entry.decoder].sha256)
    return load_image_head(path, published_head_spec(model.spec, entry.decoder))
