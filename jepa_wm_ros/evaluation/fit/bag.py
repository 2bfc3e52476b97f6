# SPDX-License-Identifier: Apache-2.0
"""Short episodes out of a bag, of when its arm moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import POSITION
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.camera import SMALLEST_STEP
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.bags.recording import BagRecording, read_frames, read_recording
from jepa_wm_ros.recordings.clips import Clip, ClipSettings
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.topics import TopicSpec

MOST_STEPS = 48  # of a bag: more only takes longer


@dataclass(frozen=True, slots=True)
class Recorded:
    """Episodes, and how old their pictures were when they were heard (n,) [s]."""

    episodes: list[Episode]
    ages: np.ndarray


def read_episodes(path: Path, spec: TopicSpec, rate: float, horizon: int) -> Recorded:
    """Episodes of `horizon` steps at a rate [Hz], from all over a bag. Raises JepaWmError."""
    if not rate > 0:
        raise JepaWmError('the model has no step time: it cannot be compared with a recording')
    recording = read_recording(path, spec, ClipSettings(rate, horizon, horizon))
    clips = [clip for clip in recording.clips if _moves(clip)]
    count = max(1, MOST_STEPS // horizon)
    if len(clips) > count:
        clips = [clips[k] for k in np.linspace(0, len(clips) - 1, count).round().astype(int)]
    with Bag(path, Findings()) as bag:
        episodes = [e for clip in clips if (e := _episode(bag, recording, clip, rate)) is not None]
    if not episodes:
        raise BagError(f'{path}: nowhere does the hand move by a cm from one step to the next')
    timeline = recording.timeline
    return Recorded(episodes, (timeline.records - timeline.stamps) / NS)


def _moves(clip: Clip) -> bool:
    return bool(np.linalg.norm(clip.actions[:, POSITION], axis=1).max() >= SMALLEST_STEP)


def _episode(bag: Bag, recording: BagRecording, clip: Clip, rate: float) -> Episode | None:
    """The clip with its pictures; None where one of them cannot be read."""
    frames: Sequence[int] = [int(frame) for frame in clip.frames]
    found = read_frames(bag, recording, frames)
    pictures = [found[frame] for frame in frames]
    if any(isinstance(picture, str) for picture in pictures):
        return None
    return Episode(
        np.stack(pictures), clip.poses.astype(np.float32), clip.actions.astype(np.float32), rate
    )
