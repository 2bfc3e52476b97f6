# SPDX-License-Identifier: Apache-2.0
"""Error codes that travel between nodes: the constants of ReachGoal's result."""

from __future__ import annotations

from jepa_wm_msgs.action import ReachGoal

from jepa_wm_ros.errors import Interrupted, JepaWmError

Code = ReachGoal.Result


class Fault(JepaWmError):
    """A condition that ends a request or a goal with one of ReachGoal's error codes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: BaseException) -> int:
    """The error code that tells `error` to a client."""
    from jepa_wm_ros.ros_image import ImageError, UnsupportedEncodingError

    if isinstance(error, Fault):
        return error.code
    if isinstance(error, Interrupted):
        return Code.CANCELED
    if isinstance(error, UnsupportedEncodingError):
        return Code.UNSUPPORTED_ENCODING
    if isinstance(error, ImageError):
        return Code.BAD_IMAGE
    if isinstance(error, MemoryError) or 'out of memory' in str(error).lower():
        return Code.OUT_OF_MEMORY
    return Code.INTERNAL


def reply_fault(response, error: BaseException):
    """Put an error into a service response's error_code and error_msg, as one line."""
    response.error_code = code_of(error)
    text = str(error) if isinstance(error, JepaWmError) else f'{type(error).__name__}: {error}'
    response.error_msg = ' '.join(text.split())
    return response
