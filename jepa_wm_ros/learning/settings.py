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
from jepa_wm_ros.world_model.files.registry import find

SCHEDULES = ('cosine', 'constant', 'hold')
STAGES = ('encoder', 'predictor', 'proposal', 'decoder')


class TrainingError(JepaWmError):
    """A training run that cannot start or go on."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How one stage is optimised: AdamW, its schedules (schedule.py), and what is learnt from.

    iterations, batch   optimiser steps, and windows in each part of one
    accumulate          parts of a step, whose gradients are averaged: large batches, little memory
    schedule            of the learning rate: cosine, constant or hold
    warmup, warmup_from iterations of the warm-up, and the share of the rate that it begins at
    anneal              last iterations of `hold`, down to zero
    final_weight_decay  what the weight decay ends at; None: it stays
    clip                largest norm of the gradient; 0: none is too large
    window              frames per window
    rollout_steps       k of the paper's multi-step loss: 1 is teacher forcing alone
    context_window      W of the multi-step loss, frames that it shows the predictor; 0: the model's
    stop_gradient       the rollout is not differentiated through its own context
    sigreg, inverse_dynamics, proprio, features    weights of the losses that shape the encoder
                        (losses.py); `features` are those of `stem`
    gripper_windows     how many times as often windows are drawn in which the gripper strokes or
                        holds something
    light               strength of the light variation of the training pictures
    light_of            what has a light of its own: a window, or each of its frames
    views               of a frozen encoder: how often every frame is encoded, each time in another
                        light
    stem                model whose encoder's convolutions are taken and stay as they are: only the
                        encoder's head is trained, on their features, computed once per view
    threads             of the processor; small models lose more to waiting than they win
    ema                 share of the weights' moving average that a step leaves; the average is what
                        is measured and kept (0: the weights themselves)
    bfloat16            autocast; worth it where the processor multiplies bfloat16 natively
    """

    iterations: int
    batch: int = 128
    accumulate: int = 1
    window: int = 4
    learning_rate: float = 6e-4
    schedule: str = 'cosine'
    warmup: int = 200
    warmup_from: float = 0.0
    anneal: int = 0
    weight_decay: float = 1e-3
    final_weight_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    rollout_steps: int = 2
    context_window: int = 0
    stop_gradient: bool = True
    sigreg: float = 0.0
    inverse_dynamics: float = 0.0
    proprio: float = 0.0
    features: float = 0.0
    gripper_windows: float = 1.0
    light: float = 0.1
    light_of: str = 'window'
    views: int = 1
    stem: str = ''
    threads: int = 2
    ema: float = 0.0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        for name in ('iterations', 'batch', 'accumulate', 'rollout_steps', 'views', 'threads'):
            if getattr(self, name) < 1:
                raise TrainingError(f'{name} must be at least 1')
        if self.light_of not in ('window', 'frame'):
            raise TrainingError(f'light_of must be window or frame, not {self.light_of!r}')
        if self.features and not self.stem:
            raise TrainingError('features are those of a stem: name one, or leave features at 0')
        if not self.gripper_windows > 0:
            raise TrainingError(f'gripper_windows must be above 0, not {self.gripper_windows}')
        if self.schedule not in SCHEDULES:
            raise TrainingError(f'schedule must be one of {", ".join(SCHEDULES)}')
        if (self.schedule == 'hold') != (self.anneal > 0):
            raise TrainingError(
                'schedule hold needs anneal, iterations down to zero; no other does'
            )
        if not 0 <= self.warmup_from <= 1:
            raise TrainingError(f'warmup_from must be 0 to 1, not {self.warmup_from}')
        if not 0 <= self.ema < 1:
            raise TrainingError(f'ema must be at least 0 and below 1, not {self.ema}')
        if self.window < self.rollout_steps + 1:
            raise TrainingError(
                f'a rollout of {self.rollout_steps} steps needs windows of at '
                f'least {self.rollout_steps + 1} frames, not {self.window}'
            )


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A YAML file of config/train: the model, a ModelSpec without statistics or the name of a
    published one, and its stages.

    encoder: None where the encoder is never trained.
    retrained: what is different about the predictor of stage 2 (planning time is its time).
    goes_on: stage 2 goes on with the predictor of stage 1, in place of a fresh one.
    proposal: the head that proposes what to try first, of window - 1 steps; None: no head.
    decoder: the picture decoder, which only its own stage trains; None: no decoder.
    """

    model: dict[str, Any]
    predictor: StageSettings
    encoder: StageSettings | None = None
    proposal: StageSettings | None = None
    decoder: StageSettings | None = None
    retrained: dict[str, Any] = field(default_factory=dict)
    goes_on: bool = False

    def stage(self, name: str) -> StageSettings | None:
        """Settings of one of STAGES."""
        return getattr(self, name)

    def with_iterations(self, iterations: int) -> TrainSettings:
        """The same run with another length of each stage."""

        def resized(stage: StageSettings) -> StageSettings:
            warmup = min(stage.warmup, iterations // 4)
            anneal = min(stage.anneal, iterations // 4 or 1)
            return dataclasses.replace(stage, iterations=iterations, warmup=warmup, anneal=anneal)

        changed: dict[str, Any] = {
            name: resized(stage) for name in STAGES if (stage := self.stage(name))
        }
        return dataclasses.replace(self, **changed)


def load_settings(path: Path | str) -> TrainSettings:
    """Read and check a training configuration: a .yaml file or a name in config/train."""
    path = Path(path)
    if path.suffix not in ('.yaml', '.yml'):
        path = resources.find('config', 'train', f'{path}.yaml')
    values = read_table(path, ('model', 'encoder', 'predictor'), TrainingError)
    try:
        stages = {name: _stage(values[name]) for name in STAGES if values.get(name)}
        return TrainSettings(
            model=_model(values['model']),
            **stages,
            retrained=dict(values.get('retrained', {})),
            goes_on=bool(values.get('goes_on', False)),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise TrainingError(f'{path} is not a training configuration: {error}') from error


def _model(values: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(values, str):
        return find(values).spec.to_dict()
    return dict(values)


def _stage(values: dict[str, Any]) -> StageSettings:
    values = dict(values)
    if 'betas' in values:
        values['betas'] = tuple(values['betas'])
    return StageSettings(**values)
