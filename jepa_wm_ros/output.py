# SPDX-License-Identifier: Apache-2.0
"""What a process says can never hold it up.

A pipe that nobody reads, a terminal stopped by Ctrl-S or behind a dead connection, a full disk: a
write waits there, or fails. ROS logs through C's stdio with Python's interpreter lock held, so one
such write would stop every thread of a node, and with them the arm's stop. Here no write waits:
what does not fit is lost.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import io
import os
import stat
import sys
import threading

PIPE_BYTES = 1 << 20  # of lines that wait for their reader; what an ordinary user may ask for
LAST_WORDS_SECONDS = 0.5  # for them to be read when the process ends

_relays: list[_Relay] = []


def never_wait() -> None:
    """From now on no write to stdout or stderr, by Python or by C, waits; none by Python raises.

    For the entry points of processes, before anything is said. A pipe or terminal is opened anew
    for this process alone, since not to wait is a property of an open file, and others may share
    ours. What cannot be opened anew (a socket, another user's pipe) is written to by a thread. A
    write to a file does not wait; one that is closed becomes /dev/null, lest the next file that is
    opened be taken for it.
    """
    for fd in (1, 2):
        kind = _kind(fd)
        if kind is None:
            _put(os.open(os.devnull, os.O_WRONLY), fd)
        elif not stat.S_ISREG(kind):
            own = _opened_anew(fd)
            _put(_relayed(fd) if own is None else own, fd)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    sys.stdout, sys.stderr = _stream(1), _stream(2)


def flush() -> None:
    """Let the last words be read, where somebody reads; for the end, as it closes the output."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    while _relays:
        _relays.pop().close()


class _Lossy(io.FileIO):
    """A file whose writes never raise; what was not written is lost."""

    def write(self, data) -> int:
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)


class _Relay:
    """A pipe of this process, and the thread that waits, in its place, for who reads `fd`."""

    def __init__(self, fd: int) -> None:
        self._target = os.dup(fd)
        self.source = os.fstat(fd)
        self._exit, self.entry = os.pipe()
        _do_not_wait(self.entry)
        self._thread = threading.Thread(target=self._copy, name='output', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the pipe on this side and wait until the thread has read it to its end."""
        for fd in (1, 2):
            if os.path.samestat(os.fstat(fd), os.fstat(self.entry)):
                _put(os.open(os.devnull, os.O_WRONLY), fd)
        os.close(self.entry)
        self._thread.join(LAST_WORDS_SECONDS)

    def _copy(self) -> None:
        while data := os.read(self._exit, 1 << 16):
            with contextlib.suppress(OSError):  # its reader is gone
                while data:
                    data = data[os.write(self._target, data) :]


def _kind(fd: int) -> int | None:
    try:
        return os.fstat(fd).st_mode
    except OSError:  # closed
        return None


def _opened_anew(fd: int) -> int | None:
    try:
        own = os.open(f'/proc/self/fd/{fd}', os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    _do_not_wait(own)
    return own


def _relayed(fd: int) -> int:
    """An entry of the one relay for the file that `fd` is: stdout and stderr may be the same."""
    known = (relay for relay in _relays if os.path.samestat(relay.source, os.fstat(fd)))
    relay = next(known, None)
    if relay is None:
        relay = _Relay(fd)
        if not _relays:
            atexit.register(flush)
        _relays.append(relay)
    return os.dup(relay.entry)


def _do_not_wait(fd: int) -> None:
    os.set_blocking(fd, False)
    with contextlib.suppress(OSError):  # not a pipe, or all its user may have is in use
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _put(new: int, fd: int) -> None:
    """Let `fd` be what `new` is, also for the processes that this one starts."""
    os.dup2(new, fd)
    os.set_inheritable(fd, True)
    if new != fd:
        os.close(new)


def _stream(fd: int) -> io.TextIOWrapper:
    # No buffer in between: it would keep what it could not write, and raise.
    raw = _Lossy(fd, 'w', closefd=False)
    return io.TextIOWrapper(raw, encoding='utf-8', errors='backslashreplace', line_buffering=True)
