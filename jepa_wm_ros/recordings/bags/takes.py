# SPDX-License-Identifier: Apache-2.0
"""Takes: bags recorded one after the other into one folder, each kept or thrown away."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.bags.recording import read_recording
from jepa_wm_ros.recordings.bags.writer import BAG_VERSION, known_types
from jepa_wm_ros.recordings.clips import EVERY_STEP
from jepa_wm_ros.recordings.topics import Topic, TopicSpec

UNFINISHED = '.unfinished'  # where a take is until it has ended


class Takes:
    """The takes of a folder: `take_0000` and so on. Used by one thread at a time.

    A take is under its own name only when it is whole; what a crash left is removed by the next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[Path] = []  # by this object, in order
        self._writer: Writer | None = None
        self._path = folder

    @property
    def name(self) -> str:
        """The take that is being recorded; empty when none is."""
        return self._path.name if self._writer else ''

    def begin(self, topics: Iterable[Topic]) -> None:
        """Begin a take of these topics. Raises BagError when one is being recorded, or where none
        can be written.
        """
        if self._writer is not None:
            raise BagError(f'{self.name} is being recorded: stop it first')
        numbers = [int(path.name[5:]) for path in self.folder.glob('take_[0-9]*')]
        self._path = self.folder / UNFINISHED / f'take_{max(numbers, default=-1) + 1:04d}'
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        try:
            self._path.parent.mkdir(parents=True)
            writer = Writer(self._path, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
            writer.open()
            self._connections = {
                topic.name: writer.add_connection(topic.name, topic.kind, typestore=known_types())
                for topic in topics
            }
        except (OSError, WriterError) as error:
            raise BagError(f'no take can be written into {self.folder}: {error}') from error
        self._writer = writer

    def write(self, topic: str, stamp: int, message: bytes) -> None:
        """Add a serialised message, heard at `stamp` [ns]; nothing where no take is recorded.

        Raises BagError where it cannot be written; the take has ended then, and is thrown away.
        """
        if self._writer is None:
            return
        try:
            self._writer.write(self._connections[topic], stamp, message)
        except (OSError, WriterError) as error:
            name, self._writer = self.name, None
            raise BagError(f'{name} has ended and is lost: {error}') from error

    def end(self) -> Path:
        """End the take and keep it; returns its bag. Raises BagError when there is none."""
        writer, self._writer = self._writer, None
        if writer is None:
            raise BagError('no take is being recorded: start one first')
        bag = self.folder / self._path.name
        try:
            writer.close()
            self._path.rename(bag)
        except (OSError, WriterError) as error:
            raise BagError(f'{bag.name} has ended and is lost: {error}') from error
        self.kept.append(bag)
        return bag

    def discard(self) -> str:
        """Throw away the take that is being recorded, or else the last one that was kept; returns
        its name. Raises BagError when there is none.
        """
        if self._writer is None and not self.kept:
            raise BagError('there is no take to throw away')
        bag = self.end() if self._writer is not None else self.kept[-1]
        self.kept.pop()
        shutil.rmtree(bag, ignore_errors=True)
        return bag.name


def cadence(bag: Path, spec: TopicSpec) -> str:
    """How long a take is and how regular, in one line. Raises BagError for one of no use.

    Missing are pictures that a steady camera would have delivered; late are those that came more
    than a step after their stamp: a network or a computer that is too slow, or another clock.
    """
    told = read_recording(bag, spec, EVERY_STEP).coverage
    step = 1 / EVERY_STEP.rate
    return (
        f'{told.steps * step:.1f} s, {told.frames} pictures at {told.rate:.1f}/s, jitter '
        f'{1e3 * told.jitter:.0f} ms, {told.frames_dropped} missing, {told.frames_late} late, '
        f'{told.gaps} gaps, {told.frames_without_state} without a pose; {told.steps_usable} of '
        f'{told.steps} steps of {step:g} s can be used'
    )
