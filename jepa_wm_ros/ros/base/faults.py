# SPDX-License-Identifier: Apache-2.0
"""Errors in service responses."""

from __future__ import annotations

from jepa_wm_ros.errors import JepaWmError, code_of


def reply_fault(response, error: BaseException):
    """Put an error into a service response's error_code and error_msg, as one line."""
    response.error_code = int(code_of(error))
    text = str(error) if isinstance(error, JepaWmError) else f'{type(error).__name__}: {error}'
    response.error_msg = ' '.join(text.split())
    return response
