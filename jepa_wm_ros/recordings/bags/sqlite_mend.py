# SPDX-License-Identifier: Apache-2.0
"""The readable part of a truncated rosbag2 SQLite file.

SQLite refuses a file shorter than its header says. Its own escape for that, `writable_schema`, is
used here on a read-only connection: rows are then read in the order they were recorded until the
first page that is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from jepa_wm_ros.recordings.bags.decompress import message_bytes
from jepa_wm_ros.recordings.bags.definitions import Definition, Definitions
from jepa_wm_ros.recordings.bags.findings import BagError, in_short

_FORMATS = {
    'ros2msg': MessageDefinitionFormat.MSG,
    'ros2idl': MessageDefinitionFormat.IDL,
    'unknown': MessageDefinitionFormat.NONE,
}


class TruncatedSqlite:
    """Topics and messages of a cut `.db3`; `messages` ends where the file does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with closing(self._connect()) as database:
                self._topics = {
                    identifier: (name, kind)
                    for identifier, name, kind in database.execute(
                        'SELECT id, name, type FROM topics'
                    )
                }
                self._definitions = Definitions(_definitions(database))
        except sqlite3.Error as error:
            raise BagError(
                f'{path}: the database is cut before its topic table ({in_short(error)}); '
                'nothing can be read'
            ) from error
        self._counts = dict.fromkeys(self._topics, 0)
        for identifier, _, _ in self._rows('NULL', None, None):
            self._counts[identifier] += 1

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Message type and readable message count of each topic."""
        return {
            name: (kind, self._counts[identifier])
            for identifier, (name, kind) in self._topics.items()
        }

    def messages(
        self, topics: Collection[str], start: int | None, stop: int | None
    ) -> Iterator[tuple[str, int, bytes]]:
        """(topic, record time [ns], raw message) of `topics` with start <= time < stop."""
        for identifier, time, data in self._rows('data', start, stop):
            name, _ = self._topics[identifier]
            if name in topics:
                yield name, time, data

    def deserialize(self, raw: bytes, kind: str) -> object:
        """The message of type `kind` in `raw`."""
        return self._definitions.deserialize(message_bytes(raw), kind)

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(f'file:{self.path}?mode=ro&immutable=1', uri=True)
        database.execute('PRAGMA writable_schema=ON')
        return database

    def _rows(
        self, payload: str, start: int | None, stop: int | None
    ) -> Iterator[tuple[int, int, bytes]]:
        # NOT INDEXED: the index of time stamps lies where the file was cut.
        query = (
            f'SELECT topic_id, timestamp, {payload} FROM messages NOT INDEXED '
            'WHERE timestamp >= ? AND timestamp < ? ORDER BY id'
        )
        with closing(self._connect()) as database:
            try:
                yield from database.execute(query, (start or 0, stop or (1 << 63) - 1))
            except sqlite3.DatabaseError:
                return  # the first page that was cut off


def _definitions(database: sqlite3.Connection) -> list[Definition]:
    """The message definitions that Iron and later store in the bag."""
    if not database.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'message_definitions'"
    ).fetchone():
        return []
    rows = database.execute(
        'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
    )
    return [
        Definition(kind, MessageDefinition(_FORMATS.get(encoding, _FORMATS['unknown']), text))
        for kind, encoding, text in rows
    ]
