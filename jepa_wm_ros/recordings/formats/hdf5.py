# SPDX-License-Identifier: Apache-2.0
"""Episodes as a folder of HDF5 files, each holding whole recorded episodes.

A file `episodes_<name>_<shard>.h5` appears under its name only when it is complete (it is written
as `.part` and renamed), so a recorder that dies costs at most one shard and a reader never meets
a half-written file. Inside, a group `episode_000123` holds one `Episode`: the data sets `frames`
(one chunk per picture, so that a window is read without its neighbours), `proprio`, `actions`, the
group `extras`, and the attributes `seed` and `fps`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, Format
from jepa_wm_ros.recordings.stored import damaged

PATTERN = 'episodes_*.h5'
EPISODES_PER_FILE = 100
OPEN_FILES, OPEN_EPISODES = 16, 64  # kept open to read from: megabytes and kilobytes each
# Bytes that HDF5 writes beside the numbers of an episode: seen 12,000, and 100 for each picture.
HEADERS, HEADER = 1 << 17, 512


class EpisodeWriter:
    """Writes episodes of one recording process into shards of a folder; a context manager.

    An exception inside the `with` block still keeps the episodes already written. Room on the disk
    is taken before an episode is written, for on a full one HDF5 loses what it holds, or crashes.
    """

    def __init__(
        self, directory: Path | str, name: str, episodes_per_file: int = EPISODES_PER_FILE
    ) -> None:
        self.directory = Path(directory)
        self.name = name
        self.episodes_per_file = episodes_per_file
        self._file: h5py.File | None = None
        self.directory.mkdir(parents=True, exist_ok=True)

    def write(self, index: int, episode: Episode) -> None:
        """Store `episode` under `index`, which must be unique in the folder. Raises EpisodeError
        where the disk has no room for it; those before it are kept then.
        """
        frames = np.asarray(episode.frames[:])
        try:
            file = self._file_with_room(_size(episode, frames))
            self._put(file, f'episode_{index:06d}', episode, frames)
        except OSError as error:
            self.close()
            reason = os.strerror(error.errno) if error.errno else error
            raise EpisodeError(
                f'{self.directory}: episode {index} cannot be written ({reason}): make room and '
                'give the same command again'
            ) from error
        if len(file) >= self.episodes_per_file:
            self.close()

    def close(self) -> None:
        """Finish the current shard: only now readers see it."""
        if self._file is None:
            return
        file, self._file = self._file, None
        part, count, size = Path(file.filename), len(file), file.id.get_filesize()
        file.close()
        if not count:
            part.unlink()
            return
        os.truncate(part, size)  # gives back the room that was not needed
        part.rename(part.with_suffix(''))

    def _file_with_room(self, size: int) -> h5py.File:
        """The current shard, for which the disk holds `size` more bytes. Raises OSError."""
        if self._file is None:
            part = self._part_of(self._next_path())
            try:
                _reserve(part, 0, size)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            self._file = h5py.File(part, 'w')
        _reserve(Path(self._file.filename), self._file.id.get_filesize(), size)
        return self._file

    def _put(self, file: h5py.File, name: str, episode: Episode, frames: np.ndarray) -> None:
        """Write an episode into a shard, or nothing of it."""
        group = file.create_group(name)
        try:
            _write(group, episode, frames)
            file.flush()
        except BaseException:
            self._file = None  # and so stays a .part, if nothing can be taken back
            del file[name]
            self._file = file
            raise

    def _next_path(self) -> Path:
        shard = len(list(self.directory.glob(f'episodes_{self.name}_*.h5')))
        return self.directory / f'episodes_{self.name}_{shard:04d}.h5'

    @staticmethod
    def _part_of(path: Path) -> Path:
        return path.with_name(path.name + '.part')

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()


def _write(group: h5py.Group, episode: Episode, frames: np.ndarray) -> None:
    group.create_dataset('frames', data=frames, chunks=(1, *frames.shape[1:]), compression='lzf')
    group.create_dataset('proprio', data=episode.proprio, dtype=np.float32)
    group.create_dataset('actions', data=episode.actions, dtype=np.float32)
    extras = group.create_group('extras')
    for name, array in episode.extras.items():
        extras.create_dataset(name, data=array, dtype=np.float32)
    group.attrs['seed'] = episode.seed
    group.attrs['fps'] = episode.fps


def _size(episode: Episode, frames: np.ndarray) -> int:
    """The most bytes that an episode takes in a file."""
    numbers = (episode.proprio, episode.actions, *episode.extras.values())
    described = HEADERS + HEADER * (len(frames) + len(episode.extras))
    return frames.nbytes + 4 * sum(array.size for array in numbers) + described


def _reserve(path: Path, begin: int, size: int) -> None:
    """Have the disk hold `size` bytes of a file from `begin` on. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.posix_fallocate(file, begin, size)
    finally:
        os.close(file)


class Hdf5Episodes(EpisodeSource):
    """Episodes of a folder in the order of their files and indices."""

    def __init__(self, directory: Path | str) -> None:
        self._places: list[tuple[Path, str]] = []
        for path in _files(directory):
            with _open(path) as file:
                self._places += [(path, name) for name in sorted(file)]
        # Per set, so that what it holds open goes with it.
        self._file = lru_cache(OPEN_FILES)(_open)
        self._pictures = lru_cache(OPEN_EPISODES)(lambda p, name: self._file(p)[name]['frames'])

    def __len__(self) -> int:
        return len(self._places)

    def where(self, number: int) -> str:
        return '{}:{}'.format(*self._places[number])

    def __getitem__(self, number: int) -> Episode:
        path, name = self._places[number]
        group = self._file(path)[name]
        try:
            return Episode(
                _Frames(self, path, name),
                group['proprio'][:],
                group['actions'][:],
                float(group.attrs['fps']),
                int(group.attrs['seed']),
                {key: array[:] for key, array in group['extras'].items()},
            )
        except KeyError as error:
            raise EpisodeError(
                f'{path}:{name} lacks {error.args[0]}: not an episode of this project, '
                'record it again'
            ) from error
        except OSError as error:
            raise damaged(self.where(number), error) from error
        except EpisodeError as error:
            raise EpisodeError(f'{path}:{name}: {error}') from error

    def pictures(self, path: Path, name: str) -> h5py.Dataset:
        """The pictures of one episode, to be sliced."""
        return self._pictures(path, name)


class _Frames:
    """The pictures of a stored episode, read when they are sliced."""

    __slots__ = ('_episodes', '_place', 'dtype', 'shape')

    def __init__(self, episodes: Hdf5Episodes, path: Path, name: str) -> None:
        self._episodes, self._place = episodes, (path, name)
        stored = episodes.pictures(path, name)
        self.shape, self.dtype = stored.shape, stored.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index) -> np.ndarray:
        try:
            return self._episodes.pictures(*self._place)[index]
        except OSError as error:
            raise damaged('{}:{}'.format(*self._place), error) from error


def recorded_indices(directory: Path | str) -> set[int]:
    """Indices already recorded in a folder (empty when there is no folder), to resume recording."""
    found: set[int] = set()
    for path in _files(directory):
        with _open(path) as file:
            found.update(int(name.removeprefix('episode_')) for name in file)
    return found


def _files(directory: Path | str) -> list[Path]:
    """Complete episode files of a folder, sorted."""
    return sorted(Path(directory).glob(PATTERN))


def _open(path: Path) -> h5py.File:
    try:
        # Without HDF5's cache of 1 MB per open episode: 2 GB where windows are drawn at random.
        return h5py.File(path, 'r', rdcc_nbytes=0)
    except OSError as error:
        raise EpisodeError(
            f'{path} is not a readable HDF5 file ({error}): delete it and record again'
        ) from error


FORMAT = Format(
    name='hdf5',
    looks_like=f'a folder of {PATTERN}',
    claims=lambda path: bool(_files(path)),
    open=Hdf5Episodes,
    create=EpisodeWriter,
    recorded=recorded_indices,
)
