# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints: their parameter names, what may differ, and how they are loaded.

The predictor of this room uses the published AdaLN and V-JEPA-2-AC names; DINO-WM's are
translated by the table below. doc/reference/models.md sections 1.1 and 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from jepa_wm_ros.world_model.files.official_config import encoder_file, spec_from_official
from jepa_wm_ros.world_model.files.registry import Entry
from jepa_wm_ros.world_model.files.safe_files import (
    CheckpointError,
    check_sha256,
    compare_keys,
    existing_file,
    load_strict,
    read_json,
    read_torch_file,
    tensors_only,
)
from jepa_wm_ros.world_model.model import WorldModel, build
from jepa_wm_ros.world_model.spec import ModelSpec

NUMBERS_PER_BYTE = 2  # of the most compact file conceivable: 4-bit weights
FEW_WEIGHTS = 1 << 26  # a model up to here is allocated, and its keys say what is wrong with it
PARTS = ('predictor', 'action_encoder', 'proprio_encoder')
DINO_WM_BLOCK = {
    'norm1': '0.norm',
    'attn.qkv': '0.to_qkv',
    'attn.proj': '0.to_out.0',
    'norm2': '1.net.0',
    'mlp.fc1': '1.net.1',
    'mlp.fc2': '1.net.4',
}
BLOCK_NAME = re.compile(r'^predictor_blocks\.(\d+)\.(.+)\.(weight|bias)$')
# A mask that can be recomputed, and a map the published V-JEPA-2-AC class makes but never uses.
IGNORED = {
    'dino_wm': re.compile(r'^transformer\.layers\.\d+\.0\.bias$'),
    'vjepa2_ac': re.compile(r'^extrinsics_encoder\.(weight|bias)$'),
}


def load_entry(entry: Entry, weights: Path, folder: Path) -> WorldModel:
    """A published model from its file; the encoder's is beside it or in `folder`."""
    if entry.encoder is None:
        raise CheckpointError(
            f'{entry.name} has no published file, its own has everything in it: load {weights}'
            ' by its name or path'
        )
    check_sha256(existing_file(weights), entry.weights.sha256)
    beside = weights.parent / entry.encoder.file
    encoder = beside if beside.is_file() else entry.encoder.present_file(folder)
    check_sha256(encoder, entry.encoder.sha256)
    return load_official(entry.spec, weights, encoder)


def load_folder(folder: Path) -> WorldModel:
    """A model of the reference code: config.json, checkpoint.pth.tar and the encoder's file."""
    config = read_json(folder / 'config.json')
    spec = spec_from_official(config, folder.name)
    return load_official(spec, folder / 'checkpoint.pth.tar', folder / encoder_file(config))


def load_official(spec: ModelSpec, checkpoint: Path, encoder: Path) -> WorldModel:
    """A model of `spec` with the weights of two published files."""
    model = allocate(spec, existing_file(checkpoint), existing_file(encoder))
    load_predictor(model, checkpoint)
    load_encoder(model.encoder, encoder)
    return model


def allocate(spec: ModelSpec, *files: Path) -> WorldModel:
    """A model whose weights are memory to be filled from `files`: no time is spent on random
    numbers, and no memory where the files are too small for the model that `spec` claims.
    """
    model = build(spec, device='meta')
    needed = sum(t.numel() for t in model.state_dict().values())
    given = sum(file.stat().st_size for file in files)
    if files and needed > NUMBERS_PER_BYTE * given + FEW_WEIGHTS:
        raise CheckpointError(
            f'{files[0]} is not of this architecture: {spec.name} has {needed} weights, which '
            f'{given} bytes cannot hold'
        )
    model = model.to_empty(device='cpu')
    for module in model.modules():
        fill = getattr(module, 'init_non_persistent_buffers', None)
        if fill is not None:
            fill()
    return model


def load_predictor(model: WorldModel, path: Path) -> None:
    """Fill the predictor from a published world-model file, strictly."""
    content, spec = read_torch_file(path), model.spec
    if 'predictor' not in content:
        raise CheckpointError(
            f'{path} holds {", ".join(map(str, list(content)[:6]))} but no '
            'predictor; it is not a world-model file'
        )
    expected = published_shapes(model)
    found: dict[str, Tensor] = {}
    for part in PARTS:
        state = tensors_only(content.get(part) or {}, f'{path}[{part}]')
        found |= {f'{part}/{published_key(key, spec)}': value for key, value in state.items()}
    ignored = IGNORED.get(spec.family)
    found = {
        key: value
        for key, value in found.items()
        if ignored is None or not ignored.match(key.removeprefix('predictor/'))
    }
    compare_keys(expected, {key: value.shape for key, value in found.items()}, str(path))
    own = {name: found[published_name(name, spec)] for name in model.predictor.state_dict()}
    shapes = {name: tensor.shape for name, tensor in model.predictor.state_dict().items()}
    load_strict(model.predictor, {n: t.view(shapes[n]) for n, t in own.items()}, str(path))


def published_key(key: str, spec: ModelSpec) -> str:
    """A name in a file as the released code reads it: no `module.`, no `state_encoder`."""
    key = key.replace('module.', '')
    if spec.family == 'vjepa2_ac' and key.startswith('state_encoder.'):
        return key.replace('state_encoder.', 'proprio_encoder.')
    return key


def published_name(name: str, spec: ModelSpec) -> str:
    """'part/name' in the published file of a parameter of our predictor."""
    owner, _, kind = name.partition('.')
    outside = {
        'action_encoder': spec.predictor.conditioning == 'feature',
        'proprio_encoder': spec.predictor.proprio == 'feature',
    }
    if outside.get(owner, False):
        return f'{owner}/patch_embed.{kind}'
    if spec.family != 'dino_wm':
        return f'predictor/{name}'
    if match := BLOCK_NAME.match(name):
        layer, module, kind = match.groups()
        return f'predictor/transformer.layers.{layer}.{DINO_WM_BLOCK[module]}.{kind}'
    return f'predictor/{name.replace("predictor_norm.", "transformer.norm.")}'


def published_shapes(model: WorldModel) -> dict[str, torch.Size]:
    """Every 'part/name' of the published file of `model`, with its shape."""
    shapes = {}
    for name, tensor in model.predictor.state_dict().items():
        published = published_name(name, model.spec)
        is_convolution = published.endswith('/patch_embed.weight')
        shapes[published] = torch.Size([*tensor.shape, 1]) if is_convolution else tensor.shape
    return shapes


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from its published file, strictly."""
    content = read_torch_file(existing_file(path))
    convert = getattr(encoder, 'convert', dict)
    load_strict(encoder, tensors_only(convert(content), str(path)), str(path))


def save_official(model: WorldModel, path: Path) -> None:
    """Write the predictor, and what encodes its actions and proprioception, as a published file.

    The encoder is never in one: it stays the file it came from. Raises CheckpointError for a model
    that the released code has no class for, and where a file is there already.
    """
    spec = model.spec
    if spec.encoder.kind == 'conv' or spec.predictor.predict_change or spec.family == 'vit':
        raise CheckpointError(
            f'{spec.name} has no published layout: the released code knows no encoder '
            f'{spec.encoder.kind!r} and no predictor that adds its output to its input'
        )
    if path.exists():
        raise CheckpointError(f'{path} is there already: choose another name, or remove it')
    state: dict[str, object] = dict(published_state(model))
    torch.save({**state, 'opt': {}, 'scaler': None, 'epoch': 0}, path)


def published_state(model: WorldModel) -> Mapping[str, dict[str, Tensor]]:
    """The predictor's weights as the dictionaries of a published file."""
    state: dict[str, dict[str, Tensor]] = {}
    shapes = published_shapes(model)
    for name, tensor in model.predictor.state_dict().items():
        published = published_name(name, model.spec)
        part, _, key = published.partition('/')
        state.setdefault(part, {})[f'module.{key}'] = tensor.view(shapes[published])
    return state
