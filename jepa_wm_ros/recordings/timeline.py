# SPDX-License-Identifier: Apache-2.0
"""One pass over a bag: when each frame was taken and where the hand was then.

Frames themselves are not kept: a row of 80 bytes per frame is all that grows with the bag.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import quaternion_to_euler
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.bags.topics import POSE_READERS, ChosenTopics, closure_of

NS = 1_000_000_000
HISTORY = 5 * NS  # states kept while later frames may still ask for them
PATIENCE = 2 * NS  # a frame waits this long for the states around it [record time]
STATE_DISORDER = NS // 10  # states of two publishers on one topic may be this far out of order


@dataclass(frozen=True, slots=True)
class Timeline:
    """The frames of a bag, in record order.

    stamps and records (N,) int64 [ns]: header stamp (or record time) and record time.
    poses (N, 7): pose7 at the stamp, NaN where no state was near enough in time.
    clock (N,) int32: grows by one whenever the stamps jump back.
    """

    stamps: np.ndarray
    records: np.ndarray
    poses: np.ndarray
    clock: np.ndarray


class _Track:
    """Recent samples of one quantity by stamp; samples older than HISTORY are forgotten."""

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._samples: deque[tuple[int, object]] = deque()

    @property
    def newest(self) -> int | None:
        return self._samples[-1][0] if self._samples else None

    def add(self, stamp: int, value: object) -> None:
        if self._samples and stamp <= self._samples[-1][0]:
            return
        self._samples.append((stamp, value))
        while self._samples[0][0] < stamp - HISTORY:
            self._samples.popleft()

    def clear(self) -> None:
        self._samples.clear()

    def around(self, stamp: int) -> tuple | None:
        """The samples just before and after `stamp` as (t0, v0, t1, v1); None beyond the gap."""
        index = bisect_left(self._samples, stamp, key=lambda sample: sample[0])
        if index < len(self._samples) and self._samples[index][0] == stamp:
            return (*self._samples[index], *self._samples[index])
        if index in (0, len(self._samples)):
            return None
        before, after = self._samples[index - 1], self._samples[index]
        if after[0] - before[0] > self._max_gap:
            return None
        return (*before, *after)


def interpolate_pose(t0: int, before: tuple, t1: int, after: tuple, stamp: int) -> np.ndarray:
    """pose6 at `stamp` between two (position, quaternion): linear, and along the shortest arc."""
    if t0 == t1:
        position, quaternion = before
    else:
        share = (stamp - t0) / (t1 - t0)
        position = (1 - share) * before[0] + share * after[0]
        quaternion = _slerp(before[1], after[1], share)
    return np.concatenate([position, quaternion_to_euler(quaternion)])


def _slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    cosine = float(first @ second)
    if cosine < 0:  # q and -q are the same rotation
        second, cosine = -second, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        return (1 - share) * first + share * second
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * second) / np.sin(angle)


class _Builder:
    """Turns the message stream into timeline rows, holding a few seconds of states."""

    def __init__(self, chosen: ChosenTopics, max_gap: int, findings: Findings, name: str) -> None:
        self._chosen = chosen
        self._findings = findings
        self._name = name
        self._poses = _Track(max_gap)
        self._closures = _Track(max_gap)
        self._tracks = [self._poses] + ([self._closures] if chosen.gripper else [])
        self._pending: deque[tuple[int, int]] = deque()
        self._newest: dict[str, int] = {}
        self._clock = 0
        self._jump = -NS  # record time of the last clock jump
        self._stamps, self._records, self._clocks = array('q'), array('q'), array('i')
        self._rows = array('d')

    def add(self, topic: str, record: int, message) -> None:
        stamp = self._stamp(topic, record, message)
        self._watch_clock(topic, stamp, record)
        chosen = self._chosen
        if topic == chosen.pose.name:
            pose = POSE_READERS[chosen.pose.kind](message)
            if pose is not None and np.isfinite(pose[0]).all() and np.linalg.norm(pose[1]) > 0.5:
                self._poses.add(stamp, pose)
            else:
                self._findings.fault(
                    'unusable pose',
                    f'{self._name}: {topic}: a pose that is not '
                    'finite, has no orientation or lacks joints',
                    where=topic,
                )
        if chosen.gripper and topic == chosen.gripper.name:
            closure = closure_of(message, chosen.gripper.kind, chosen.spec)
            if closure is not None:
                self._closures.add(stamp, closure)
        if topic == chosen.image.name:
            self._pending.append((stamp, record))
        self._settle(record)

    def _stamp(self, topic: str, record: int, message) -> int:
        header = getattr(message, 'header', None)
        if self._chosen.spec.stamps == 'record' or header is None:
            return record
        stamp = header.stamp.sec * NS + header.stamp.nanosec
        if stamp == 0:
            self._findings.notice(
                'no stamps',
                f'{self._name}: {topic}: header stamps are zero; record times are used',
                where=topic,
            )
            return record
        return stamp

    def _watch_clock(self, topic: str, stamp: int, record: int) -> None:
        newest = self._newest.get(topic, stamp)
        is_image = topic == self._chosen.image.name
        if stamp >= newest - (0 if is_image else STATE_DISORDER):
            self._newest[topic] = max(stamp, newest)
            return
        self._newest[topic] = stamp
        self._findings.fault(
            'clock back',
            f'{self._name}: {topic}: the clock jumps back {(newest - stamp) / NS:.3f}'
            f' s at record time {record / NS:.3f}; no clip spans the jump',
            where=topic,
        )
        # The clock of all topics jumps, but each is heard to do so at its next message.
        heard_of = record - self._jump < NS
        self._jump = record
        if is_image or not heard_of:
            self._settle(None)
        self._clock += is_image
        for track, source in (
            (self._poses, self._chosen.pose),
            (self._closures, self._chosen.gripper),
        ):
            if not heard_of or (source is not None and topic == source.name):
                track.clear()

    def _settle(self, record: int | None) -> None:
        """Give frames their states once those around them were heard, or never will be."""
        while self._pending:
            stamp, recorded = self._pending[0]
            heard = all(t.newest is not None and t.newest >= stamp for t in self._tracks)
            if not heard and record is not None and record - recorded < PATIENCE:
                return
            self._pending.popleft()
            self._stamps.append(stamp)
            self._records.append(recorded)
            self._clocks.append(self._clock)
            self._rows.extend(self._pose7(stamp))

    def _pose7(self, stamp: int) -> np.ndarray:
        around = self._poses.around(stamp)
        if around is None:
            return np.full(7, np.nan)
        pose = interpolate_pose(*around, stamp)
        if not self._chosen.gripper:
            return np.append(pose, 0.0)
        around = self._closures.around(stamp)
        if around is None:
            return np.full(7, np.nan)
        t0, before, t1, after = around
        return np.append(pose, before if stamp - t0 <= t1 - stamp else after)

    def finish(self) -> Timeline:
        self._settle(None)
        return Timeline(
            np.array(self._stamps, np.int64),
            np.array(self._records, np.int64),
            np.array(self._rows, np.float64).reshape(-1, 7),
            np.array(self._clocks, np.int32),
        )


def read_timeline(
    bag: Bag, chosen: ChosenTopics, max_gap: int, on_message: Callable[[], None] | None = None
) -> Timeline:
    """Read the whole bag once. States further than `max_gap` [ns] apart are not interpolated."""
    names = {chosen.image.name, chosen.pose.name}
    if chosen.gripper:
        names.add(chosen.gripper.name)
    builder = _Builder(chosen, max_gap, bag.findings, str(bag.path))
    counts = dict.fromkeys(names, 0)
    for topic, record, message in bag.messages(names):
        builder.add(topic, record, message)
        counts[topic] += 1
        if on_message:
            on_message()
    timeline = builder.finish()
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
