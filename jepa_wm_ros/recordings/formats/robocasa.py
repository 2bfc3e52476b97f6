# SPDX-License-Identifier: Apache-2.0
"""Episodes as RoboCasa publishes them: robomimic's HDF5 files, seen by the left camera.

A file holds groups data/demo_0, data/demo_1, ...: obs/<camera>_image (T, H, W, 3) uint8, and the
hand in the arm's base frame, robot0_base_to_eef_pos [m], robot0_base_to_eef_quat (x, y, z, w) and
robot0_gripper_qpos, the two fingers' joints [m]. The attribute env_args of `data` tells the rate.
Every n-th row is a model step: n makes the rate at most STEP_RATE, 5 of RoboCasa's 20 a second, as
published. Actions are those between the measured poses, as DROID's; the 12 numbers that RoboCasa's
own controller was sent are not read.

Sources: robomimic's page of its data sets, and doc/reference/models.md section 4. RoboCasa's files
were not to be had here: that its quaternions have w last, as robosuite says, and that its pictures
are upright, as robomimic stores them, was never seen on one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.fr3 import PANDA
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, Format
from jepa_wm_ros.recordings.stored import StoredPictures, open_file

SUFFIX = '.hdf5'
CAMERAS = ('robot0_leftview', 'robot0_agentview_left')  # the paper's, and RoboCasa's own
POSITION, TURN = 'robot0_base_to_eef_pos', 'robot0_base_to_eef_quat'
FINGERS = 'robot0_gripper_qpos'


class RobocasaEpisodes(EpisodeSource):
    """The demonstrations of a file, or of all files below a folder, by their paths and numbers."""

    def __init__(self, path: Path | str) -> None:
        self._places = [
            (file, name) for file in _files(Path(path)) for name in _demonstrations(file)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def where(self, number: int) -> str:
        return '{}:data/{}'.format(*self._places[number])

    def __getitem__(self, number: int) -> Episode:
        try:
            return read_demonstration(*self._places[number])
        except EpisodeError as error:
            raise EpisodeError(f'{self.where(number)}: {error}') from error


def read_demonstration(path: Path, name: str) -> Episode:
    """One demonstration of a file. Raises EpisodeError."""
    with open_file(path) as file:
        data = _part(file, 'data')
        observed = _part(_part(data, name), 'obs')
        rate = _rate(data)
        stride = max(1, math.ceil(rate / STEP_RATE))
        camera = next((c for c in CAMERAS if f'{c}_image' in observed), CAMERAS[0])
        pictures = _part(observed, f'{camera}_image')
        poses = _poses(observed)[::stride]
        frames = StoredPictures(path, pictures, stride)
    return Episode(
        frames, poses.astype(np.float32), actions_between(poses).astype(np.float32), rate / stride
    )


def _poses(observed: h5py.Group) -> np.ndarray:
    """pose7 (T, 7): metres, roll pitch yaw, closure."""
    position, turn = _rows(observed, POSITION, 3), _rows(observed, TURN, 4)
    fingers = _rows(observed, FINGERS, 2)  # one goes along its axis, the other against it
    closure = 1 - (fingers[:, 0] - fingers[:, 1]) / PANDA.gripper_width
    try:
        euler = Rotation.from_quat(turn).as_euler('xyz')
    except ValueError as error:
        raise EpisodeError(f'{observed.name}/{TURN} holds no quaternions ({error})') from error
    return np.column_stack([position, euler, np.clip(closure, 0, 1)])


def _rows(observed: h5py.Group, name: str, width: int) -> np.ndarray:
    """One row of numbers (T, width) for each picture, float64."""
    rows = _part(observed, name)[:].astype(np.float64)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise EpisodeError(f'{observed.name}/{name} is {rows.shape}, not (T, {width})')
    return rows


def _part(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    if name not in group:
        raise EpisodeError(
            f'no {name} in {group.name}: not a demonstration of RoboCasa with pictures'
        )
    return group[name]


def _rate(data: h5py.Group) -> float:
    """Rows per second."""
    try:
        return float(json.loads(data.attrs['env_args'])['env_kwargs']['control_freq'])
    except (KeyError, ValueError, TypeError) as error:
        raise EpisodeError(f'env_args of data tells no control_freq ({error})') from error


def _demonstrations(path: Path) -> Iterator[str]:
    """Names of a file's demonstrations, demo_2 before demo_10."""
    with open_file(path) as file:
        names = [name for name in file.get('data', ()) if name.startswith('demo_')]
    if not names:
        raise EpisodeError(f'{path} has no data/demo_0: not a file of robomimic')
    return iter(sorted(names, key=lambda name: (len(name), name)))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob(f'*{SUFFIX}'))
    return [path] if path.suffix == SUFFIX and path.is_file() else []


FORMAT = Format(
    name='robocasa',
    looks_like=f'a *{SUFFIX} file of robomimic, or a folder with some in it or below it',
    claims=lambda path: bool(_files(path)),
    open=RobocasaEpisodes,
)
