# SPDX-License-Identifier: Apache-2.0
"""World models: encoders, predictors, rollout, images, checkpoints, names, decoder heads.

Importing this package imports no third party; the names below load what they need on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    'Latents': 'latents',
    'LatentCost': 'scoring.scorer',
    'ModelSpec': 'spec',
    'EncoderSpec': 'spec',
    'PredictorSpec': 'spec',
    'WorldModel': 'model',
    'build': 'model',
    'CheckpointError': 'files.checkpoints',
    'load_world_model': 'files.checkpoints',
    'save_world_model': 'files.checkpoints',
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOME[name]}'), name)
