# SPDX-License-Identifier: Apache-2.0
"""Episodes of a Franka arm as the paper's own were kept: one file run_xxxx/episode.h5 each.

A file holds the group episode_data/observation with cartesian_position (T, 6), gripper_position
(T,) and the pictures exterior_image_2_left (T, H, W, 3). It tells no rate: 30 pictures/s are
assumed, as published, so that every eighth is a model step (doc/reference/models.md, 4.6). The
paper's files are not public: this was tried on files written in their layout.
"""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, Format
from jepa_wm_ros.recordings.stored import StoredPictures, open_file

FILE = 'run_*/episode.h5'
OBSERVATION = 'episode_data/observation'
HAND, CLOSURE, CAMERA = 'cartesian_position', 'gripper_position', 'exterior_image_2_left'
RATE = 30.0  # pictures per second
STRIDE = math.ceil(RATE / STEP_RATE)


class FrankaEpisodes(EpisodeSource):
    """The episodes below a folder, by their paths."""

    def __init__(self, root: Path | str) -> None:
        self._files = sorted(Path(root).rglob(FILE))

    def __len__(self) -> int:
        return len(self._files)

    def where(self, number: int) -> str:
        return str(self._files[number])

    def __getitem__(self, number: int) -> Episode:
        return read_episode(self._files[number])


def read_episode(path: Path) -> Episode:
    """The episode of one file. Raises EpisodeError."""
    with open_file(path) as file:
        hand, closure, pictures = (_part(path, file, name) for name in (HAND, CLOSURE, CAMERA))
        count = len(pictures) if pictures.shape else 0
        if hand.shape != (count, 6) or closure.shape not in ((count,), (count, 1)):
            raise EpisodeError(
                f'{path}: {HAND} is {hand.shape} and {CLOSURE} {closure.shape} for {count} '
                'pictures, not (T, 6) and (T,)'
            )
        poses = np.column_stack([hand[:], closure[:]]).astype(np.float64)[::STRIDE]
        try:
            frames = StoredPictures(path, pictures, STRIDE)
        except EpisodeError as error:
            raise EpisodeError(f'{path}: {error}') from error
    return Episode(
        frames, poses.astype(np.float32), actions_between(poses).astype(np.float32), RATE / STRIDE
    )


def _part(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    found = file.get(f'{OBSERVATION}/{name}')
    if not isinstance(found, h5py.Dataset):
        raise EpisodeError(f'{path} has no {OBSERVATION}/{name}: not such an episode, or cut short')
    return found


FORMAT = Format(
    name='franka',
    looks_like=f'a folder with {FILE} in it or below it',
    claims=lambda path: path.is_dir() and any(path.rglob(FILE)),
    open=FrankaEpisodes,
)
