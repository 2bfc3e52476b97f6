# SPDX-License-Identifier: Apache-2.0
"""Memory that was used and is free again, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Have the C library hand back what is free in all its arenas, where it can.

    Pictures and candidates of many sizes, from several threads, leave gaps that it keeps
    otherwise. It takes some milliseconds.
    """
    with contextlib.suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
