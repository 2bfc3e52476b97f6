# SPDX-License-Identifier: Apache-2.0
"""Places for the output of a process that hold up, or fail, whoever writes there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import socket
import termios
from collections.abc import Iterator

from jepa_wm_ros.output import PIPE_BYTES


@contextlib.contextmanager
def unread_pipe() -> Iterator[int]:
    """A pipe, as large as it can be made, that is full and that nobody reads."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with _closing(reader, writer):
        yield _filled(writer)


@contextlib.contextmanager
def unread_socket() -> Iterator[int]:
    """A socket, such as a service manager gives, that nobody reads; it cannot be opened anew."""
    reader, writer = socket.socketpair()
    with reader, writer:
        yield _filled(writer.fileno())


@contextlib.contextmanager
def stopped_terminal() -> Iterator[int]:
    """A terminal after Ctrl-S."""
    reader, writer = pty.openpty()
    with _closing(reader, writer):
        termios.tcflow(writer, termios.TCOOFF)
        yield writer


@contextlib.contextmanager
def full_disk() -> Iterator[int]:
    """A file that no byte can be written to."""
    file = os.open('/dev/full', os.O_WRONLY)
    with _closing(file):
        yield file


@contextlib.contextmanager
def deserted_pipe() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with _closing(writer):
        yield writer


@contextlib.contextmanager
def _closing(*files: int) -> Iterator[None]:
    try:
        yield
    finally:
        for file in files:
            os.close(file)


def _filled(writer: int) -> int:
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b'.' * 4096)
    os.set_blocking(writer, True)
    return writer
