# SPDX-License-Identifier: Apache-2.0
"""The root of every error this project raises on purpose, and the one list of fault codes."""

from __future__ import annotations

import enum
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec('P')


class FaultCode(enum.IntEnum):
    """Why a request or a goal ended; the constants of jepa_wm_msgs/action/ReachGoal's result.

    An error carries its code from the room that raises it to the client of the action.
    """

    SUCCEEDED = 0
    CANCELED = 1
    # limits of the goal
    MAX_STEPS = 10
    MAX_DURATION = 11
    NO_PROGRESS = 12
    # the goal itself
    EMPTY_GOAL = 20
    UNSUPPORTED_ENCODING = 21
    BAD_IMAGE = 22
    WRONG_ASPECT = 23
    TOO_MANY_GOALS = 24
    BAD_LIMITS = 25
    BUSY = 26
    # observation
    STALE_IMAGE = 30
    STALE_STATE = 31
    TF_ERROR = 32
    UNFAMILIAR_VIEW = 33
    # model and planner
    MODEL_OUTPUT_INVALID = 40
    PLANNING_TIMEOUT = 41
    OUT_OF_MEMORY = 42
    MODEL_LOST = 43
    UNKNOWN_ID = 44
    DEVICE_LOST = 45
    # arm
    WORKSPACE_LIMIT = 50
    ROBOT_REFLEX = 51
    CONTROLLER_LOST = 52
    COMMAND_REFUSED = 53
    ARM_MOVED = 54
    ARM_LOST = 55
    STOPPED = 56
    INTERNAL = 99

    @property
    def is_fault(self) -> bool:
        """Whether something went wrong: the goal was neither reached nor ended by its limits."""
        return self not in (
            FaultCode.SUCCEEDED,
            FaultCode.MAX_STEPS,
            FaultCode.MAX_DURATION,
            FaultCode.NO_PROGRESS,
        )

    @classmethod
    def _missing_(cls, value: object) -> FaultCode:
        return cls.INTERNAL  # a peer of a newer version may know more codes


class JepaWmError(Exception):
    """Bad input or a condition the user can mend.

    The message is one line that says what is wrong, where, and how to mend it. Entry points
    print it without a traceback and exit with status 1. `code` is what a client of the action or
    of a service is told; a subclass has one of its own, a single error may be given another.
    """

    code: FaultCode = FaultCode.INTERNAL

    def __init__(self, message: str, code: FaultCode | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Fault(JepaWmError):
    """A condition that ends a request or a goal."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message, FaultCode(code))


class Interrupted(JepaWmError):
    """Work was given up on the way because whoever wanted it has cancelled."""

    code = FaultCode.CANCELED


def code_of(error: BaseException) -> FaultCode:
    """The code that tells `error`, raised on purpose or not, to a client."""
    if isinstance(error, JepaWmError):
        return error.code
    return FaultCode.OUT_OF_MEMORY if isinstance(error, MemoryError) else FaultCode.INTERNAL


def exit_status(interrupted: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Decorator of a command's entry point, which returns its exit status: a JepaWmError is one
    line and status 1, Ctrl-C the line `interrupted` and status 130.
    """

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def ended(*args: P.args, **options: P.kwargs) -> int:
            try:
                return main(*args, **options)
            except JepaWmError as error:
                print(f'error: {error}', file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                print(interrupted, file=sys.stderr)
                return 130

        return ended

    return decorate
