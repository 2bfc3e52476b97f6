# SPDX-License-Identifier: Apache-2.0
"""Decompression that makes no more than may be held: a kilobyte can say that it is a gigabyte.

rosbags decompresses what it is given, however much comes of it; `bound_rosbags` gives it the
functions of this file instead.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import reader, storage_mcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES = 256 << 20  # of one message or chunk; recorders cut chunks at a few MiB
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


def zstd_bytes(raw: bytes, size: int = MAX_BYTES) -> bytes:
    """What a zstd frame holds, at most `size` bytes of it. Raises ValueError when it is more."""
    return _bounded(zstd.ZstdDecompressor(), raw, size)


def lz4_bytes(raw: bytes, size: int = MAX_BYTES) -> bytes:
    """What an lz4 frame holds, as `zstd_bytes`."""
    return _bounded(LZ4FrameDecompressor(), raw, size)


def message_bytes(raw: bytes) -> bytes:
    """A message, also one whose compression only the lost metadata.yaml would have told of."""
    return zstd_bytes(raw) if bytes(raw[:4]) == _ZSTD_MAGIC else raw


def bound_rosbags() -> None:
    """From now on rosbags decompresses messages and chunks within MAX_BYTES."""
    storage_mcap.DECOMPRESSORS.update(zstd=zstd_bytes, lz4=lz4_bytes)
    vars(reader)['zstd'] = SimpleNamespace(decompress=zstd_bytes, open=zstd.open)


def _bounded(decompressor, raw: bytes, size: int) -> bytes:
    limit = min(size, MAX_BYTES)
    made = decompressor.decompress(raw, max_length=limit + 1)
    if len(made) > limit:
        raise ValueError(f'compressed data holds more than the {limit} bytes it may')
    if not decompressor.eof:
        raise ValueError('compressed data is cut')
    return made
