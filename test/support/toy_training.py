# SPDX-License-Identifier: Apache-2.0
"""Training on a toy: a spot that actions move, seen in pictures of 16 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jepa_wm_ros.learning import train
from jepa_wm_ros.learning.optimise import optimise
from jepa_wm_ros.learning.settings import StageSettings
from jepa_wm_ros.recordings.episode import Episode

SIZE = 16
TOY = {
    'model': {
        'name': 'toy',
        'family': 'adaln',
        'img_size': SIZE,
        'image_mean': [0.5] * 3,
        'image_std': [0.5] * 3,
        'proprio_position': [0, 1],
        'proprio_wraps': [3],
        'encoder': {
            'kind': 'conv',
            'width': 8,
            'patch_size': 4,
            'channels': [8],
            'strides': [1],
            'hidden': 32,
            'norm': 'batch',
        },
        'predictor': {
            'width': 28,
            'depth': 1,
            'heads': 2,
            'proprio': 'feature',
            'proprio_features': 4,
            'predict_change': True,
        },
    },
    'encoder': {
        'iterations': 120,
        'batch': 16,
        'warmup': 10,
        'learning_rate': 3e-3,
        'sigreg': 0.02,
        'inverse_dynamics': 0.3,
        'proprio': 1.0,
        'stop_gradient': False,
    },
    'retrained': {'width': 20},
    'predictor': {
        'iterations': 240,
        'batch': 16,
        'warmup': 10,
        'learning_rate': 1e-2,
        'rollout_steps': 3,
        'views': 2,
    },
}
PROPOSAL = {
    'iterations': 400,
    'batch': 64,
    'window': 4,
    'warmup': 10,
    'learning_rate': 3e-3,
    'rollout_steps': 1,
    'views': 2,
}


def toy_episode(seed: int, steps: int = 8) -> Episode:
    rng = np.random.default_rng(seed)
    actions = np.zeros((steps, 7), np.float32)
    actions[:, :2] = rng.uniform(-0.2, 0.2, (steps, 2))
    poses = np.zeros((steps + 1, 7), np.float32)
    poses[0, :2] = rng.uniform(0.3, 0.7, 2)
    for t in range(steps):
        poses[t + 1, :2] = np.clip(poses[t, :2] + actions[t, :2], 0.1, 0.9)
    row, column = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    shade = [np.exp(-60 * ((row - x) ** 2 + (column - y) ** 2)) for x, y in poses[:, :2]]
    frames = (255 * np.stack(shade)[..., None]).astype(np.uint8).repeat(3, axis=-1)
    return Episode(
        frames, poses, actions, 4.0, seed, {'cube': np.zeros((steps + 1, 7), np.float32)}
    )


def words_of(folders, name: str, *more: str) -> list[str]:
    """What `train` is told, to learn in the folder `name`."""
    return [
        '--config',
        str(folders / 'toy.yaml'),
        '--data',
        str(folders / 'train'),
        '--val',
        str(folders / 'val'),
        '--out',
        str(folders / name),
        '--threads',
        '1',
        *more,
    ]


def run(folders, name: str, *more: str) -> int:
    return train.main(words_of(folders, name, *more))


def optimised(stage, settings: StageSettings, checkpoint: Path, **given) -> None:
    """Train a stage, from its checkpoint where there is one, and say nothing."""
    options = {'losses': stage.losses, 'seed': 1, 'every': 5, **given}
    optimise(stage, settings=settings, checkpoint=checkpoint, title='', quiet=True, **options)
