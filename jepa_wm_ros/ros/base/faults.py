# SPDX-License-Identifier: Apache-2.0
"""Errors in service responses, and errors that nobody expected."""

from __future__ import annotations

import math
import time
import traceback

from jepa_wm_ros.errors import JepaWmError, code_of

REPEAT_SECONDS = 1.0  # before the same line is logged again


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
    """Logs an unexpected error whole, but each only once; what users cause is one line."""

    def __init__(self, logger) -> None:
        self._logger = logger
        self._seen: set[tuple] = set()
        self._last = ('', -math.inf)

    def tell(self, error: BaseException, where: str) -> None:
        """Log an error that was raised in `where`."""
        if isinstance(error, JepaWmError):
            (before, when), now = self._last, time.monotonic()
            if str(error) != before or now - when > REPEAT_SECONDS:
                self._logger.error(f'{where}: {error}')
                self._last = (str(error), now)
            return
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = (where, type(error), *((frame.filename, frame.lineno) for frame in place))
        if key not in self._seen:
            self._seen.add(key)
            trace = ''.join(traceback.format_exception(error))
            self._logger.error(f'{where} failed; the same again is not logged:\n{trace}')
