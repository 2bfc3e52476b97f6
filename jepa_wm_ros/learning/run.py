# SPDX-License-Identifier: Apache-2.0
"""What a run of `train` is: the description kept with its weights, by which it is known again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from jepa_wm_ros.learning.settings import STAGES, TrainingError, TrainSettings
from jepa_wm_ros.learning.windows import Recording, fingerprint
from jepa_wm_ros.world_model import CheckpointError
from jepa_wm_ros.world_model.files.safe_files import read_metadata

TRAINING = 'training'  # key of the description in the metadata of weights
# Where and how it was run: the same command may go on elsewhere.
ANYWHERE = ('command', 'config', 'threads', 'device', 'processes', 'torch', 'machine')


def describe(
    options: argparse.Namespace,
    settings: TrainSettings,
    recording: Recording,
    val: Recording,
    processes: int,
) -> dict[str, Any]:
    """The whole configuration, the options, and what was learnt from, as JSON has them."""
    told = {
        'command': options.command,
        'seed': options.seed,
        'stage': options.stage,
        'config': Path(options.config).name,
        'from': options.start,
        'encoder': options.encoder,
        'encoder_from': options.encoder_from,
        'every': options.every,
        'trials': options.trials,
        'cell': options.cell,
        'patience': options.patience,
        'threads': options.threads,
        'device': options.device,
        'processes': processes,
        'train_episodes': int(recording.episode[-1]) + 1,
        'train_sha256': fingerprint(recording),
        'val_episodes': int(val.episode[-1]) + 1,
        'val_sha256': fingerprint(val),
        'torch': torch.__version__,
        'machine': platform.processor() or platform.machine(),
        'model': settings.model,
        'retrained': settings.retrained,
        'goes_on': settings.goes_on,
        'settings': {
            name: dataclasses.asdict(stage) for name in STAGES if (stage := settings.stage(name))
        },
    }
    return json.loads(json.dumps(told, default=str))


def refuse_other_runs(files: Iterable[Path], run: Mapping[str, Any]) -> None:
    """Raise a TrainingError where one of the files that a run is going to write is there already,
    unless this very run has written it: then it goes on.
    """
    for path in files:
        if not path.exists():
            continue
        told = _told_by(path)
        other = sorted(
            name
            for name in told.keys() | run.keys()
            if name not in ANYWHERE
            and not name.endswith('_seconds')
            and told.get(name) != run.get(name)
        )
        if other:
            how = f'another {", ".join(other)}' if told else 'nobody knows which'
            raise TrainingError(
                f'{path} is there already, of another run ({how}): give another --out, or --force '
                'to write over it'
            )


def of_the_same_episodes(weights: str | None, run: Mapping[str, Any]) -> bool:
    """Whether these weights learnt from the episodes of a run, and were measured on those that it
    holds out.
    """
    told = _told_by(Path(weights)) if weights else {}
    return all(told.get(f'{name}_sha256') == run[f'{name}_sha256'] for name in ('train', 'val'))


def _told_by(path: Path) -> dict[str, Any]:
    """The description in weights or in a table of figures; empty where there is none."""
    try:
        if path.suffix == '.safetensors':
            return dict(json.loads(read_metadata(path)[TRAINING]))
        return dict(json.loads(path.read_text())['run'])
    except (CheckpointError, OSError, ValueError, KeyError, TypeError):
        return {}
