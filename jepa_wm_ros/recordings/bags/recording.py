# SPDX-License-Identifier: Apache-2.0
"""A bag as the evaluator sees it: clips with their poses, and the frames they need, on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_wm_ros import ros_image
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.choice import NAMED, choose_topics
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.clips import Clip, ClipSettings, Coverage, cut
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.timeline import Timeline, read_timeline
from jepa_wm_ros.recordings.topics import ChosenTopics, TopicSpec


@dataclass(frozen=True, slots=True)
class BagRecording:
    """One bag, read once: everything but its pictures. Small enough to send to a worker."""

    path: Path
    topics: ChosenTopics
    timeline: Timeline
    clips: list[Clip]
    coverage: Coverage
    findings: Findings

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that pictures, poses and closures are from."""
        chosen = self.topics.image, self.topics.pose, self.topics.gripper
        return tuple(topic.name for topic in chosen if topic)

    def open(self) -> BagPictures:
        """Its pictures."""
        return BagPictures(self)


class BagPictures:
    """The pictures of a bag, which is open until it is left."""

    def __init__(self, recording: BagRecording) -> None:
        self._recording, self._bag = recording, Bag(recording.path, Findings())

    def __enter__(self) -> BagPictures:
        return self

    def __exit__(self, *_exc) -> None:
        self._bag.close()

    @property
    def random_access(self) -> bool:
        """Whether some can be read without all before them."""
        return self._bag.random_access

    def read(self, frames: Sequence[int]) -> dict[int, np.ndarray | str]:
        """See `read_frames`."""
        return read_frames(self._bag, self._recording, frames)


def read_recording(
    path: Path | str,
    spec: TopicSpec,
    settings: ClipSettings,
    on_message: Callable[[], None] | None = None,
    named: Mapping[str, str] = NAMED,
) -> BagRecording:
    """Read the stamps and states of a bag and cut its clips. Raises BagError when none remain.

    `named` says how somebody can name the topic of each role.
    """
    findings = Findings()
    with Bag(path, findings) as bag:
        chosen = choose_topics(bag, spec, named)
        timeline = read_timeline(bag, chosen, round(NS * settings.state_gap), on_message)
    clips, coverage = cut(timeline, settings, chosen.image.count, str(path), findings)
    return BagRecording(Path(path), chosen, timeline, clips, coverage, findings)


def read_frames(
    bag: Bag, recording: BagRecording, frames: Sequence[int]
) -> dict[int, np.ndarray | str]:
    """Pictures (H, W, 3) uint8 RGB of timeline rows; the reason in place of an unreadable one.

    Reads the stretch of the bag between the first and the last of them.
    """
    records = recording.timeline.records
    wanted: dict[int, list[int]] = {}
    for frame in sorted(set(frames)):
        wanted.setdefault(int(records[frame]), []).append(frame)
    found: dict[int, np.ndarray | str] = {}
    image = recording.topics.image
    for message in bag.messages([image.name], min(wanted), max(wanted) + 1):
        if waiting := wanted.get(message.time):
            found[waiting.pop(0)] = _picture(message.content, recording.path)
    return {frame: found.get(frame, f'{recording.path}: frame {frame} is gone') for frame in frames}


def _picture(message, path: Path) -> np.ndarray | str:
    try:
        return ros_image.to_rgb8(message)
    except JepaWmError as error:
        return f'{path}: {error}'
