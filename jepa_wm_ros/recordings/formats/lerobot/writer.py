# SPDX-License-Identifier: Apache-2.0
"""Episodes written as a data set of LeRobot v3, which appears under its name when it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import whole
from jepa_wm_ros.recordings.formats.lerobot import layout
from jepa_wm_ros.recordings.formats.lerobot.layout import ACTION, CAMERA, COUNTED, STATE, place
from jepa_wm_ros.recordings.video import VideoWriter, pixel_format

LOOKED_AT = 16  # pictures of an episode that its statistics are of
MEGABYTE = 1 << 20


def write_lerobot(episodes: Iterable[Episode], out: Path, task: str, robot: str = 'franka') -> int:
    """Write episodes of one size and rate to the folder `out`, which must not be there; returns how
    many. Raises EpisodeError.
    """
    with whole(out) as part:
        return _Writer(part, task, robot).write(episodes)


class _Writer:
    def __init__(self, root: Path, task: str, robot: str) -> None:
        self.root, self.task, self.robot = root, task, robot
        self.told: list[dict] = []  # of each episode
        self.stats: list[dict] = []
        self.frames = 0
        self.features: dict = {}
        self.fps = 0
        self._rows: list[pa.Table] = []  # of the data file that is being filled
        self._data = self._videos = 0
        self._video: VideoWriter | None = None

    def write(self, episodes: Iterable[Episode]) -> int:
        try:
            for episode in episodes:
                self._add(episode)
        finally:
            self._end_video()
        if not self.told:
            raise EpisodeError('no episode to write')
        self._end_data()
        self._write_meta()
        return len(self.told)

    def _add(self, episode: Episode) -> None:
        self._check(episode)
        count = episode.steps + 1
        pictures = np.asarray(episode.frames[:])
        video, begun = self._film(pictures)
        numbers = {
            STATE: episode.proprio,
            ACTION: _per_frame(episode, episode.actions),
            **{name: _per_frame(episode, array) for name, array in episode.extras.items()},
        }
        number = len(self.told)
        counted = {
            'timestamp': np.arange(count) / self.fps,
            'frame_index': np.arange(count),
            'episode_index': np.full(count, number),
            'index': np.arange(self.frames, self.frames + count),
            'task_index': np.zeros(count),
        }
        columns = {name: _vectors(array) for name, array in numbers.items()}
        for name, kind in COUNTED.items():
            columns[name] = pa.array(counted[name].astype(kind))
        self._rows.append(pa.table(columns))
        self.stats.append(
            {name: _spread(array) for name, array in {**numbers, **counted}.items()}
            | {CAMERA: _spread_of(pictures)}
        )
        chunk, file = divmod(self._data, layout.FILES_PER_CHUNK)
        film_chunk, film = divmod(video, layout.FILES_PER_CHUNK)
        self.told.append(
            {
                'episode_index': number,
                'tasks': [self.task],
                'length': count,
                'dataset_from_index': self.frames,
                'dataset_to_index': self.frames + count,
                'data/chunk_index': chunk,
                'data/file_index': file,
                f'videos/{CAMERA}/chunk_index': film_chunk,
                f'videos/{CAMERA}/file_index': film,
                f'videos/{CAMERA}/from_timestamp': begun / self.fps,
                f'videos/{CAMERA}/to_timestamp': (begun + count) / self.fps,
                'meta/episodes/chunk_index': 0,
                'meta/episodes/file_index': 0,
            }
        )
        self.frames += count
        if sum(table.nbytes for table in self._rows) > layout.DATA_MEGABYTES * MEGABYTE:
            self._end_data()

    def _check(self, episode: Episode) -> None:
        height, width = episode.frames.shape[1:3]
        told = {
            CAMERA: layout.feature('video', (height, width, 3), ['height', 'width', 'channels']),
            STATE: layout.vector(episode.proprio.shape[1]),
            ACTION: layout.vector(episode.actions.shape[1]),
        }
        for name, array in sorted(episode.extras.items()):
            if array.ndim != 2 or '/' in name or name in {*told, *COUNTED}:
                raise EpisodeError(f'extra {name} {array.shape}: rows of numbers can be written')
            told[name] = layout.vector(array.shape[1])
        if episode.fps != round(episode.fps):
            raise EpisodeError(f'{episode.fps} steps/s: LeRobot counts whole ones')
        if self.told and (told, episode.fps) != (self.features, self.fps):
            raise EpisodeError(
                f'episode {len(self.told)} differs from those before it in size, rate or columns: '
                'write one recording at a time'
            )
        self.features, self.fps = told, round(episode.fps)

    def _film(self, pictures: np.ndarray) -> tuple[int, int]:
        """Append pictures to a video: its number, and that of the first of them in it."""
        path = self.root / place(layout.VIDEO_PATH, self._videos, video_key=CAMERA)
        if self._video is not None and path.stat().st_size > layout.VIDEO_MEGABYTES * MEGABYTE:
            self._end_video()
            self._videos += 1
            path = self.root / place(layout.VIDEO_PATH, self._videos, video_key=CAMERA)
        if self._video is None:
            height, width = pictures.shape[1:3]
            self._video = VideoWriter(path, height, width, self.fps)
        begun = self._video.count
        self._video.write(pictures)
        return self._videos, begun

    def _end_video(self) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def _end_data(self) -> None:
        if self._rows:
            self._save(pa.concat_tables(self._rows), place(layout.DATA_PATH, self._data))
            self._rows = []
            self._data += 1

    def _write_meta(self) -> None:
        columns = {key: [row[key] for row in self.told] for key in self.told[0]}
        for name, spread in self.stats[0].items():
            for what in spread:
                columns[f'stats/{name}/{what}'] = [s[name][what].tolist() for s in self.stats]
        self._save(pa.table(columns), place(layout.EPISODES_PATH, 0))
        self._save(_tasks(self.task), layout.TASKS)
        self._put(layout.STATS, {name: _over_all(self.stats, name) for name in self.stats[0]})
        self.features[CAMERA]['info'] = {
            'video.height': self.features[CAMERA]['shape'][0],
            'video.width': self.features[CAMERA]['shape'][1],
            'video.codec': 'h264',
            'video.pix_fmt': pixel_format(*self.features[CAMERA]['shape'][:2]),
            'video.is_depth_map': False,
            'video.fps': self.fps,
            'video.channels': 3,
            'has_audio': False,
        }
        counted = {n: layout.feature(kind, (1,), None) for n, kind in COUNTED.items()}
        self._put(
            layout.INFO,
            {
                'codebase_version': layout.VERSION,
                'robot_type': self.robot,
                'total_episodes': len(self.told),
                'total_frames': self.frames,
                'total_tasks': 1,
                'chunks_size': layout.FILES_PER_CHUNK,
                'data_files_size_in_mb': layout.DATA_MEGABYTES,
                'video_files_size_in_mb': layout.VIDEO_MEGABYTES,
                'fps': self.fps,
                'splits': {'train': f'0:{len(self.told)}'},
                'data_path': layout.DATA_PATH,
                'video_path': layout.VIDEO_PATH,
                'features': self.features | counted,
            },
        )

    def _save(self, table: pa.Table, path: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self.root / path)

    def _put(self, path: str, value: dict) -> None:
        (self.root / path).write_text(json.dumps(value, indent=4))


def _per_frame(episode: Episode, array: np.ndarray) -> np.ndarray:
    """With one row per frame: a zero one for the last where there was one per action."""
    if len(array) == episode.steps:
        return np.concatenate([array, np.zeros_like(array[:1])])
    return array


def _vectors(array: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(
        pa.array(array.astype(np.float32).ravel()), array.shape[1]
    )


def _spread(array: np.ndarray) -> dict[str, np.ndarray]:
    rows = array.reshape(len(array), -1).astype(np.float64)
    return {
        'min': rows.min(0),
        'max': rows.max(0),
        'mean': rows.mean(0),
        'std': rows.std(0),
        'count': np.array([len(rows)]),
    }


def _spread_of(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Of the colours of some pictures, from 0 to 1, in the shape (3, 1, 1)."""
    some = pictures[np.linspace(0, len(pictures) - 1, LOOKED_AT).round().astype(int)]
    spread = _spread(some.reshape(-1, 3) / 255.0)
    spread = {what: value.reshape(-1, 1, 1) for what, value in spread.items() if what != 'count'}
    return spread | {'count': np.array([len(some)])}


def _over_all(stats: list[dict], name: str) -> dict[str, list]:
    """The statistics of all episodes together."""
    each = {what: np.stack([s[name][what] for s in stats]) for what in stats[0][name]}
    count = each['count'].reshape(-1, *[1] * (each['mean'].ndim - 1))
    mean = (count * each['mean']).sum(0) / count.sum()
    variance = (count * (each['std'] ** 2 + (each['mean'] - mean) ** 2)).sum(0) / count.sum()
    all_of = {
        'min': each['min'].min(0),
        'max': each['max'].max(0),
        'mean': mean,
        'std': np.sqrt(variance),
        'count': np.array([count.sum()]),
    }
    return {what: value.tolist() for what, value in all_of.items()}


def _tasks(task: str) -> pa.Table:
    """The one task as pandas has it, whose index is the text."""
    index = {
        'index_columns': ['__index_level_0__'],
        'column_indexes': [],
        'columns': [
            {'name': 'task_index', 'field_name': 'task_index', 'pandas_type': 'int64',
             'numpy_type': 'int64', 'metadata': None},
            {'name': None, 'field_name': '__index_level_0__', 'pandas_type': 'unicode',
             'numpy_type': 'object', 'metadata': None},
        ],
        'pandas_version': '2.0.0',
    }  # fmt: skip
    table = pa.table({'task_index': pa.array([0], pa.int64()), '__index_level_0__': [task]})
    return table.replace_schema_metadata({'pandas': json.dumps(index)})
