# SPDX-License-Identifier: Apache-2.0
"""What a training run is made of: the model it builds and how each stage is trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jepa_wm_ros import resources
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.tables import read_table

STAGES = ('encoder', 'predictor')


class TrainingError(JepaWmError):
    """A training run that cannot start or go on."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How one stage is optimised: AdamW, linear warm-up, cosine decay to zero.

    iterations, batch   optimiser steps, and windows in each
    window              frames per window
    rollout_steps       k of the paper's multi-step loss: 1 is teacher forcing alone
    stop_gradient       the rollout is not differentiated through its own context
    sigreg, inverse_dynamics, proprio    weights of the losses that shape the encoder
    light               strength of the light variation of the training pictures
    views               stage 2: how often every frame is encoded, each time in another light
    threads             of the processor; small models lose more to waiting than they win
    bfloat16            autocast; worth it where the processor multiplies bfloat16 natively
    """

    iterations: int
    batch: int = 128
    window: int = 4
    learning_rate: float = 6e-4
    warmup: int = 200
    weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    rollout_steps: int = 2
    stop_gradient: bool = True
    sigreg: float = 0.0
    inverse_dynamics: float = 0.0
    proprio: float = 0.0
    light: float = 0.1
    views: int = 1
    threads: int = 2
    bfloat16: bool = False

    def __post_init__(self) -> None:
        counts = (self.iterations, self.batch, self.rollout_steps, self.views, self.threads)
        if min(counts) < 1:
            raise TrainingError(
                'iterations, batch, rollout_steps, views and threads must be at least 1'
            )
        if self.window < self.rollout_steps + 1:
            raise TrainingError(
                f'a rollout of {self.rollout_steps} steps needs windows of at '
                f'least {self.rollout_steps + 1} frames, not {self.window}'
            )


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A YAML file of config/train: the model (a ModelSpec without statistics) and its stages.

    retrained: what is different about the predictor of stage 2 (planning time is its time).
    """

    model: dict[str, Any]
    encoder: StageSettings
    predictor: StageSettings
    retrained: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str) -> StageSettings:
        """Settings of the stage 'encoder' or 'predictor'."""
        return getattr(self, name)

    def with_iterations(self, iterations: int) -> TrainSettings:
        """The same run with another length of each stage."""

        def resized(stage: StageSettings) -> StageSettings:
            warmup = min(stage.warmup, iterations // 4)
            return dataclasses.replace(stage, iterations=iterations, warmup=warmup)

        return dataclasses.replace(
            self, encoder=resized(self.encoder), predictor=resized(self.predictor)
        )


def load_settings(path: Path | str) -> TrainSettings:
    """Read and check a training configuration: a .yaml file or a name in config/train."""
    path = Path(path)
    if path.suffix not in ('.yaml', '.yml'):
        path = resources.find('config', 'train', f'{path}.yaml')
    values = read_table(path, ('model', *STAGES), TrainingError)
    try:
        stages = {name: _stage(values[name]) for name in STAGES}
        return TrainSettings(
            model=dict(values['model']), **stages, retrained=dict(values.get('retrained', {}))
        )
    except (TypeError, ValueError, KeyError) as error:
        raise TrainingError(f'{path} is not a training configuration: {error}') from error


def _stage(values: dict[str, Any]) -> StageSettings:
    values = dict(values)
    if 'betas' in values:
        values['betas'] = tuple(values['betas'])
    return StageSettings(**values)
