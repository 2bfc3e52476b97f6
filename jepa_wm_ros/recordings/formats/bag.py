# SPDX-License-Identifier: Apache-2.0
"""Episodes out of rosbags: a stretch of a bag without a hole is an episode, STEP_RATE steps/s.

Actions are what lead from one measured pose to the next (doc/reference/models.md, 4.6), however the
arm was moved: by hand, by a person far away, or by a planner. Topics are chosen as everywhere
(recordings/bags/choice.py), but for the camera, which may be named; what a bag lacks is told when
it is opened, and what is odd about it is a remark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.recordings.bags.bag import STORAGE_SUFFIXES, Bag
from jepa_wm_ros.recordings.bags.choice import NAMED
from jepa_wm_ros.recordings.bags.findings import Finding, Findings
from jepa_wm_ros.recordings.bags.recording import BagRecording, read_frames, read_recording
from jepa_wm_ros.recordings.clips import EVERY_STEP
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, Format
from jepa_wm_ros.recordings.topics import TopicSpec

LONGEST = 100  # steps of an episode
ALONE = 'leave one alone in the bag (ros2 bag convert)'


class BagEpisodes(EpisodeSource):
    """The episodes of a bag, or of all bags of a folder, as a camera saw them: an image topic."""

    def __init__(self, root: Path | str, camera: str = '') -> None:
        """Raises BagError; `camera` may be empty where there is only one."""
        self._places: list[tuple[_Recorded, Sequence[int]]] = []
        self._remarks: list[Finding] = []
        named = {**dict.fromkeys(NAMED, ALONE), 'image': 'name one with --camera'}
        for path in bags_in(Path(root)):
            spec = TopicSpec(image=camera)
            recorded = _Recorded(read_recording(path, spec, EVERY_STEP, named=named))
            self._places += [(recorded, frames) for frames in recorded.stretches()]
            self._remarks += recorded.recording.findings

    def __len__(self) -> int:
        return len(self._places)

    def where(self, number: int) -> str:
        recorded, frames = self._places[number]
        timeline = recorded.recording.timeline
        begin, end = (timeline.seconds(frame) for frame in (frames[0], frames[-1]))
        return f'{recorded.recording.path}, {begin:.2f} to {end:.2f} s'

    def remarks(self) -> list[Finding]:
        return self._remarks

    def __getitem__(self, number: int) -> Episode:
        recorded, frames = self._places[number]
        poses = recorded.recording.timeline.poses[list(frames)]
        return Episode(
            _Pictures(recorded, frames),
            poses.astype(np.float32),
            actions_between(poses).astype(np.float32),
            STEP_RATE,
        )


class _Recorded:
    """One bag: its stamps and poses are known, pictures are read when they are asked for."""

    def __init__(self, recording: BagRecording) -> None:
        self.recording = recording
        first = int(recording.clips[0].frames[0])
        self.shape = self.pictures([first]).shape[1:]

    def stretches(self) -> list[list[int]]:
        """Frames, one step apart, of every stretch without a hole, none longer than LONGEST."""
        found: list[list[int]] = []
        for clip in self.recording.clips:
            before, after = (int(frame) for frame in clip.frames)
            if found and found[-1][-1] == before and len(found[-1]) <= LONGEST:
                found[-1].append(after)
            else:
                found.append([before, after])
        return found

    def pictures(self, frames: Sequence[int]) -> np.ndarray:
        """Pictures (n, H, W, 3). Raises EpisodeError for one that cannot be read."""
        with Bag(self.recording.path, Findings()) as bag:
            found = read_frames(bag, self.recording, frames)
        if wrong := [said for said in found.values() if isinstance(said, str)]:
            raise EpisodeError(wrong[0])
        return np.stack([found[frame] for frame in frames])


class _Pictures:
    """The pictures of one episode, read from its bag when they are sliced."""

    __slots__ = ('_frames', '_recorded', 'dtype', 'shape')

    def __init__(self, recorded: _Recorded, frames: Sequence[int]) -> None:
        self._recorded, self._frames = recorded, np.array(frames)
        self.shape, self.dtype = (len(frames), *recorded.shape), np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index) -> np.ndarray:
        chosen = self._frames[index]
        found = self._recorded.pictures(np.atleast_1d(chosen).tolist())
        return found if chosen.ndim else found[0]


def bags_in(path: Path) -> list[Path]:
    """The bag that a path is, or those that lie in a folder; none when there are none."""
    if _is_bag(path):
        return [path]
    return sorted(filter(_is_bag, path.iterdir())) if path.is_dir() else []


def _is_bag(path: Path) -> bool:
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or any(map(_is_storage, path.iterdir()))
    return _is_storage(path)


def _is_storage(path: Path) -> bool:
    return path.is_file() and path.suffix in STORAGE_SUFFIXES


FORMAT = Format(
    name='bag',
    looks_like='a rosbag, or a folder of some',
    claims=lambda path: bool(bags_in(path)),
    open=BagEpisodes,
    cameras=True,
)
