# SPDX-License-Identifier: Apache-2.0
"""Targets: recordings in both storages, damaged as files and message by message."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fuzz.mutations import NUMBERS, damaged
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.bags.recording import read_frames, read_recording
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.topics import TopicSpec
from support.bags import make_bag

SETTINGS = ClipSettings(rate=4.0, horizon=1, stride=1)
PLUGINS = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}


class _Bags:
    storage: str
    variants: tuple[dict, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder / 'damaged'
        self.bags = []
        for number, options in enumerate(self.variants):
            path = make_bag(
                folder / f'whole{number}',
                seconds=1.0,
                image_hz=8.0,
                state_hz=16.0,
                size=(4, 4),
                storage=self.storage,
                **options,
            )
            self.bags.append({file.name: file.read_bytes() for file in path.iterdir()})
        self.raw = folder / 'whole0'
        self.types = get_typestore(Stores.ROS2_JAZZY)

    def prepare(self, rng: np.random.Generator):
        shutil.rmtree(self.folder, ignore_errors=True)
        if rng.random() < 0.4:
            self._write_messages(rng)
            return self._read
        files = self.bags[rng.integers(len(self.bags))]
        self.folder.mkdir()
        for name, data in files.items():
            is_metadata = name.endswith('.yaml')
            if rng.random() < (0.25 if is_metadata else 0.85):
                data = damaged(data, rng)
            if not is_metadata or rng.random() < 0.6:
                (self.folder / name).write_bytes(data)
        return self._read

    def _write_messages(self, rng: np.random.Generator) -> None:
        """A whole bag in which some messages are damaged."""
        with (
            Reader(self.raw) as whole,
            Writer(self.folder, version=8, storage_plugin=PLUGINS[self.storage]) as out,
        ):
            made = {
                c.id: out.add_connection(c.topic, c.msgtype, typestore=self.types)
                for c in whole.connections
            }
            for connection, time, raw in whole.messages():
                data = damaged(bytes(raw), rng) if rng.random() < 0.3 else raw
                if rng.random() < 0.03:
                    time = NUMBERS[rng.integers(len(NUMBERS))] & ((1 << 63) - 1)
                out.write(made[connection.id], time, data)

    def _read(self) -> None:
        recording = read_recording(self.folder, TopicSpec(), SETTINGS)
        with Bag(self.folder, Findings()) as bag:
            read_frames(bag, recording, range(len(recording.timeline.stamps)))


class McapBags(_Bags):
    storage = 'mcap'
    variants = (
        {},
        {'compression': 'storage'},
        {'compression': 'message', 'images': 'jpeg'},
        {'compression': 'file'},
    )


class SqliteBags(_Bags):
    storage = 'sqlite3'
    variants = ({}, {'compression': 'message'}, {'images': 'png'}, {'compression': 'file'})
