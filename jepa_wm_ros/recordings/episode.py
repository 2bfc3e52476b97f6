# SPDX-License-Identifier: Apache-2.0
"""An episode: what was seen, what was measured and what was done, whatever it was recorded with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jepa_wm_ros.errors import JepaWmError

STEP_RATE = 4.0  # model steps per second, of every recording that does not say its own


class EpisodeError(JepaWmError):
    """An episode or a set of episodes that cannot be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """T model steps of one recording; index t of `frames` and `proprio` is before action t.

    frames   uint8 (T+1, H, W, 3) RGB; an array, or what slices like one and reads when sliced
    proprio  float32 (T+1, P), measured proprioception; pose7 for an arm (see actions.py)
    actions  float32 (T, A), commanded actions: what a planner emits
    extras   more float32 arrays by name, one row per frame (T+1, ...) or per action (T, ...)
    fps      model steps per second
    seed     what scene and motion were drawn from, where anything was
    """

    frames: Any
    proprio: np.ndarray
    actions: np.ndarray
    fps: float
    seed: int = 0
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        if len(shape) != 4 or shape[3] != 3 or self.frames.dtype != np.uint8 or shape[0] < 2:
            raise EpisodeError(
                f'frames must be uint8 (T+1 >= 2, H, W, 3), got {self.frames.dtype} {shape}'
            )
        steps = shape[0] - 1
        for name, array, rows in (
            ('proprio', self.proprio, (steps + 1,)),
            ('actions', self.actions, (steps,)),
            *((name, array, (steps, steps + 1)) for name, array in self.extras.items()),
        ):
            if array.ndim < 2 or len(array) not in rows:
                raise EpisodeError(
                    f'{name} of an episode of {steps} steps must be '
                    f'{" or ".join(f"({n}, ...)" for n in rows)}, got {array.shape}'
                )
            if not np.isfinite(array).all():
                raise EpisodeError(f'{name} has NaN or infinite numbers: record the episode again')
        if not self.fps > 0:
            raise EpisodeError(f'fps must be positive, got {self.fps}')

    @property
    def steps(self) -> int:
        """Number of actions T."""
        return len(self.actions)

    def cut(self, start: int, steps: int) -> Episode:
        """The episode of `steps` actions from frame `start` on, its pictures read."""
        if not 0 <= start <= self.steps - steps:
            raise EpisodeError(
                f'an episode of {self.steps} steps has no {steps} steps from step {start} on'
            )
        frames, actions = slice(start, start + steps + 1), slice(start, start + steps)
        return Episode(
            self.frames[frames],
            self.proprio[frames],
            self.actions[actions],
            self.fps,
            self.seed,
            {
                name: array[actions if len(array) == self.steps else frames]
                for name, array in self.extras.items()
            },
        )


def digest(episodes: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """SHA-256 of the pictures, proprioception and actions of episodes: which ones these are."""
    told = hashlib.sha256()
    for arrays in episodes:
        for array in map(np.ascontiguousarray, arrays):
            told.update(f'{array.dtype.str} {array.shape}'.encode())
            told.update(array.data)
    return told.hexdigest()
