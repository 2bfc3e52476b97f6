# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk: a folder of HDF5 files, each holding whole recorded episodes.

A file `episodes_<name>_<shard>.h5` appears under its name only when it is complete (it is written
as `.part` and renamed), so a recorder that dies costs at most one shard and a reader never meets
a half-written file. Inside, a group `episode_000123` holds one `Episode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from jepa_wm_ros.errors import JepaWmError

PATTERN = 'episodes_*.h5'


class EpisodeError(JepaWmError):
    """An episode or a folder of episodes that cannot be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """T model steps of one recording; index t of `frames`, `poses`, `cube` is before action t.

    frames    uint8 (T+1, S, S, 3), RGB, already cropped square and resized
    poses     float32 (T+1, 7), measured pose7 of the hand (m, rad, closure), base frame
    actions   float32 (T, 7), commanded actions (m, rad, closure): what a planner emits
    achieved  float32 (T, 7), the actions the arm really made
    cube      float32 (T+1, 7), cube position (m) and quaternion, for probes only
    seed      of the scene and of the motion
    fps       model steps per second
    """

    frames: np.ndarray
    poses: np.ndarray
    actions: np.ndarray
    achieved: np.ndarray
    cube: np.ndarray
    seed: int
    fps: float

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.dtype != np.uint8 or len(self.frames) < 2:
            raise EpisodeError(
                f'frames must be uint8 (T+1 >= 2, S, S, 3), got {self.frames.dtype} '
                f'{self.frames.shape}'
            )
        size, steps = self.frames.shape[1], len(self.frames) - 1
        expected = {
            'frames': (steps + 1, size, size, 3),
            'poses': (steps + 1, 7),
            'actions': (steps, 7),
            'achieved': (steps, 7),
            'cube': (steps + 1, 7),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise EpisodeError(
                    f'{name} of an episode of {steps} steps must be {shape}, got {array.shape}'
                )
            if name != 'frames' and not np.isfinite(array).all():
                raise EpisodeError(f'{name} has NaN or infinite numbers: record the episode again')
        if not self.fps > 0:
            raise EpisodeError(f'fps must be positive, got {self.fps}')

    @property
    def steps(self) -> int:
        """Number of actions T."""
        return len(self.actions)


class EpisodeWriter:
    """Writes episodes of one recording process into shards of a folder; a context manager.

    An exception inside the `with` block still keeps the episodes already written.
    """

    def __init__(self, directory: Path | str, name: str, episodes_per_file: int = 100) -> None:
        self.directory = Path(directory)
        self.name = name
        self.episodes_per_file = episodes_per_file
        self._file: h5py.File | None = None
        self.directory.mkdir(parents=True, exist_ok=True)

    def write(self, index: int, episode: Episode) -> None:
        """Store `episode` under `index`, which must be unique in the folder."""
        if self._file is None:
            self._file = h5py.File(self._part_of(self._next_path()), 'w')
        group = self._file.create_group(f'episode_{index:06d}')
        group.create_dataset('frames', data=episode.frames, compression='lzf')
        for name in ('poses', 'actions', 'achieved', 'cube'):
            group.create_dataset(name, data=getattr(episode, name), dtype=np.float32)
        group.attrs['seed'] = episode.seed
        group.attrs['fps'] = episode.fps
        if len(self._file) >= self.episodes_per_file:
            self.close()

    def close(self) -> None:
        """Finish the current shard: only now readers see it."""
        if self._file is None:
            return
        part = Path(self._file.filename)
        self._file.close()
        self._file = None
        part.rename(part.with_suffix(''))

    def _next_path(self) -> Path:
        shard = len(list(self.directory.glob(f'episodes_{self.name}_*.h5')))
        return self.directory / f'episodes_{self.name}_{shard:04d}.h5'

    @staticmethod
    def _part_of(path: Path) -> Path:
        return path.with_name(path.name + '.part')

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def episode_files(directory: Path | str) -> list[Path]:
    """Complete episode files of a folder, sorted; EpisodeError when there are none."""
    directory = Path(directory)
    files = sorted(directory.glob(PATTERN))
    if not files:
        raise EpisodeError(
            f'no {PATTERN} in {directory}: record some first '
            f'(python -m jepa_wm_ros.sim.record --out {directory})'
        )
    return files


def recorded_indices(directory: Path | str) -> set[int]:
    """Indices already recorded in a folder (empty when there is no folder), to resume recording."""
    found: set[int] = set()
    for path in sorted(Path(directory).glob(PATTERN)):
        with _open(path) as file:
            found.update(int(name.removeprefix('episode_')) for name in file)
    return found


def read_episodes(directory: Path | str) -> Iterator[Episode]:
    """Episodes of a folder in the order of their files and indices."""
    for path in episode_files(directory):
        with _open(path) as file:
            for name in sorted(file):
                yield _read_group(path, name, file[name])


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise EpisodeError(
            f'{path} is not a readable HDF5 file ({error}): delete it and record again'
        ) from error


def _read_group(path: Path, name: str, group: h5py.Group) -> Episode:
    try:
        arrays = {key: group[key][:] for key in ('frames', 'poses', 'actions', 'achieved', 'cube')}
        return Episode(**arrays, seed=int(group.attrs['seed']), fps=float(group.attrs['fps']))
    except KeyError as error:
        raise EpisodeError(
            f'{path}:{name} lacks {error.args[0]}: not an episode of this project, record it again'
        ) from error
    except EpisodeError as error:
        raise EpisodeError(f'{path}:{name}: {error}') from error
