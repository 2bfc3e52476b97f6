# SPDX-License-Identifier: Apache-2.0
"""Open a rosbag2 recording whatever its state, and read its messages in constant memory.

sqlite3 and mcap, whole or cut, with or without `metadata.yaml`, message- or file-compressed. What
is missing or broken is noted in `Findings`; what can be read is read.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import apsw
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError

from jepa_wm_ros.bounded_file import BoundedFile
from jepa_wm_ros.recordings.bags.decompress import bound_rosbags, message_bytes, zstd
from jepa_wm_ros.recordings.bags.definitions import Definition, Definitions, admit_any_encoding
from jepa_wm_ros.recordings.bags.findings import BagError, Findings, in_short
from jepa_wm_ros.recordings.bags.mcap_mend import MendedMcap, is_chunked
from jepa_wm_ros.recordings.bags.sqlite_mend import TruncatedSqlite
from jepa_wm_ros.recordings.topics import Topic

STORAGE_SUFFIXES = ('.mcap', '.db3')

# What rosbags and the libraries below it (apsw, zstd, lz4) raise on damaged bytes.
_DAMAGE = (
    ReaderError,
    SerdeError,
    TypesysError,
    apsw.Error,
    zstd.ZstdError,
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    struct.error,
)


bound_rosbags()
admit_any_encoding()


class _Source(Protocol):
    """Part of a recording that opens at once: a bag directory or one storage file."""

    random_access: bool

    @property
    def topics(self) -> dict[str, tuple[str, int]]: ...

    def messages(
        self, topics: Collection[str], start: int | None, stop: int | None
    ) -> Iterator[tuple[str, int, bytes]]: ...

    def deserialize(self, raw: bytes, kind: str) -> object: ...

    def close(self) -> None: ...


class Message(NamedTuple):
    """A message, deserialised, with its topic and record time [ns]."""

    topic: str
    time: int
    content: object


class Bag:
    """The readable content of one recording. Use as a context manager."""

    def __init__(self, path: Path | str, findings: Findings) -> None:
        self.path = Path(path)
        self.findings = findings
        self._sources = _open_sources(self.path, findings)
        totals: dict[str, Topic] = {}
        for source in self._sources:
            for name, (kind, count) in source.topics.items():
                before = totals.get(name)
                totals[name] = Topic(name, kind, count + (before.count if before else 0))
        self.topics = totals
        self._note_events()
        if not any(topic.count for topic in totals.values()):
            self.close()
            raise BagError(
                f'{self.path}: holds no messages; record with '
                '`ros2 bag record <topics>` and stop it with Ctrl-C'
            )

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for source in self._sources:
            source.close()
        self._sources = []

    @property
    def random_access(self) -> bool:
        """Whether a short stretch of time can be read without reading all before it."""
        return all(source.random_access for source in self._sources)

    def messages(
        self, topics: Collection[str], start: int | None = None, stop: int | None = None
    ) -> Iterator[Message]:
        """Messages of `topics` recorded at start <= time < stop [ns], in record order."""
        return self._messages(topics, start, stop, self.findings)

    def first(self, topic: str, count: int) -> list:
        """The contents of up to `count` messages of a topic, the first ones. What cannot be read is
        left out and not noted: that is for who reads the bag.
        """
        known = self.topics[topic].count if topic in self.topics else 0
        messages = self._messages([topic], None, None, Findings())
        return [message.content for message in islice(messages, min(count, known))]

    def _messages(
        self, topics: Collection[str], start: int | None, stop: int | None, findings: Findings
    ) -> Iterator[Message]:
        for source in self._sources:
            kinds = {name: kind for name, (kind, _) in source.topics.items()}
            wanted = [name for name in topics if name in kinds]
            if not wanted:
                continue
            try:
                for name, time, raw in source.messages(wanted, start, stop):
                    content = self._decode(source, raw, name, kinds[name], findings)
                    if content is not None:
                        yield Message(name, time, content)
            except _DAMAGE as error:
                findings.fault(
                    'damaged',
                    f'{self.path}: reading stops at a damaged record ({in_short(error)}); '
                    'what follows in that file is lost',
                    where=str(self.path),
                )

    def _note_events(self) -> None:
        events = sorted(f'{t.name} ({t.kind})' for t in self.topics.values() if '/srv/' in t.kind)
        if events:
            self.findings.notice(
                'service events', f'{self.path}: events are not read: {", ".join(events)}'
            )

    def _decode(
        self, source: _Source, raw: bytes, name: str, kind: str, findings: Findings
    ) -> object | None:
        try:
            return source.deserialize(raw, kind)
        except _DAMAGE as error:
            findings.fault(
                'undecodable message',
                f'{self.path}: {name}: a {kind} cannot be decoded ({in_short(error)})',
                where=f'{self.path}{name}',
            )
            return None


class _BoundedPath(type(Path())):  # type: ignore[misc]
    """A path to files that open as BoundedFile: rosbags believes every length that it reads."""

    def open(self, mode: str = 'r', *args, **options):
        return BoundedFile(self) if mode == 'rb' else super().open(mode, *args, **options)


class _RosbagsSource:
    """What rosbags opens by itself."""

    def __init__(self, path, random_access: bool = True) -> None:
        self.random_access = random_access
        self._reader = Reader(_BoundedPath(path) if isinstance(path, Path) else path)
        self._reader.open()
        self._definitions = Definitions(
            Definition(c.msgtype, c.msgdef, c.digest) for c in self._reader.connections
        )

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        return {
            name: (info.msgtype or 'several types', info.msgcount)
            for name, info in self._reader.topics.items()
        }

    def messages(self, topics, start, stop):
        connections = [c for c in self._reader.connections if c.topic in topics]
        for connection, time, raw in self._reader.messages(connections, start, stop):
            yield connection.topic, time, raw

    def deserialize(self, raw: bytes, kind: str) -> object:
        return self._definitions.deserialize(message_bytes(raw), kind)

    def close(self) -> None:
        self._reader.close()


class _CutSqliteSource(TruncatedSqlite):
    random_access = True


def _open_sources(path: Path, findings: Findings) -> list[_Source]:
    if not path.exists():
        raise BagError(f'{path}: no such bag; give a bag directory or a .mcap or .db3 file')
    if path.is_file():
        if path.suffix not in STORAGE_SUFFIXES:
            raise BagError(f'{path}: not a bag; give a bag directory or a .mcap or .db3 file')
        return _open_files([path], path, findings)
    if (path / 'metadata.yaml').exists():
        try:
            return [_RosbagsSource(path, _chunked(_storage_files(path)))]
        except (*_DAMAGE, BagError) as error:
            findings.fault(
                'damaged',
                f'{path}: does not open as a whole ({in_short(error)}); its files are read one by '
                'one',
            )
    else:
        findings.fault(
            'missing metadata',
            f'{path}: metadata.yaml is missing (the recorder was '
            'killed?); its files are read directly, `ros2 bag reindex` writes a new one',
        )
    return _open_files(_storage_files(path), path, findings)


def _storage_files(directory: Path) -> list[Path]:
    """Storage files in recording order: name_0, name_1, … name_10."""
    files = [file for file in directory.iterdir() if file.suffix in STORAGE_SUFFIXES]
    return sorted(files, key=lambda file: (len(file.name), file.name))


def _chunked(files: list[Path]) -> bool:
    """Whether seeking by time is cheap: always in SQLite, in MCAP when it is chunked."""
    return all(file.suffix != '.mcap' or is_chunked(file) for file in files)


def _open_files(files: list[Path], path: Path, findings: Findings) -> list[_Source]:
    if not files:
        compressed = sorted(file.name for file in path.glob('*.zstd'))
        hint = f'; decompress {compressed[0]} first (zstd -d)' if compressed else ''
        raise BagError(f'{path}: holds no .mcap or .db3 file{hint}')
    sources = [source for file in files if (source := _open_file(file, findings))]
    if not sources:
        reasons = '; '.join(finding.message for finding in findings.faults[-len(files) :])
        raise BagError(f'nothing can be read: {reasons}')
    return sources


def _open_file(file: Path, findings: Findings) -> _Source | None:
    if file.stat().st_size == 0:
        findings.fault('empty file', f'{file}: zero length')
        return None
    try:
        return _RosbagsSource(file, _chunked([file]))
    except (*_DAMAGE, BagError) as error:
        reason = error
    try:
        if file.suffix == '.mcap':
            mended = MendedMcap(file)
            source: _Source = _RosbagsSource(mended, bool(mended.layout.chunks))
        else:
            source = _CutSqliteSource(file)
    except (*_DAMAGE, BagError) as error:
        findings.fault(
            'unreadable file',
            str(error) if isinstance(error, BagError) else f'{file}: {in_short(error)}',
        )
        return None
    tool = 'mcap recover' if file.suffix == '.mcap' else 'sqlite3 <file> .recover'
    findings.fault(
        'truncated',
        f'{file}: truncated ({in_short(reason)}); what lies before the cut is read, `{tool}` may '
        'find more',
    )
    return source
