# SPDX-License-Identifier: Apache-2.0
"""Episodes as DROID publishes them: `trajectory.h5` beside the videos, seen by the left camera.

A folder of one episode holds trajectory.h5, a .json file that names the video, and the video in
recordings/MP4. Pictures and states are paired by number; there must be about as many of the one as
of the other. Every n-th pair is a model step: n makes the video's rate, as its file tells it, at
most STEP_RATE (doc/reference/models.md, 4.6). DROID's files are said to tell 60 pictures/s of
videos that were taken at 15; a step then takes a second.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, Format

TRAJECTORY = 'trajectory.h5'
STATE = 'observation/robot_state'
APART = 1.0  # s of pictures without states, or of states without pictures, that are cut off


class DroidEpisodes(EpisodeSource):
    """The episodes below a folder, by their paths."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._folders = sorted(path.parent for path in self.root.rglob(TRAJECTORY))

    def __len__(self) -> int:
        return len(self._folders)

    def where(self, number: int) -> str:
        return str(self._folders[number])

    def __getitem__(self, number: int) -> Episode:
        folder = self._folders[number]
        try:
            return read_episode(folder)
        except EpisodeError as error:
            said = str(error)
            raise EpisodeError(said if str(folder) in said else f'{folder}: {said}') from error


def read_episode(folder: Path) -> Episode:
    """The episode of one folder. Raises EpisodeError."""
    from jepa_wm_ros.recordings.video import VideoFrames, video_size

    poses, video = _poses(folder / TRAJECTORY), _video(folder)
    pictures, rate, size = video_size(video)
    if abs(pictures - len(poses)) > rate * APART:
        raise EpisodeError(
            f'{folder}: {pictures} pictures at {rate:g}/s and {len(poses)} states, so that one of '
            'the two was cut short: copy it again, or leave it out'
        )
    stride = max(1, math.ceil(rate / STEP_RATE))
    numbers = range(0, min(pictures, len(poses)), stride)
    steps = poses[::stride][: len(numbers)]
    return Episode(
        VideoFrames(video, 0, len(numbers), size, stride),
        steps.astype(np.float32),
        actions_between(steps).astype(np.float32),
        rate / stride,
    )


def _poses(path: Path) -> np.ndarray:
    """pose7 (T, 7): metres, roll pitch yaw, closure; DROID's are as ours."""
    try:
        with h5py.File(path, 'r') as file:
            state = file[STATE]
            hand, closure = state['cartesian_position'][:], state['gripper_position'][:]
    except (OSError, KeyError) as error:
        raise EpisodeError(f'{path}: no trajectory of DROID ({error}): copy it again') from error
    if hand.ndim != 2 or hand.shape[1] != 6 or closure.shape != hand.shape[:1]:
        raise EpisodeError(
            f'{path}: cartesian_position is {hand.shape} and gripper_position {closure.shape}, '
            'not (T, 6) and (T,)'
        )
    return np.column_stack([hand, closure]).astype(np.float64)


def _video(folder: Path) -> Path:
    for path in sorted(folder.glob('*.json')):
        try:
            named = json.loads(path.read_text())['left_mp4_path']
        except (OSError, ValueError, KeyError, TypeError):
            continue
        video = folder / 'recordings' / 'MP4' / Path(str(named)).name
        if not video.is_file():
            raise EpisodeError(f'{video}: not there, though {path.name} names it')
        return video
    raise EpisodeError(f'{folder}: no .json file names a left_mp4_path')


FORMAT = Format(
    name='droid',
    looks_like=f'a folder with {TRAJECTORY} in it or below it',
    claims=lambda path: path.is_dir() and any(path.rglob(TRAJECTORY)),
    open=DroidEpisodes,
)
