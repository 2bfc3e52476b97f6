# SPDX-License-Identifier: Apache-2.0
"""Errors in service responses, and errors that nobody expected."""

from __future__ import annotations

import collections
import time
import traceback

from jepa_wm_ros.errors import JepaWmError, code_of

REPEAT_SECONDS = 1.0  # before the same line is logged again
MOST_LINES = 5  # within that time, of lines that differ: a number in them may


def one_line(error: BaseException) -> str:
    """An error as the one line a user reads."""
    text = str(error) if isinstance(error, JepaWmError) else f'{type(error).__name__}: {error}'
    return ' '.join(text.split())


def reply_fault(response, error: BaseException):
    """Put an error into a service response that can carry one: as a code, or as no success."""
    fields = response.get_fields_and_field_types()
    if 'error_code' in fields:
        response.error_code, response.error_msg = int(code_of(error)), one_line(error)
    elif 'success' in fields:
        response.success, response.message = False, one_line(error)
    return response


class ErrorLog:
    """Logs an unexpected error whole, but each only once; what users cause is one line, and a flood
    of it is thinned.
    """

    def __init__(self, logger) -> None:
        self._logger = logger
        self._seen: set[tuple] = set()
        self._told: collections.deque[tuple[float, str]] = collections.deque(maxlen=MOST_LINES)

    def tell(self, error: BaseException, where: str) -> None:
        """Log an error that was raised in `where`."""
        if isinstance(error, JepaWmError):
            return self._tell_line(f'{where}: {error}')
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = (where, type(error), *((frame.filename, frame.lineno) for frame in place))
        if key not in self._seen:
            self._seen.add(key)
            trace = ''.join(traceback.format_exception(error))
            self._logger.error(f'{where} failed; the same again is not logged:\n{trace}')

    def _tell_line(self, line: str) -> None:
        now = time.monotonic()
        recent = [said for when, said in list(self._told) if now - when < REPEAT_SECONDS]
        if line not in recent and len(recent) < MOST_LINES:
            self._logger.error(line)
            self._told.append((now, line))
