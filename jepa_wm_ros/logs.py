# SPDX-License-Identifier: Apache-2.0
"""Log files that stay small, and that nothing has to wait for or can fail with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

LOG_BYTES = 20_000_000  # of one file
KEPT_FOLDERS = 5  # temporary ones, of runs that an error ended
PREFIX = 'jepa_wm_ros_logs_'


class LogFile:
    """A file for the output of a process: at most `LOG_BYTES`, and no write to it raises."""

    def __init__(self, path: Path | None) -> None:
        """`path` as far as the file could be made; told once in one line when it could not."""
        self.path = path
        self._left = LOG_BYTES
        self._failed = False
        self._file = None
        if path is None:
            return
        try:
            self._file = path.open('wb', buffering=0)
        except OSError as error:
            self.path = None
            _tell(f'no log {path}: {_reason(error)}')

    def write(self, line: bytes) -> None:
        """Add a line, unless the file is at its limit or cannot be written now."""
        if self._file is None or self._left <= 0:
            return
        self._left -= len(line)
        if self._left <= 0:
            line = f'this log ends here: it has {LOG_BYTES / 1e6:g} MB\n'.encode()
        try:
            self._file.write(line)
        except OSError as error:
            if not self._failed:
                self._failed = True
                _tell(f'log {self.path} has gaps: {_reason(error)}')

    def close(self) -> None:
        """Close the file; safe to repeat."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


class LogFolder:
    """Where the log files of one run are: a given folder, or a temporary one.

    Temporary folders do not pile up: the newest `KEPT_FOLDERS` of this user stay, and those of
    runs that still go on, which hold a lock on theirs.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._temporary = path is None
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder; where that fails, as on a full disk, there are no logs."""
        try:
            if self._temporary:
                _remove_old()
                self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
                self._lock = _locked(self.path)
            elif self.path:
                self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _tell(f'no logs in {self.path or tempfile.tempdir or "/tmp"}: {_reason(error)}')
            self.path = None

    def file(self, name: str) -> LogFile:
        """The log file of the process called `name`."""
        return LogFile(self.path / f'{name}.log' if self.path else None)

    def close(self, keep: bool) -> None:
        """The run is over; a temporary folder is removed unless it is worth to `keep`."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._temporary and self.path and not keep:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path = None


def _remove_old() -> None:
    found = []
    for path in Path(tempfile.gettempdir()).glob(PREFIX + '*'):
        with contextlib.suppress(OSError):  # somebody else has removed it
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
                found.append((status.st_mtime_ns, path))
    for _, path in sorted(found, reverse=True)[KEPT_FOLDERS - 1 :]:  # ... and the one to be made
        with contextlib.suppress(OSError):  # in use, or gone
            lock = _locked(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """A lock on the folder that lasts as long as the returned file; OSError when it is taken."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr)
