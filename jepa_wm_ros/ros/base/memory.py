# SPDX-License-Identifier: Apache-2.0
"""Memory that was used and is free again, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import re
from pathlib import Path

# Of Linux's map of a process: begin, end, and a file that DDS shares between processes.
SHARED = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) .* /dev/shm/fastrtps_\S+$', re.MULTILINE)


def give_back() -> None:
    """Let go of memory that is no longer used. It takes some milliseconds.

    The C library is to hand back what is free in all its arenas: pictures and candidates of many
    sizes, from several threads, leave gaps that it keeps otherwise. And the pages of DDS's shared
    memory that pictures once came in are no longer this process's: with every frozen reader they
    come from other places of the ring, until all of it would count as ours. Nothing is lost with
    them, who looks at one again has it back.
    """
    library = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # not glibc
        library.malloc_trim(0)
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for begin, end in SHARED.findall(Path('/proc/self/maps').read_text()):
            start = int(begin, 16)
            library.madvise(start, int(end, 16) - start, mmap.MADV_DONTNEED)
