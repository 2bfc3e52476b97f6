# SPDX-License-Identifier: Apache-2.0
"""Reading weight files from strangers: nothing in them is ever executed.

PyTorch files are opened with `weights_only=True` and never otherwise; whatever goes wrong becomes
one line that names the file.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jepa_wm_ros.bounded_file import BoundedFile
from jepa_wm_ros.errors import JepaWmError

SIZE_CAP = 64 << 30
OLDEST_TORCH = (2, 6)
KEYS_SHOWN = 12
HASH_BLOCK = 1 << 22


class CheckpointError(JepaWmError):
    """A weight file that is missing, damaged, unsafe, or made for another model."""


def read_torch_file(path: Path | str) -> dict:
    """The dictionary in a torch.save file: tensors, numbers, strings and containers only."""
    path = existing_file(path)
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < OLDEST_TORCH:
        raise CheckpointError(
            f'torch {torch.__version__} cannot read {path} safely; '
            f'install torch >= {OLDEST_TORCH[0]}.{OLDEST_TORCH[1]}'
        )
    try:
        content = _load_zip(path) if zipfile.is_zipfile(path) else _load_stream(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path} asks for more than weights and was not loaded '
            f'({_first_line(error)}); get the file from its publisher'
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # torch's unpickler stumbles over damaged bytes in any way
        raise CheckpointError(
            f'{path} is damaged or not a torch file ({_first_line(error)}); download it again'
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not named weights')
    return dict(content)


def _load_zip(path: Path) -> object:
    """What torch.save has written since 1.6: tensors are views of the file."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as parts:
        for part in parts.infolist():
            if part.compress_type != zipfile.ZIP_STORED or part.file_size > size:
                raise ValueError(f'{part.filename} is compressed or larger than the file')
    return torch.load(path, map_location='cpu', weights_only=True, mmap=True)


def _load_stream(path: Path) -> object:
    """What torch.save wrote before 1.6."""
    with BoundedFile(path) as file:
        return torch.load(file, map_location='cpu', weights_only=True)


def read_safetensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    return _open_safetensors(
        path,
        lambda file: ({key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}),
    )


def read_metadata(path: Path | str) -> dict[str, str]:
    """Metadata of a safetensors file alone."""
    return _open_safetensors(path, lambda file: file.metadata() or {})


def _open_safetensors(path: Path | str, read: Callable):
    path = existing_file(path)
    try:
        with safe_open(path, framework='pt', device='cpu') as file:
            return read(file)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f'{path} is damaged or not a safetensors file ({_first_line(error)})'
        ) from error


def write_safetensors(
    tensors: Mapping[str, Tensor], path: Path | str, metadata: Mapping[str, str]
) -> None:
    """Write and replace in one step: a crash never leaves half a file under `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.partial')
    save_file(
        {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()},
        partial,
        metadata=dict(metadata),
    )
    partial.replace(path)


def existing_file(path: Path | str) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f'no file {path}: give a name of `model list`, or a file that is there'
        )
    if path.stat().st_size > SIZE_CAP:
        raise CheckpointError(
            f'{path} is larger than {SIZE_CAP >> 30} GiB, which no model of this project is'
        )
    return path


def sha256(path: Path | str) -> str:
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sidecar(path: Path) -> Path:
    """Where the SHA-256 of a weight file is recorded, in sha256sum's format."""
    return path.with_name(path.name + '.sha256')


def record_sha256(path: Path) -> str:
    """Write the SHA-256 of a file into its sidecar, in one step, and return it.

    For a file that was replaced just before: a crash in between leaves it whole beside the record
    of the one before it, of which `check_sha256` tells.
    """
    digest = sha256(path)
    record = sidecar(path)
    part = record.with_name(record.name + '.part')
    part.write_text(f'{digest}  {path.name}\n')
    part.replace(record)
    return digest


def check_sha256(path: Path | str, expected: str = '') -> None:
    """Compare a file to `expected`, or to its sidecar; neither known: nothing to compare."""
    path = Path(path)
    mend, record = 'download it again', sidecar(path)
    if not expected and record.is_file():
        expected = (record.read_text().split() or ['nothing'])[0]
        mend = (
            'it is damaged, or who wrote it was interrupted before recording it: make or download '
            f'it again, or remove {record.name} if the change is meant'
        )
    if expected and (found := sha256(path)) != expected.lower():
        raise CheckpointError(f'{path} has SHA-256 {found}, recorded is {expected}; {mend}')


def load_strict(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Give `module` the tensors of `state`; a missing, unexpected or misshapen one raises."""
    compare_keys(
        {key: value.shape for key, value in module.state_dict().items()},
        {key: value.shape for key, value in state.items()},
        source,
    )
    module.load_state_dict(dict(state))


def compare_keys(
    expected: Mapping[str, torch.Size], found: Mapping[str, torch.Size], source: str
) -> None:
    """Raise one line that counts and names every missing, unexpected and misshapen key."""
    missing, unexpected = sorted(expected.keys() - found), sorted(found.keys() - expected)
    misshapen = [
        f'{key} is {tuple(found[key])}, wanted {tuple(expected[key])}'
        for key in sorted(expected.keys() & found)
        if expected[key] != found[key]
    ]
    faults = [
        f'{len(keys)} {what}: {_shortened(keys)}'
        for what, keys in (
            ('missing', missing),
            ('unexpected', unexpected),
            ('misshapen', misshapen),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(f'{source} is not of this architecture; ' + '; '.join(faults))


def tensors_only(state: object, source: str) -> dict[str, Tensor]:
    """A state dict, refused when anything in it is not a tensor."""
    if not isinstance(state, Mapping):
        raise CheckpointError(f'{source} holds no state dict')
    odd = [
        str(key)
        for key, value in state.items()
        if not isinstance(key, str) or not isinstance(value, Tensor)
    ]
    if odd:
        raise CheckpointError(f'{source} holds entries that are not tensors: {_shortened(odd)}')
    return dict(state)


def read_json(path: Path | str) -> dict:
    path = existing_file(path)
    try:
        values = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f'{path} is not JSON ({_first_line(error)})') from error
    if not isinstance(values, dict):
        raise CheckpointError(f'{path} does not hold a JSON object')
    return values


def _shortened(keys: Iterable[str]) -> str:
    keys = list(keys)
    rest = f' … and {len(keys) - KEYS_SHOWN} more' if len(keys) > KEYS_SHOWN else ''
    return ', '.join(keys[:KEYS_SHOWN]) + rest


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return (text.splitlines() or [''])[0][:200] or type(error).__name__
