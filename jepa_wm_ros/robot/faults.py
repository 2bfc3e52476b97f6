# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with an arm, in one line each: what, where, how to mend it."""

from __future__ import annotations

import concurrent.futures
import enum
import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from jepa_wm_ros.errors import FaultCode, JepaWmError

COMPATIBILITY = (
    'https://frankarobotics.github.io/docs/libfranka/docs/compatibility_with_images.html'
)
RETRY_SECONDS = 0.25  # between attempts at an arm that refuses
T = TypeVar('T')


class ErrorKind(enum.Enum):
    """What kind of trouble an `ArmError` is."""

    NETWORK = 'network'  # not answering, or the connection broke
    VERSION = 'version'  # firmware and libfranka do not fit
    REALTIME = 'realtime'  # a real-time kernel was asked for and there is none
    REFLEX = 'reflex'  # the arm stopped itself: collision, limit, user stop
    COMMAND = 'command'  # the arm refused a command in its present mode
    PLANNER = 'planner'  # no trajectory to the target; the arm did not move
    BUSY = 'busy'  # another motion is running
    TIMEOUT = 'timeout'  # a motion did not end in time
    STOPPED = 'stopped'  # a motion was stopped on request


CODES = {
    ErrorKind.NETWORK: FaultCode.ARM_LOST,
    ErrorKind.VERSION: FaultCode.ARM_LOST,
    ErrorKind.REALTIME: FaultCode.ARM_LOST,
    ErrorKind.REFLEX: FaultCode.ROBOT_REFLEX,
    ErrorKind.COMMAND: FaultCode.COMMAND_REFUSED,
    ErrorKind.PLANNER: FaultCode.COMMAND_REFUSED,
    ErrorKind.BUSY: FaultCode.COMMAND_REFUSED,
    ErrorKind.TIMEOUT: FaultCode.STOPPED,
    ErrorKind.STOPPED: FaultCode.STOPPED,
}


class ArmError(JepaWmError):
    """The arm or its gripper cannot do what was asked; `kind` says why."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message, CODES[kind])
        self.kind = kind


def one_line(error: object) -> str:
    """The text of an error without line breaks."""
    return ' '.join(str(error).split()) or type(error).__name__


def translate(error: Exception, address: str, flags: tuple[str, ...] = ()) -> ArmError:
    """The `ArmError` for an exception of franky; `flags` are the arm's active error flags.

    A state that tells of them may not have come yet; libfranka's text quotes them as well.
    """
    import franky

    text, arm = one_line(error), f'arm at {address}'
    if isinstance(error, franky.IncompatibleVersionException):
        return ArmError(
            ErrorKind.VERSION,
            f'{arm}: {text}; Franka Research 3 system >= 5.9.0 needs libfranka >= 0.18, >= 5.7.2 '
            '0.15, >= 5.7.0 0.14, >= 5.5.0 0.13: update the robot or install the franky-control '
            f'wheel built with the libfranka of its row in {COMPATIBILITY}',
        )
    if isinstance(error, franky.RealtimeException):
        return ArmError(
            ErrorKind.REALTIME,
            (f'{arm}: {text}; boot a PREEMPT_RT kernel or set the parameter realtime to ignore'),
        )
    if isinstance(error, franky.NetworkException) or 'Net Exception' in text:
        if 'refused' in text:
            return ArmError(
                ErrorKind.NETWORK,
                f'{arm} refuses the connection: check the address, start the simulated cell or, '
                'on a real arm, unlock the joints and activate FCI in Desk',
            )
        return ArmError(
            ErrorKind.NETWORK,
            f'{arm} lost the connection ({text}): check that it is powered and reachable, '
            'then call ~/recover',
        )
    if isinstance(error, franky.ControlException):
        names = flags or re.findall(r'"(\w+)"', text)
        raised = f' [{", ".join(names)}]' if names else ''
        return ArmError(
            ErrorKind.REFLEX,
            (f'{arm} is stopped{raised} ({text}): clear the cause, then call ~/recover'),
        )
    if not isinstance(error, RuntimeError):  # franky.Exception, and what is outside of it
        return ArmError(
            ErrorKind.COMMAND,
            f'{arm} refused the command ({text}): check its mode and the lights at its base, '
            'then call ~/recover',
        )
    return ArmError(
        ErrorKind.PLANNER,
        f'{arm} found no motion to the target ({text}): ask for a target nearer to it; if every '
        'target fails, its joints are outside their limits: guide it back by hand',
    )


def connect(factory: Callable[[], T], what: str, address: str, timeout: float) -> T:
    """Run a blocking connect and give up after `timeout` seconds with a one-line ArmError.

    An address that refuses is asked again until then: the arm may still be starting. libfranka
    waits a minute for an address that swallows packets, and for ever for an arm that already
    serves another program; the thread that waits is left behind.
    """
    result: concurrent.futures.Future = concurrent.futures.Future()
    given_up = threading.Event()
    deadline = time.monotonic() + timeout - RETRY_SECONDS

    def run() -> None:
        while True:
            try:
                result.set_result(factory())
            except Exception as error:
                refused = 'refused' in str(error) and time.monotonic() < deadline
                if refused and not given_up.wait(RETRY_SECONDS):
                    continue
                result.set_exception(error)  # handed to the waiting caller
            return

    threading.Thread(target=run, name=f'connect-{address}', daemon=True).start()
    try:
        return result.result(timeout)
    except concurrent.futures.TimeoutError:
        given_up.set()
        raise ArmError(
            ErrorKind.NETWORK,
            f'{what} at {address} did not answer within {timeout:g} s: check the address and the '
            'cable, and that no other program is connected to it',
        ) from None
    except Exception as error:
        raise translate(error, address) from error
