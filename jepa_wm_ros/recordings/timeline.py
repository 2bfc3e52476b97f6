# SPDX-License-Identifier: Apache-2.0
"""One pass over a bag: when each frame was taken and where the hand was then.

Frames themselves are not kept: a row of 80 bytes per frame is all that grows with the bag.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.listener import Listener
from jepa_wm_ros.recordings.streams import NS, PATIENCE, Observation
from jepa_wm_ros.recordings.topics import ChosenTopics

NO_POSE = np.full(7, np.nan)
# Trouble that explains the numbers; where it costs frames, these are counted as such.
EXPLAINED = ('no stamps', 'no such frames', 'frames apart')


@dataclass(frozen=True, slots=True)
class Timeline:
    """The frames of a bag, in record order.

    stamps and records (N,) int64 [ns]: header stamp (or record time) and record time.
    poses (N, 7): pose7 at the stamp, NaN where the frame has no state (recordings/streams.py).
    clock (N,) int32: grows by one whenever the stamps jump back.
    """

    stamps: np.ndarray
    records: np.ndarray
    poses: np.ndarray
    clock: np.ndarray

    def seconds(self, frame: int) -> float:
        """How long after the first frame one was recorded [s]."""
        return int(self.records[frame] - self.records[0]) / NS


class _Rows:
    """Grows a timeline."""

    def __init__(self) -> None:
        self._stamps, self._records, self._clocks = array('q'), array('q'), array('i')
        self._poses = array('d')

    def add(self, frames: Iterable[Observation]) -> None:
        for frame in frames:
            self._stamps.append(frame.stamp)
            self._records.append(frame.heard)
            self._clocks.append(frame.clock)
            self._poses.extend(frame.state.pose7 if frame.state else NO_POSE)

    def timeline(self) -> Timeline:
        return Timeline(
            np.array(self._stamps, np.int64),
            np.array(self._records, np.int64),
            np.array(self._poses, np.float64).reshape(-1, 7),
            np.array(self._clocks, np.int32),
        )


def read_timeline(
    bag: Bag, chosen: ChosenTopics, max_gap: int, on_message: Callable[[], None] | None = None
) -> Timeline:
    """Read the whole bag once. States further than `max_gap` [ns] apart are not interpolated."""

    def report(kind: str, topic: str, what: str) -> None:
        note = bag.findings.notice if kind in EXPLAINED else bag.findings.fault
        note(kind, f'{bag.path}: {topic}: {what}', where=topic)

    listener, rows = Listener(chosen, max_gap, PATIENCE, report), _Rows()
    counts = {topic.name: 0 for topic in chosen.all}
    for topic, record, message in bag.messages(counts):
        rows.add(listener.hear(topic, message, record))
        counts[topic] += 1
        if on_message:
            on_message()
    rows.add(listener.streams.finish())
    timeline = rows.timeline()
    promised = chosen.image.count
    if counts[chosen.image.name] < promised:
        bag.findings.fault(
            'missing messages',
            f'{bag.path}: {chosen.image.name}: '
            f'{counts[chosen.image.name]} of {promised} recorded frames can be read',
        )
    if not len(timeline.stamps):
        raise BagError(f'{bag.path}: no frame of {chosen.image.name} can be read')
    return timeline
