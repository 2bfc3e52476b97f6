# SPDX-License-Identifier: Apache-2.0
"""Processes that live and end together, whatever becomes of the one that started them."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.logs import LogFile, LogFolder

NEXT_SECONDS = 2.0  # for one process to end before the next is asked
STOP_SECONDS = 8.0  # for all of them to end after SIGTERM; then SIGKILL
OUTPUT_SECONDS = 0.5  # for the last words of a process that ended
TAIL_LINES = 200  # of output kept to tell why a process ended: a traceback is long
LINE_BYTES = 1 << 16  # of output read at once, where no line ends before
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

_libc = ctypes.CDLL(None, use_errno=True)


class ProcessError(JepaWmError):
    """A process that could not be started or ended before it was asked to."""


class Startable(Protocol):
    """What a ProcessGroup starts."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables on top of the caller's."""

    def command(self) -> list[str]:
        """The executable and its arguments."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: exit status (negative: the signal), its last words, and the file with
    its output, where one could be written.
    """

    name: str
    status: int
    last_line: str
    log: Path | None

    def __str__(self) -> str:
        words = f': {self.last_line.removeprefix("error: ")}' if self.last_line else ''
        file = f' (its output: {self.log})' if self.log else ''
        return f'{self.name} ended {how_ended(self.status)}{words}{file}'


def how_ended(status: int) -> str:
    """Words for the status of a process that ended; that of a signal is negative."""
    return f'with status {status}' if status >= 0 else f'by {signal.Signals(-status).name}'


def cause(lines: Iterable[str]) -> str:
    """The line of a process's output that tells why it ended; empty without any output.

    The last that begins with `error: `, else the exception of the last traceback (libraries may
    have said good-bye after it), else the last line.
    """
    said = [line for line in lines if line.strip()]
    told = [line for line in said if line.startswith(('error: ', 'Fatal Python error: '))]
    if told:
        return told[-1]
    tracebacks = [at for at, line in enumerate(said) if line.startswith('Traceback (most recent')]
    if tracebacks:
        thrown = [line for line in said[tracebacks[-1] + 1 :] if not line[0].isspace()]
        if thrown:
            return thrown[0]
    return said[-1] if said else ''


class ProcessGroup:
    """Starts processes, notices the first that ends, and stops them all; a context manager.

    Each runs in a session of its own, so that Ctrl-C reaches only the caller, which then stops
    them in order, as it does when it is terminated: SIGTERM is a SystemExit inside the `with`. The
    kernel kills each one when the thread that started it dies, so start the group in the main
    thread. Output goes to `log_dir`/NAME.log and, with `echo`, to stderr with the name in front;
    what cannot be written, for whatever reason, is not, and no process ever waits for it (where
    stderr may block, see output.never_wait). Without a `log_dir` a temporary folder is made, which
    stays only when a process has ended by itself: then its error names the file.
    """

    def __init__(
        self, specs: Sequence[Startable], *, log_dir: Path | None = None, echo: bool = False
    ) -> None:
        self.specs = tuple(specs)
        self._logs = LogFolder(log_dir)
        self.first_end: Ended | None = None
        self._echo = echo
        self._children: list[_Child] = []
        self._change = threading.Condition()

    def __enter__(self) -> ProcessGroup:
        self._before = signal.getsignal(signal.SIGTERM)
        if self._before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit)
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stop()
        signal.signal(signal.SIGTERM, self._before)

    @property
    def log_dir(self) -> Path | None:
        """The folder of the output; None before the start, and where none could be made."""
        return self._logs.path

    def start(self) -> None:
        """Start all of them; when one cannot be started, none is left running."""
        commands = [(spec, spec.command()) for spec in self.specs]
        self._logs.open()
        try:
            for spec, command in commands:
                self._children.append(_Child(spec, command, self._logs.file(spec.name)))
        except BaseException:
            for child in self._children:
                child.kill()
            self._children.clear()
            self._logs.close(keep=False)
            raise
        for child in self._children:  # threads only now: a fork should not meet them
            child.watch(self._on_end, self._echo)

    def wait(self, timeout: float | None = None) -> Ended | None:
        """Wait for the first process to end; None when none did within `timeout` seconds."""
        with self._change:
            self._change.wait_for(lambda: self.first_end, timeout)
        return self.first_end

    def check(self) -> None:
        """Raise ProcessError when a process has ended."""
        if self.first_end:
            raise ProcessError(str(self.first_end))

    def pid(self, name: str) -> int:
        """Process id of the process called `name`."""
        return next(child.pid for child in self._children if child.name == name)

    def stop(self) -> None:
        """End all, the last started first: SIGTERM, at last SIGKILL. Safe to repeat.

        Not SIGINT, which a process that still imports its modules answers with a traceback.
        """
        children, undisturbed = self._children[::-1], self.first_end is None
        try:
            deadline = time.monotonic() + STOP_SECONDS
            for child in children:
                child.signal(signal.SIGTERM)
                child.wait(min(NEXT_SECONDS, deadline - time.monotonic()))
            for child in children:
                child.wait(deadline - time.monotonic())
        finally:  # also when a second Ctrl-C ends the patience above
            for child in children:
                child.kill()
            self._children.clear()
            self._logs.close(keep=not undisturbed)

    def _on_end(self, ended: Ended) -> None:
        with self._change:
            self.first_end = self.first_end or ended
            self._change.notify_all()


class _Child:
    """One process, its output and its end."""

    def __init__(self, spec: Startable, command: list[str], log: LogFile) -> None:
        self.name, self._log = spec.name, log
        self._tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self._watchers: list[threading.Thread] = []
        self._gone = threading.Event()
        # Held around anything that uses the process id: until it is reaped, the id is ours.
        self._id_lock = threading.Lock()
        self._reaped = False
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
                env={**os.environ, 'PYTHONUNBUFFERED': '1', **spec.environment},
            )
        except OSError as error:
            raise ProcessError(f'{spec.name} cannot be started: {error}') from None

    def watch(self, on_end, echo: bool) -> None:
        """Begin to read the output and to wait for the end, which is told to `on_end`."""
        reader = threading.Thread(target=self._read, args=(self._process.stdout, echo), daemon=True)
        waiter = threading.Thread(target=self._await_end, args=(reader, on_end), daemon=True)
        self._watchers = [reader, waiter]
        for thread in self._watchers:
            thread.start()

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its session."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        with self._id_lock:
            if not self._reaped:
                os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether the process is gone within `seconds`."""
        return self._gone.wait(max(seconds, 0.0))

    def kill(self) -> None:
        """Kill the process with its whole session; returns when it is gone."""
        with self._id_lock:
            if not self._reaped:
                os.killpg(self._process.pid, signal.SIGKILL)
        if not self._watchers:
            self._reap()
        self._gone.wait()

    def _read(self, output: IO[bytes], echo: bool) -> None:
        for line in iter(lambda: output.readline(LINE_BYTES), b''):
            self._log.write(line)
            text = line.decode(errors='replace')
            self._tail.append(text.rstrip())
            if echo:
                with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                    sys.stderr.write(f'[{self.name}] {text}')
        self._log.close()

    def _await_end(self, reader: threading.Thread, on_end) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._reap()
        reader.join(OUTPUT_SECONDS)
        on_end(Ended(self.name, self._process.returncode, cause(list(self._tail)), self._log.path))
        self._gone.set()

    def _reap(self) -> None:
        with self._id_lock:
            # What the process itself started must not outlive it either.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._reaped = True
        if not self._watchers:
            self._gone.set()


def _exit(number: int, _frame) -> None:
    sys.exit(128 + number)
