# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a data set of LeRobot v3, and what its columns are called."""

from __future__ import annotations

VERSION = 'v3.0'
INFO, STATS, TASKS = 'meta/info.json', 'meta/stats.json', 'meta/tasks.parquet'
FILES_PER_CHUNK = 1000
DATA_MEGABYTES, VIDEO_MEGABYTES = 100, 200  # the most in one file
_FILE = 'chunk-{chunk_index:03d}/file-{file_index:03d}'
EPISODES_PATH = f'meta/episodes/{_FILE}.parquet'
DATA_PATH = f'data/{_FILE}.parquet'
VIDEO_PATH = f'videos/{{video_key}}/{_FILE}.mp4'

STATE, ACTION, CAMERA = 'observation.state', 'action', 'observation.images.camera'
ARM = ('x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper')  # pose7, see jepa_wm_ros/actions.py
COUNTED = {  # columns that every data set has
    'timestamp': 'float32',
    'frame_index': 'int64',
    'episode_index': 'int64',
    'index': 'int64',
    'task_index': 'int64',
}


def place(template: str, number: int, **more: str) -> str:
    """The path of file `number` of its kind."""
    chunk, file = divmod(number, FILES_PER_CHUNK)
    return template.format(chunk_index=chunk, file_index=file, **more)


def feature(dtype: str, shape: tuple[int, ...], names) -> dict:
    """How a column is described in INFO."""
    return {'dtype': dtype, 'shape': list(shape), 'names': names}


def vector(size: int) -> dict:
    """The description of a column of `size` numbers; seven are those of an arm."""
    names = list(ARM) if size == len(ARM) else [f'{number}' for number in range(size)]
    return feature('float32', (size,), names)
