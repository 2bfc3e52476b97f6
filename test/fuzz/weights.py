# SPDX-License-Identifier: Apache-2.0
"""Targets: our own weight files, PyTorch's in both formats, published configurations."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch

from fuzz.mutations import DEEP, changed, damaged
from jepa_wm_ros.world_model import ModelSpec, build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.checkpoints import SPEC_KEY
from jepa_wm_ros.world_model.files.official_config import spec_from_official
from jepa_wm_ros.world_model.files.safe_files import read_json, read_torch_file, tensors_only
from jepa_wm_ros.world_model.spec import EncoderSpec, PredictorSpec
from support.paths import GOLDENS

SMALL = ModelSpec(
    'small',
    'vit',
    EncoderSpec('patch', 8, 16),
    PredictorSpec(8, 1, 2),
    action_dim=2,
    action_mean=(0.0, 0.0),
    action_std=(1.0, 1.0),
    img_size=32,
)


class OwnWeights:
    """Safetensors with the model's description in the header."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'own.safetensors'
        save_world_model(build(SMALL, seed=0), self.file)
        self.whole = self.file.read_bytes()
        (length,) = struct.unpack('<Q', self.whole[:8])
        self.header, self.body = json.loads(self.whole[8 : 8 + length]), self.whole[8 + length :]
        self.file.with_name(self.file.name + '.sha256').unlink()

    def prepare(self, rng: np.random.Generator):
        kind = rng.integers(10)
        if kind < 4:
            content = damaged(self.whole, rng)
        elif kind == 4:
            content = self.packed(b'[' * DEEP)
        else:
            content = self.packed(json.dumps(self._header(kind, rng)).encode())
        self.file.write_bytes(content)
        return lambda: load_world_model(self.file)

    def _header(self, kind: int, rng: np.random.Generator) -> dict:
        if kind < 7:
            return changed(self.header, rng)
        metadata = dict(self.header['__metadata__'])
        spec = changed(json.loads(metadata[SPEC_KEY]), rng)
        metadata[SPEC_KEY] = '{"a":' * DEEP if rng.random() < 0.02 else json.dumps(spec)
        return {**self.header, '__metadata__': metadata}

    def packed(self, header: bytes) -> bytes:
        return struct.pack('<Q', len(header)) + header + self.body


class TorchWeights:
    """What torch.save wrote: a zip file, or the older stream of pickles."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'weights.pth.tar'
        content = {
            'predictor': {f'module.layer.{i}.weight': torch.arange(6.0) + i for i in range(3)},
            'half': torch.ones(2, 2, dtype=torch.bfloat16),
            'epoch': 3,
        }
        self.files = []
        for zipped in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=zipped)
            self.files.append(stream.getvalue())

    def prepare(self, rng: np.random.Generator):
        kind = rng.integers(3)
        content = self._repacked(rng) if kind == 2 else damaged(self.files[kind], rng)
        self.file.write_bytes(content)

        def read():
            for part in read_torch_file(self.file).values():
                if isinstance(part, dict):
                    for tensor in tensors_only(part, str(self.file)).values():
                        tensor.clone()

        return read

    def _repacked(self, rng: np.random.Generator) -> bytes:
        """A whole zip file with one damaged file inside, mostly the pickle."""
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(self.files[0])) as whole:
            names = whole.namelist()
            pickle = next(name for name in names if name.endswith('data.pkl'))
            victim = pickle if rng.random() < 0.8 else names[rng.integers(len(names))]
            with zipfile.ZipFile(stream, 'w') as out:
                for name in names:
                    data = whole.read(name)
                    out.writestr(name, damaged(data, rng) if name == victim else data)
        return stream.getvalue()


class PublishedConfig:
    """A config.json beside a published checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'config.json'
        self.texts = [path.read_bytes() for path in sorted(GOLDENS.glob('*/config.json'))]

    def prepare(self, rng: np.random.Generator):
        text = self.texts[rng.integers(len(self.texts))]
        if rng.random() < 0.3:
            content = damaged(text, rng)
        else:
            content = json.dumps(changed(json.loads(text), rng)).encode()
        self.file.write_bytes(b'[' * DEEP if rng.random() < 0.01 else content)
        return lambda: build(spec_from_official(read_json(self.file), 'fuzzed'), device='meta')
