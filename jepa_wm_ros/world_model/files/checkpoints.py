# SPDX-License-Identifier: Apache-2.0
"""World models to and from disk.

Our own files are safetensors with the whole model, encoder included, and its `ModelSpec` as JSON
in the metadata. Published files are read by official.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from jepa_wm_ros.world_model.familiarity import Familiarity
from jepa_wm_ros.world_model.files.decoders import present_decoder
from jepa_wm_ros.world_model.files.official import allocate, load_entry, load_folder
from jepa_wm_ros.world_model.files.official_config import spec_from_official
from jepa_wm_ros.world_model.files.registry import find, find_file, weights_directory
from jepa_wm_ros.world_model.files.safe_files import (
    CheckpointError,
    check_sha256,
    existing_file,
    load_strict,
    read_json,
    read_metadata,
    read_safetensors,
    record_sha256,
    write_safetensors,
)
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.spec import ModelSpec

__all__ = [
    'CheckpointError',
    'load_world_model',
    'read_spec',
    'save_world_model',
    'spec_of',
    'weights_file',
]

SPEC_KEY = 'jepa_wm_spec'
FAMILIARITY = 'familiarity.'
SAFETENSORS = '.safetensors'
CHECKPOINT = 'checkpoint.pth.tar'  # of a folder of the published layout


def load_world_model(
    name_or_path: str | Path,
    *,
    weights_dir: str | Path | None = None,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
) -> WorldModel:
    """A frozen world model in evaluation mode.

    name_or_path: a name of `ros2 run jepa_wm_ros model list`, a .safetensors file of ours, a
    published .pth.tar file under its own name (with its encoder's file beside it or in the
    weights folder), or a folder with config.json, checkpoint.pth.tar and the encoder's file.
    Its picture decoder is loaded when its file is there, see decoders.py. Raises CheckpointError
    with one line that says what is wrong and what to do.
    """
    folder = Path(weights_dir) if weights_dir else weights_directory()
    weights = weights_file(name_or_path, folder)
    if weights.suffix == SAFETENSORS:
        model = _load_own(weights)
    elif weights.name == CHECKPOINT:
        model = load_folder(weights.parent)
    else:
        model = load_entry(find_file(weights), weights, folder)
    model.decoder = present_decoder(model, weights, folder)
    return model.to(device=device, dtype=dtype).freeze()


def weights_file(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """The file that `load_world_model` reads a model from; `folder` holds those that have a name.

    Raises CheckpointError where there is none.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir() and path.suffix != SAFETENSORS:
        return path / CHECKPOINT
    if path.suffix == SAFETENSORS or path.name != str(name_or_path) or path.is_file():
        return existing_file(path)
    return find(str(name_or_path)).weights.present_file(folder or weights_directory())


def save_world_model(
    model: WorldModel, path: str | Path, metadata: Mapping[str, str] | None = None
) -> str:
    """Write the model to a .safetensors file, record its SHA-256 beside it and return that."""
    path = Path(path)
    if path.suffix != SAFETENSORS:
        raise CheckpointError(f'{path} must end in {SAFETENSORS}')
    state = {
        key: value for key, value in model.state_dict().items() if not key.startswith('decoder.')
    }
    write_safetensors(
        state,
        path,
        {
            **{key: str(value) for key, value in (metadata or {}).items()},
            SPEC_KEY: json.dumps(model.spec.to_dict()),
        },
    )
    return record_sha256(path)


def add_familiarity(path: Path, familiarity: Familiarity) -> str:
    """Put the statistic into a file of ours, whose weights stay the bits they are; its SHA-256."""
    tensors, metadata = read_safetensors(path)
    state = familiarity.state_dict(prefix=FAMILIARITY)
    write_safetensors(tensors | state, path, metadata)
    return record_sha256(path)


def read_spec(metadata: Mapping[str, str], source: str | Path) -> ModelSpec:
    """The `ModelSpec` in the metadata of one of our files."""
    if SPEC_KEY not in metadata:
        raise CheckpointError(
            f'{source} has no {SPEC_KEY} in its metadata; write it with '
            '`ros2 run jepa_wm_ros model convert`'
        )
    try:
        return ModelSpec.from_dict(json.loads(metadata[SPEC_KEY]))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{source} has a damaged {SPEC_KEY}: {error}') from error


def spec_of(name_or_path: str | Path) -> ModelSpec:
    """What a model is made of, without reading its weights; the file is asked before the name."""
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return spec_from_official(read_json(path / 'config.json'), path.name)
    if path.suffix != SAFETENSORS:
        entry = find(str(name_or_path))
        path = weights_directory() / entry.weights.file
        if path.suffix != SAFETENSORS or not path.is_file():
            return entry.spec
    return read_spec(read_metadata(path), path)


def _load_own(path: Path) -> WorldModel:
    check_sha256(path)
    tensors, metadata = read_safetensors(path)
    model = allocate(read_spec(metadata, path), path)
    if any(key.startswith(FAMILIARITY) for key in tensors):
        model.familiarity = Familiarity(model.spec.encoder.features)
    load_strict(model, tensors, str(path))
    return model
