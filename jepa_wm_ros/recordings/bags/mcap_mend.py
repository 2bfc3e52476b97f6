# SPDX-License-Identifier: Apache-2.0
"""A truncated MCAP file, shown to rosbags as a complete one.

A recorder that was killed leaves a file without its closing index, and rosbags refuses it. The
records before the cut are whole. `MendedMcap` is a path whose `open()` gives those records
followed by an index built from them; nothing is copied and the file is not changed.
Format: https://mcap.dev/spec
"""

from __future__ import annotations

import io
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from jepa_wm_ros.bounded_file import BoundedFile
from jepa_wm_ros.recordings.bags.findings import BagError

MAGIC = b'\x89MCAP0\r\n'
_MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX, _STATISTICS = 0x05, 0x06, 0x07, 0x08, 0x0B
_DATA_END, _FOOTER = 0x0F, 0x02


@dataclass(slots=True)
class _Chunk:
    offset: int
    length: int
    start: int
    end: int
    uncompressed: int
    compression: bytes
    compressed: int
    indexes: dict[int, int] = field(default_factory=dict)  # channel -> offset of its index record
    index_length: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Whole top-level records of an MCAP file: where they end, its chunks, loose messages."""

    end: int
    chunks: list[_Chunk]
    loose_messages: int


def _records(file: BinaryIO, path: Path) -> Generator[tuple[int, int, int], None, int | None]:
    """(opcode, offset, length) of each whole top-level record up to the end of data or the cut.

    The file stands at the record's content when it is given. Returns the opcode of the record
    that the cut goes through, None where there is none.
    """
    size = path.stat().st_size
    if file.read(len(MAGIC)) != MAGIC:
        raise BagError(f'{path}: not an MCAP file (its first bytes are not the MCAP magic)')
    offset = file.tell()
    while len(head := file.read(9)) == 9:
        opcode, length = struct.unpack('<BQ', head)
        if opcode in (_DATA_END, _FOOTER) or offset + 9 + length > size:
            return opcode
        yield opcode, offset, 9 + length
        offset = file.seek(offset + 9 + length)
    return head[0] if head else None


def is_chunked(path: Path) -> bool:
    """Whether messages lie in chunks, so that a stretch of time is found without reading all."""
    with BoundedFile(path) as file:
        for opcode, _, _ in _records(file, path):
            if opcode in (_MESSAGE, _CHUNK):
                return opcode == _CHUNK
    return True


def scan(path: Path) -> Layout:
    """Walk the top-level records up to the end of data or the cut, without reading payloads."""
    chunks: list[_Chunk] = []
    loose, end, broken = 0, len(MAGIC), None
    with BoundedFile(path) as file:
        records = _records(file, path)
        while True:
            try:
                opcode, offset, length = next(records)
            except StopIteration as stop:
                broken = stop.value
                break
            end = offset + length
            if opcode == _CHUNK:
                chunks.append(_read_chunk(file, offset, length))
            elif opcode == _MESSAGE_INDEX and chunks:
                (channel,) = struct.unpack('<H', file.read(2))
                chunks[-1].indexes[channel] = offset
                chunks[-1].index_length += length
            elif opcode == _MESSAGE:
                loose += 1
    last = chunks[-1] if chunks else None
    if (
        last
        and end == last.offset + last.length + last.index_length
        and (broken in (None, _MESSAGE_INDEX))
    ):
        # The cut may have taken some of the last chunk's index records, and rosbags trusts them
        # to say which channels the chunk holds: leave that chunk out.
        end = chunks.pop().offset
    return Layout(end, chunks, loose)


def _read_chunk(file: BinaryIO, offset: int, length: int) -> _Chunk:
    start, stop, uncompressed, _crc, name_length = struct.unpack('<QQQII', file.read(32))
    compression = file.read(name_length)
    (compressed,) = struct.unpack('<Q', file.read(8))
    return _Chunk(offset, length, start, stop, uncompressed, compression, compressed)


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


def _closing(layout: Layout) -> bytes:
    """DataEnd, an index of the chunks, and the footer that points at it.

    The statistics are left empty: without schemas in the index, rosbags recounts by itself.
    """
    data_end = _record(_DATA_END, struct.pack('<I', 0))
    index = b''
    for chunk in layout.chunks:
        offsets = b''.join(struct.pack('<HQ', *item) for item in chunk.indexes.items())
        index += _record(
            _CHUNK_INDEX,
            b''.join(
                (
                    struct.pack('<QQQQ', chunk.start, chunk.end, chunk.offset, chunk.length),
                    struct.pack('<I', len(offsets)),
                    offsets,
                    struct.pack('<QI', chunk.index_length, len(chunk.compression)),
                    chunk.compression,
                    struct.pack('<QQ', chunk.compressed, chunk.uncompressed),
                )
            ),
        )
    if index:
        index += _record(_STATISTICS, struct.pack('<QHIIIIQQI', *[0] * 9))
    summary_start = layout.end + len(data_end) if index else 0
    return data_end + index + _record(_FOOTER, struct.pack('<QQI', summary_start, 0, 0)) + MAGIC


class _Spliced(io.RawIOBase):
    """The first `end` bytes of a file followed by `tail`."""

    def __init__(self, path: Path, end: int, tail: bytes) -> None:
        self._file = path.open('rb')
        self._end = end
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._end + len(self._tail),
        }[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer) -> int:
        if self._position < self._end:
            self._file.seek(self._position)
            data = self._file.read(min(len(buffer), self._end - self._position))
        else:
            start = self._position - self._end
            data = self._tail[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class MendedMcap:
    """A path to the readable part of a truncated MCAP file, as far as rosbags asks of a path."""

    suffix = '.mcap'

    def __init__(self, path: Path) -> None:
        self._path = path
        self.layout = scan(path)
        if not self.layout.chunks and not self.layout.loose_messages:
            raise BagError(
                f'{path}: truncated before the end of its first chunk of messages; '
                'nothing can be read as it is (`mcap recover` may find some)'
            )

    def __str__(self) -> str:
        return str(self._path)

    @property
    def stem(self) -> str:
        return self._path.stem

    def exists(self) -> bool:
        return self._path.exists()

    def is_dir(self) -> bool:
        return False

    def open(self, *_args, **_kwargs) -> BinaryIO:
        return BoundedFile(_Spliced(self._path, self.layout.end, _closing(self.layout)))
