# SPDX-License-Identifier: Apache-2.0
"""Pictures in an HDF5 file that others wrote, read when they are wanted."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from jepa_wm_ros.recordings.episode import EpisodeError


def open_file(path: Path) -> h5py.File:
    """The file, to read. Raises EpisodeError."""
    try:
        return h5py.File(path, 'r')
    except OSError as error:
        raise EpisodeError(
            f'{path} is not a readable HDF5 file ({error}): copy it again'
        ) from error


def damaged(where: Path | str, error: OSError) -> EpisodeError:
    """What to raise where a file opens, but not all that is in it can be read."""
    said = ' '.join(str(error).split())[:200]
    return EpisodeError(f'{where} is damaged ({said}): copy it again, or leave it out')


class StoredPictures:
    """Every n-th picture of a data set, (T + 1, H, W, 3) uint8, read when sliced."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, stored: h5py.Dataset, stride: int) -> None:
        """Raises EpisodeError where `stored`, of the file `path`, holds no pictures."""
        if stored.ndim != 4 or stored.dtype != np.uint8:
            raise EpisodeError(
                f'{stored.name} is {stored.dtype} {stored.shape}, not uint8 (T, H, W, 3)'
            )
        self._path, self._name = path, stored.name
        self._rows = range(0, len(stored), stride)
        self.shape = (len(self._rows), *stored.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> np.ndarray:
        wanted = self._rows[index]
        forward = wanted if wanted.step > 0 else wanted[::-1]
        with open_file(self._path) as file:
            try:
                read = file[self._name][forward.start : forward.stop : forward.step]
            except OSError as error:
                raise damaged(f'{self._path}:{self._name}', error) from error
        return read if wanted.step > 0 else read[::-1]
