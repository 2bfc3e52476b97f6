# SPDX-License-Identifier: Apache-2.0
"""Batches of short windows drawn from recorded episodes, whose pictures stay on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.actions import DIM, GRIPPER
from jepa_wm_ros.recordings.episode import Episode, EpisodeError, digest
from jepa_wm_ros.recordings.formats import open_episodes

_SMALLEST_STD = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The frames of a set of episodes, one after the other; F frames in total.

    frames   uint8 (F, H, W, 3), a tensor or `StoredFrames`
    proprio  float32 (F, P)
    actions  float32 (F, A), commanded action after each frame; zero after an episode's last
    extras   more tensors (F, ...) by name; zero after an episode's last where actions are
    episode  int64 (F,), which episode a frame belongs to
    fps      model steps per second
    """

    frames: Any
    proprio: Tensor
    actions: Tensor
    extras: dict[str, Tensor]
    episode: Tensor
    fps: float

    @property
    def size(self) -> int:
        """Side S of the frames in pixels, their height."""
        return self.frames.shape[1]

    def windows(self, length: int) -> Tensor:
        """First frames (W,) of all windows of `length` frames; none crosses two episodes."""
        if length > len(self.episode):
            return torch.empty(0, dtype=torch.int64)
        first = self.episode[: len(self.episode) - length + 1]
        last = self.episode[length - 1 :]
        return torch.nonzero(first == last).flatten()


class StoredFrames:
    """Pictures of many episodes one after the other, (F, H, W, 3) uint8, read when indexed."""

    def __init__(self, episodes: Sequence[Any]) -> None:
        """The pictures of each episode: arrays, or what slices like one."""
        self._episodes = episodes
        self._ends = np.cumsum([len(frames) for frames in episodes])
        self.shape = (int(self._ends[-1]), *episodes[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        """The frames of a slice, or of a tensor of indices of any shape (faster in runs)."""
        if isinstance(index, slice):
            return self[torch.arange(*index.indices(len(self)))]
        flat = index.reshape(-1).numpy()
        found = np.empty((len(flat), *self.shape[1:]), np.uint8)
        number = np.searchsorted(self._ends, flat, side='right')
        breaks = (np.diff(flat) != 1) | (np.diff(number) != 0)
        begins = [0, *(np.flatnonzero(breaks) + 1), len(flat)] if len(flat) else [0]
        for begin, end in zip(begins, begins[1:], strict=False):
            frames = self._episodes[number[begin]]
            start = flat[begin] - (self._ends[number[begin]] - len(frames))
            found[begin:end] = frames[start : start + end - begin]
        return torch.from_numpy(found).reshape(*index.shape, *self.shape[1:])

    def of(self, numbers: Sequence[int]) -> StoredFrames:
        """The pictures of these episodes alone."""
        return StoredFrames([self._episodes[number] for number in numbers])

    def split(self, count: int) -> Iterator[Tensor]:
        """The frames in order, `count` at a time."""
        return (self[start : start + count] for start in range(0, len(self), count))


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Mean and standard deviation of actions (A,) and of proprioception (P,)."""

    action_mean: Tensor
    action_std: Tensor
    proprio_mean: Tensor
    proprio_std: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A batch of B windows of T consecutive frames.

    frames   uint8 (B, T, H, W, 3)
    proprio  float32 (B, T, P)
    actions  float32 (B, T, A), the commanded action after each frame
    index    int64 (B, T), of the frames in their recording
    """

    frames: Tensor
    proprio: Tensor
    actions: Tensor
    index: Tensor


@lru_cache(maxsize=2)  # of a training: what is learnt from, and what is held out
def fingerprint(recording: Recording) -> str:
    """The digest of a recording's episodes: which data a model was trained on.

    It reads every picture, once for a recording.
    """
    lengths = torch.unique_consecutive(recording.episode, return_counts=True)[1]
    ends = lengths.cumsum(0).tolist()

    def episode(begin: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        proprio, actions = recording.proprio[begin:end], recording.actions[begin : end - 1]
        return recording.frames[begin:end].numpy(), proprio.numpy(), actions.numpy()

    return digest(starmap(episode, pairwise([0, *ends])))


def load_recording(
    path: Path | str, chosen: Callable[[int], bool] = lambda number: True, camera: str = ''
) -> Recording:
    """Open a set of episodes in any format of recordings/formats, those with a chosen number, as a
    camera saw them.

    Memory does not grow with the set: numbers are mapped from a temporary file, pictures are read
    when a batch wants them. Raises EpisodeError.
    """
    source, shape, frames, extras = open_episodes(path, camera), None, [], {}
    proprio, actions = _Column(path), _Column(path)
    for item in (source[number] for number in range(len(source)) if chosen(number)):
        told = (item.frames.shape[1:3], item.proprio.shape[1], item.actions.shape[1], item.fps)
        if told != (shape := shape or told):
            raise EpisodeError(
                f'{path} mixes recordings: {_told(shape)} and {_told(told)}; keep one per folder'
            )
        if shape is told:
            extras = {name: _Column(path) for name in item.extras}
        frames.append(item.frames)
        proprio.add(item.proprio)
        actions.add(_per_frame(item, item.actions))
        extras = {name: column for name, column in extras.items() if name in item.extras}
        for name, column in extras.items():
            column.add(_per_frame(item, item.extras[name]))
    if shape is None:
        raise EpisodeError(f'{path} holds too few episodes ({len(source)}): record more first')
    return Recording(
        StoredFrames(frames),
        proprio.mapped(),
        actions.mapped(),
        {name: column.mapped() for name, column in extras.items()},
        torch.repeat_interleave(
            torch.arange(len(frames)), torch.tensor([len(pictures) for pictures in frames])
        ),
        fps=shape[-1],
    )


class _Column:
    """Numbers of all frames, added episode by episode to a file without a name."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._width: tuple[int, ...] = ()
        self._file = tempfile.TemporaryFile()

    def add(self, rows: np.ndarray) -> None:
        """The frames (n, ...) of one more episode. Raises EpisodeError."""
        self._width = self._width or rows.shape[1:]
        if rows.shape[1:] != self._width:
            raise EpisodeError(
                f'{self._path} mixes recordings: {self._width} and {rows.shape[1:]} numbers of '
                'the same name in a frame; keep one per folder'
            )
        try:
            self._file.write(np.ascontiguousarray(rows, np.float32).data)
            self._file.flush()
        except OSError as error:
            raise EpisodeError(
                f'{tempfile.gettempdir()} has no room for the numbers of {self._path} ({error}): '
                'make room, or set TMPDIR'
            ) from error

    def mapped(self) -> Tensor:
        """All of them, float32 (F, ...)."""
        numbers = np.memmap(self._file, np.float32, 'c')
        return torch.from_numpy(numbers.reshape(-1, *self._width))


def _told(shape: tuple) -> str:
    (height, width), proprio, action, fps = shape
    return f'{width} x {height} px, P = {proprio}, A = {action} at {fps} Hz'


def _per_frame(item: Episode, array: np.ndarray) -> np.ndarray:
    """An array with one row per frame: one of zeros more where it had one per action."""
    if len(array) == item.steps:
        return np.concatenate([array, np.zeros_like(array[:1])])
    return array


def spread_over(recording: Recording, most: int) -> Recording:
    """Whole episodes of a recording, evenly spread over it, `most` frames of them or few more: what
    is measured in main memory.
    """
    frames, episodes = len(recording.episode), int(recording.episode[-1]) + 1
    if frames <= most:
        return recording
    numbers = torch.linspace(0, episodes - 1, max(1, episodes * most // frames)).long()
    chosen = torch.isin(recording.episode, numbers)
    stored = isinstance(recording.frames, StoredFrames)
    return Recording(
        recording.frames.of(numbers.tolist()) if stored else recording.frames[chosen],
        recording.proprio[chosen],
        recording.actions[chosen],
        {name: values[chosen] for name, values in recording.extras.items()},
        torch.unique_consecutive(recording.episode[chosen], return_inverse=True)[1],
        recording.fps,
    )


def statistics(recording: Recording) -> Statistics:
    """Statistics of a recording; a dimension that never moves gets standard deviation 1."""
    moves = recording.actions[_has_successor(recording)]
    return Statistics(
        moves.mean(0), _spread(moves), recording.proprio.mean(0), _spread(recording.proprio)
    )


def draw_windows(
    recording: Recording, starts: Tensor, length: int, batch: int, generator: torch.Generator
) -> Windows:
    """`batch` windows of `length` frames drawn with replacement from `starts` (W,)."""
    return gather(recording, draw_frames(starts, length, batch, generator))


def draw_frames(
    starts: Tensor,
    length: int,
    batch: int,
    generator: torch.Generator,
    weights: Tensor | None = None,
) -> Tensor:
    """Frames (B, T) of windows drawn with replacement from `starts` (W,), alike or by `weights`
    (W,). Raises EpisodeError where there is none.
    """
    if not len(starts):
        raise EpisodeError(
            f'no episode is as long as a window of {length} frames: record longer episodes'
        )
    if weights is None:
        picked = torch.randint(len(starts), (batch,), generator=generator)
    else:
        picked = torch.multinomial(weights, batch, replacement=True, generator=generator)
    return starts[picked][:, None] + torch.arange(length)


def gripper_weights(recording: Recording, starts: Tensor, length: int, weight: float) -> Tensor:
    """`weight` for windows in which an arm's gripper strokes or holds something, 1 for others (W,).

    What holds something has closed, and not to the end: no more is known on a real arm.
    """
    if recording.actions.shape[1] != DIM:
        raise EpisodeError(
            f'gripper_windows is for arms with {DIM}-number actions, the recording has '
            f'{recording.actions.shape[1]}'
        )
    closure = recording.proprio[:, GRIPPER]
    acts = (recording.actions[:, GRIPPER].abs() > 0.3) | ((closure > 0.1) & (closure < 0.9))
    within = acts.unfold(0, length, 1).any(dim=1)
    return torch.where(within[starts], weight, 1.0)


def gather(recording: Recording, index: Tensor) -> Windows:
    """Windows of a recording whose frames are `index` (B, T)."""
    return Windows(
        recording.frames[index], recording.proprio[index], recording.actions[index], index
    )


def vary_light(pixels: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    """Pixels (B, T, 3, S, S) with contrast and brightness changed, alike within each window.

    Pixels are normalised around zero; both factor - 1 and offset are uniform within +-strength,
    the offset shared by the colours but for a fifth of it. Without a generator torch's own draws.
    """
    shape = (pixels.shape[0], 1, 1, 1, 1)
    colours = (pixels.shape[0], 1, 3, 1, 1)

    def uniform(of: tuple[int, ...]) -> Tensor:
        return (2 * torch.rand(of, generator=generator) - 1) * strength

    gain, offset = 1 + uniform(shape), uniform(shape) + 0.2 * uniform(colours)
    return torch.addcmul(offset, pixels, gain) if strength else pixels


def _has_successor(recording: Recording) -> Tensor:
    return torch.cat([recording.episode[1:] == recording.episode[:-1], torch.tensor([False])])


def _spread(values: Tensor) -> Tensor:
    spread = values.std(0)
    return torch.where(spread > _SMALLEST_STD, spread, torch.ones_like(spread))
