# SPDX-License-Identifier: Apache-2.0
"""Pictures as video: h264 in mp4, a key frame every other picture so that windows are read fast."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from jepa_wm_ros.recordings.episode import EpisodeError

KEY_FRAMES = 2  # pictures from one to the next; with 10 a random window costs half as much again
_DAMAGE = (av.error.FFmpegError, IndexError, ZeroDivisionError)  # no video, and no time in one
QUALITY = '18'  # constant rate factor; noise of about one grey level


def pixel_format(height: int, width: int) -> str:
    """How FFmpeg calls the pixels: colours at half the sides, where these are even."""
    return 'yuv420p' if height % 2 == width % 2 == 0 else 'yuv444p'


class VideoWriter:
    """Pictures (n, H, W, 3) uint8 RGB one after the other; a context manager."""

    def __init__(self, path: Path, height: int, width: int, fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self._container = av.open(str(path), 'w')
        self._stream = self._container.add_stream('libx264', rate=fps)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = pixel_format(height, width)
        self._stream.options = {'crf': QUALITY, 'g': str(KEY_FRAMES), 'bf': '0'}

    def write(self, pictures: np.ndarray) -> None:
        """Append pictures."""
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format='rgb24')
            self._container.mux(self._stream.encode(frame))
            self.count += 1

    def close(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()


class VideoFrames:
    """Pictures `first`, `first + step`, ... of a video: (count, H, W, 3) uint8, when sliced."""

    dtype = np.dtype(np.uint8)

    def __init__(
        self, path: Path, first: int, count: int, size: tuple[int, int], step: int = 1
    ) -> None:
        self.shape = (count, *size, 3)
        self._path, self._numbers = path, range(first, first + count * step, step)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> np.ndarray:
        wanted = self._numbers[index]
        pictures = read_pictures(self._path, wanted if wanted.step > 0 else wanted[::-1])
        if wanted and pictures.shape[1:] != self.shape[1:]:
            raise EpisodeError(
                f'{self._path}: its pictures are {pictures.shape[1:]}, not {self.shape[1:]}'
            )
        pictures = pictures.reshape(-1, *self.shape[1:])
        return pictures if wanted.step > 0 else pictures[::-1]


def read_pictures(path: Path, numbers: range) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8 RGB of a video by their numbers, which rise. Raises EpisodeError
    where it ends before, or cannot be read.
    """
    if not numbers:
        return np.empty((0, 0, 0, 3), np.uint8)
    found: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            ticks = 1 / (_rate(stream) * (stream.time_base or 0))  # of the clock, per picture
            container.seek(int(numbers[0] * ticks), stream=stream)
            for frame in container.decode(stream):
                if round((frame.pts or 0) / ticks) in numbers:
                    found.append(frame.to_ndarray(format='rgb24'))
                if len(found) == len(numbers):
                    return np.stack(found)
    except _DAMAGE as error:
        raise EpisodeError(f'{path}: no video that can be read ({error}): copy it again') from error
    raise EpisodeError(f'{path}: holds {len(found)} of {len(numbers)} pictures: it was cut')


def _rate(stream: av.VideoStream) -> Fraction:
    """Pictures a second."""
    return stream.average_rate or Fraction(0)


def video_size(path: Path) -> tuple[int, float, tuple[int, int]]:
    """How many pictures a video has, how many of them a second, and their height and width."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return stream.frames, float(_rate(stream)), (stream.height, stream.width)
    except _DAMAGE as error:
        raise EpisodeError(f'{path}: no video that can be read ({error}): copy it again') from error
