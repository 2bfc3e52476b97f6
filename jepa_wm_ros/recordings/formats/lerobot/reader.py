# SPDX-License-Identifier: Apache-2.0
"""Episodes read from a data set of LeRobot v3, whoever wrote it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource
from jepa_wm_ros.recordings.formats.lerobot.layout import ACTION, COUNTED, INFO, STATE
from jepa_wm_ros.recordings.video import VideoFrames

OPEN_TABLES = 4
_DAMAGE = (OSError, pa.ArrowException, LookupError, TypeError, ValueError, AttributeError)
UNEVEN = 0.1  # of a step: stamps further apart or closer are no steps


class LerobotEpisodes(EpisodeSource):
    """Episodes of a folder, seen by one of its cameras; other columns of numbers are extras."""

    def __init__(self, root: Path | str, camera: str = '') -> None:
        """Raises EpisodeError; `camera` may be empty where there is only one."""
        self.root = Path(root)
        self._info = self._read_info()
        self.camera = self._chosen(camera)
        self._episodes = self._read_index()
        self._table = lru_cache(OPEN_TABLES)(self._read_table)

    def __len__(self) -> int:
        return len(self._episodes)

    def where(self, number: int) -> str:
        return f'{self.root}, episode {number}'

    def __getitem__(self, number: int) -> Episode:
        told = self._episodes[number]
        with _readable(self.where(number)):
            rows = self._rows(told)
            return Episode(
                self._frames(number, rows),
                self._numbers(rows, STATE),
                self._numbers(rows, ACTION)[:-1],
                float(self._info['fps']),
                extras={name: self._numbers(rows, name) for name in self._extras()},
            )

    def _rows(self, told: dict) -> pa.Table:
        """The rows of an episode, one for each picture at its even time."""
        begin, count = told['dataset_from_index'], told['length']
        table = self._table(told['data/chunk_index'], told['data/file_index'])
        rows = table.slice(begin - table['index'][0].as_py(), count)
        if len(rows) != count or rows['episode_index'][0].as_py() != told['episode_index']:
            raise EpisodeError('its rows are not where the index has them: copy it again')
        stamps, fps = np.array(rows['timestamp'].to_pylist(), float), self._info['fps']
        uneven = np.abs(np.diff(stamps) * fps - 1.0) > UNEVEN
        if uneven.any():
            before, after = stamps[uneven.argmax() :][:2]
            raise EpisodeError(f'after {before:.3f} s comes {after:.3f} s at {fps} steps/s: a gap')
        return rows

    def _frames(self, number: int, rows: pa.Table) -> Any:
        told = self._episodes[number]
        size = tuple(self._info['features'][self.camera]['shape'])
        size = size[1:] if size[0] == 3 else size[:2]  # some describe (3, H, W)
        if self._info['features'][self.camera]['dtype'] == 'image':
            return StoredImages(rows[self.camera], size, self.where(number))
        key = f'videos/{self.camera}'
        path = self._info['video_path'].format(
            video_key=self.camera,
            chunk_index=told[f'{key}/chunk_index'],
            file_index=told[f'{key}/file_index'],
        )
        first = round(told[f'{key}/from_timestamp'] * self._info['fps'])
        return VideoFrames(self.root / path, first, told['length'], size)

    def _numbers(self, rows: pa.Table, name: str) -> np.ndarray:
        return np.array(rows[name].to_pylist(), np.float32).reshape(len(rows), -1)

    def _extras(self) -> list[str]:
        return [
            name
            for name, told in self._info['features'].items()
            if told['dtype'].startswith(('float', 'int')) and name not in (STATE, ACTION, *COUNTED)
        ]

    def _read_info(self) -> dict:
        path = self.root / INFO
        try:
            info = json.loads(path.read_text())
            version, features = info['codebase_version'], info['features']
            known = info['fps'] > 0 and info['data_path'] and isinstance(features, dict)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EpisodeError(f'{path}: describes no data set ({error!r})') from error
        if not str(version).startswith('v3.') or not known:
            raise EpisodeError(
                f'{path}: is of version {version}, v3 is read: convert it with '
                'python -m lerobot.scripts.convert_dataset_v21_to_v30'
            )
        for name in (STATE, ACTION):
            if name not in features:
                raise EpisodeError(f'{path}: has no column {name}, only {", ".join(features)}')
        return info

    def _chosen(self, camera: str) -> str:
        cameras = [
            name
            for name, told in self._info['features'].items()
            if told['dtype'] in ('video', 'image')
        ]
        if camera in cameras:
            return camera
        if camera or len(cameras) != 1:
            raise EpisodeError(
                f'{self.root}: name one of its cameras with --camera: '
                f'{", ".join(cameras) or "it has none"}'
            )
        return cameras[0]

    def _read_index(self) -> list[dict]:
        files = sorted((self.root / 'meta/episodes').glob('*/*.parquet'))
        rows: list[dict] = []
        for file in files:
            with _readable(file):
                schema = pq.read_schema(file)
                wanted = [name for name in schema.names if not name.startswith('stats/')]
                rows += pq.read_table(file, columns=wanted).to_pylist()
        if not rows:
            raise EpisodeError(f'{self.root}: lists no episode in meta/episodes')
        return rows

    def _read_table(self, chunk: int, file: int) -> pa.Table:
        path = self.root / self._info['data_path'].format(chunk_index=chunk, file_index=file)
        with _readable(path):
            return pq.read_table(path)


class StoredImages:
    """Pictures (n, H, W, 3) uint8 that lie beside the numbers, decoded when sliced."""

    dtype = np.dtype(np.uint8)

    def __init__(self, column: pa.ChunkedArray, size: tuple[int, ...], where: str) -> None:
        self.shape = (len(column), *size, 3)
        self._column, self._where = column, where

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> np.ndarray:
        numbers = range(len(self))[index]
        pictures = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        with _readable(self._where):
            for place, number in enumerate(numbers):
                with Image.open(io.BytesIO(self._column[number]['bytes'].as_py())) as image:
                    pictures[place] = np.asarray(image.convert('RGB'))
        return pictures


@contextmanager
def _readable(what: Path | str) -> Iterator[None]:
    """Turns what damaged or foreign files make pyarrow and us raise into an EpisodeError."""
    try:
        yield
    except EpisodeError as error:
        said = str(error)
        raise EpisodeError(said if str(what) in said else f'{what}: {said}') from error
    except _DAMAGE as error:
        short = ' '.join(f'{type(error).__name__}: {error}'.split())[:200]
        raise EpisodeError(f'{what}: cannot be read ({short}): copy it again') from error
