# SPDX-License-Identifier: Apache-2.0
"""Files of strangers in which a length may claim anything: no more is ever asked than is there."""

from __future__ import annotations

import io
from pathlib import Path


class BoundedFile(io.BufferedReader):
    """A file to read in which a length beyond its end costs no memory: the read comes short.

    (A plain one makes room for as many bytes as it is asked for before it looks.)
    """

    def __init__(self, raw: Path | io.RawIOBase) -> None:
        """raw: where the file is, or something to seek and read in."""
        super().__init__(raw if isinstance(raw, io.RawIOBase) else io.FileIO(raw))
        self.size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, and no more than are left."""
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))
