# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes in memory, and batches of short windows drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.recordings.formats.hdf5 import EpisodeError, read_episodes

_SMALLEST_STD = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """All frames of a folder of episodes, one after the other; F frames in total.

    frames   uint8 (F, S, S, 3)
    poses    float32 (F, 7), measured pose7
    actions  float32 (F, 7), commanded action after each frame; zero after an episode's last
    cube     float32 (F, 7)
    episode  int64 (F,), which episode a frame belongs to
    fps      model steps per second
    """

    frames: Tensor
    poses: Tensor
    actions: Tensor
    cube: Tensor
    episode: Tensor
    fps: float

    @property
    def size(self) -> int:
        """Side S of the frames in pixels."""
        return self.frames.shape[1]

    def windows(self, length: int) -> Tensor:
        """First frames (W,) of all windows of `length` frames; none crosses two episodes."""
        if length > len(self.episode):
            return torch.empty(0, dtype=torch.int64)
        first = self.episode[: len(self.episode) - length + 1]
        last = self.episode[length - 1 :]
        return torch.nonzero(first == last).flatten()


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and standard deviation of actions and of proprioception, each (7,)."""

    action_mean: Tensor
    action_std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A batch of B windows of T consecutive frames.

    frames   uint8 (B, T, S, S, 3)
    poses    float32 (B, T, 7)
    actions  float32 (B, T, 7), the commanded action after each frame
    index    int64 (B, T), of the frames in their recording
    """

    frames: Tensor
    poses: Tensor
    actions: Tensor
    index: Tensor


def load_recording(directory: Path | str) -> Recording:
    """Read a folder of episodes into memory (S = 96: 0.58 MB per episode of 20 steps)."""
    frames, poses, actions, cube, episode = [], [], [], [], []
    fps = size = None
    for number, item in enumerate(read_episodes(directory)):
        fps = fps or item.fps
        size = size or item.frames.shape[1]
        if (item.fps, item.frames.shape[1]) != (fps, size):
            raise EpisodeError(
                f'{directory} mixes recordings: {size} px at {fps} Hz and '
                f'{item.frames.shape[1]} px at {item.fps} Hz; keep one per folder'
            )
        frames.append(item.frames)
        poses.append(item.poses)
        actions.append(np.concatenate([item.actions, np.zeros((1, 7), np.float32)]))
        cube.append(item.cube)
        episode.append(np.full(len(item.frames), number))
    return Recording(
        *(
            torch.from_numpy(np.concatenate(parts))
            for parts in (frames, poses, actions, cube, episode)
        ),
        fps=fps,
    )


def statistics(recording: Recording) -> Statistics:
    """Statistics of a recording; a dimension that never moves gets standard deviation 1."""
    moves = recording.actions[_has_successor(recording)]
    return Statistics(
        moves.mean(0), _spread(moves), recording.poses.mean(0), _spread(recording.poses)
    )


def draw_windows(
    recording: Recording, starts: Tensor, length: int, batch: int, generator: torch.Generator
) -> Windows:
    """`batch` windows of `length` frames drawn with replacement from `starts` (W,)."""
    if not len(starts):
        raise EpisodeError(
            f'no episode is as long as a window of {length} frames: record longer episodes'
        )
    picked = starts[torch.randint(len(starts), (batch,), generator=generator)]
    return gather(recording, picked[:, None] + torch.arange(length))


def gather(recording: Recording, index: Tensor) -> Windows:
    """Windows of a recording whose frames are `index` (B, T)."""
    return Windows(recording.frames[index], recording.poses[index], recording.actions[index], index)


def vary_light(pixels: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Pixels (B, T, 3, S, S) with contrast and brightness changed, alike within each window.

    Pixels are normalised around zero; both factor - 1 and offset are uniform within +-strength,
    the offset shared by the colours but for a fifth of it.
    """
    shape = (pixels.shape[0], 1, 1, 1, 1)
    colours = (pixels.shape[0], 1, 3, 1, 1)

    def uniform(of: tuple[int, ...]) -> Tensor:
        return (2 * torch.rand(of, generator=generator) - 1) * strength

    return pixels * (1 + uniform(shape)) + uniform(shape) + 0.2 * uniform(colours)


def _has_successor(recording: Recording) -> Tensor:
    return torch.cat([recording.episode[1:] == recording.episode[:-1], torch.tensor([False])])


def _spread(values: Tensor) -> Tensor:
    spread = values.std(0)
    return torch.where(spread > _SMALLEST_STD, spread, torch.ones_like(spread))
