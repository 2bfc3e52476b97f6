# SPDX-License-Identifier: Apache-2.0
"""The hand of a Franka arm: one command at a time, in a thread of its own.

Closure 0 is open, 1 is closed; width is `max_width * (1 - closure)` [m]. A command is never
preempted: the hand (and the simulated one in particular) may leave the first one unanswered for
ever. The newest command waits for its turn, older waiting ones are dropped.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any

from jepa_wm_ros.robot.faults import ArmError, ErrorKind, connect, one_line

SPEED = 0.1  # of the fingers [m/s]
GRASP_FORCE = 20.0  # [N]
GRASP_CLOSURE = 0.9  # from here on closing means to grasp whatever is there
NEAR = 0.002  # a width this near is where the fingers already are [m]
STATE_SECONDS = 1 / 30
POLL_SECONDS = 0.02
ANSWER_SECONDS = 5.0  # how long `recover` waits for a late answer
_IN_FLIGHT: list = []  # connections whose last command was never answered


class FrankaGripper:
    """The hand at an arm's address. All methods may be called from any thread."""

    def __init__(self, address: str, *, timeout: float = 3.0, connect_timeout: float = 5.0) -> None:
        self.address = address
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._hand: Any = None  # franky.Gripper
        self._unanswered = None  # future of a command that timed out
        self._worker: threading.Thread | None = None
        self._wake = threading.Condition()  # guards the fields below
        self._waiting: tuple[float, Future] | None = None
        self._closing = False
        self._closure = 0.0
        self._commanded: float | None = None
        self._max_width = self._speed = self._measured = 0.0
        self._failure: str | None = None

    @property
    def closure(self) -> float:
        """Measured closure, 0 open .. 1 closed; the last one known when the hand is lost."""
        return self._closure

    @property
    def commanded(self) -> float:
        """Last commanded closure, which fingers about a thing never come to; the measured one
        before the first command.
        """
        return self._closure if self._commanded is None else self._commanded

    @property
    def width(self) -> float:
        """Measured distance of the fingers [m]."""
        return self._max_width * (1.0 - self._closure)

    @property
    def speed(self) -> float:
        """Speed of the width [m/s]; positive opens."""
        return self._speed

    @property
    def patience(self) -> float:
        """The longest a request may take, with the command before it [s]."""
        return 2.0 * self._timeout + ANSWER_SECONDS

    @property
    def failure(self) -> str | None:
        """Why the last command failed, or None."""
        return self._failure

    def connect(self) -> None:
        """Connect and read the first width. Raises ArmError with one line."""
        import franky

        self.use(
            connect(
                lambda: franky.Gripper(self.address), 'gripper', self.address, self._connect_timeout
            )
        )

    def use(self, hand) -> None:
        """Take an open connection into use, and read the first width."""
        self._hand = hand
        self._failure = None
        self._closing = False
        self._measure()
        self._worker = threading.Thread(
            target=self._run, name=f'gripper-{self.address}', daemon=True
        )
        self._worker.start()

    def close(self) -> None:
        """End the thread; a running command is left to finish by itself. Safe to call twice."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join(self._timeout + self._connect_timeout)
        self._worker = None
        self._let_go()

    def recover(self) -> bool:
        """Connect anew when the last command failed or the hand was lost; True when it did."""
        if self._failure is None and self._worker is not None:
            return False
        if self._unanswered is not None:
            self._unanswered.wait(ANSWER_SECONDS)  # it may only have been slow
        self.close()
        self.connect()
        return True

    def _let_go(self) -> None:
        """End the connection, for the hand may serve one only; but with a command in flight that
        would end this process, so then the connection is kept aside until the process ends."""
        if self._unanswered is not None and not self._unanswered.wait(0.0):
            _IN_FLIGHT.append((self._hand, self._unanswered))
        self._hand = self._unanswered = None

    def request(self, closure: float) -> Future:
        """Ask for a closure; the future holds whether it was reached, or is cancelled by a newer
        request."""
        if not 0.0 <= closure <= 1.0:
            raise ArmError(ErrorKind.COMMAND, f'gripper closure {closure} is not within 0 .. 1')
        future: Future = Future()
        with self._wake:
            if self._worker is None or self._closing:
                future.set_result(False)
                return future
            if self._waiting is not None:
                self._waiting[1].cancel()
            self._waiting, self._commanded = (closure, future), closure
            self._wake.notify_all()
        return future

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing, STATE_SECONDS)
                if self._closing:
                    if self._waiting is not None:
                        self._waiting[1].cancel()
                        self._waiting = None
                    return
                task, self._waiting = self._waiting, None
            if task is None:
                if self._failure is None:
                    self._guarded(self._measure)
            elif task[1].set_running_or_notify_cancel():
                self._failure = None
                self._guarded(self._drive, task[0])
                task[1].set_result(self._failure is None)

    def _guarded(self, function, *args) -> None:
        try:
            function(*args)
        except Exception as error:  # the hand's own exception is no franky.Exception
            self._failure = (
                f'gripper at {self.address} failed ({one_line(error)}): free its '
                'fingers, check its cable and call ~/recover'
            )

    def _measure(self) -> float:
        state, before, now = self._hand.state, self.width, time.monotonic()
        self._speed = (state.width - before) / max(now - self._measured, POLL_SECONDS)
        self._max_width, self._measured = state.max_width, now
        self._closure = min(max(1.0 - state.width / state.max_width, 0.0), 1.0)
        return state.width

    def _drive(self, closure: float) -> None:
        if self._unanswered is not None and not self._unanswered.wait(0.0):
            self._failure = (
                f'gripper at {self.address} has not answered an earlier command: call ~/recover'
            )
            return
        self._unanswered = None
        width = self._max_width * (1.0 - closure)
        if abs(self._measure() - width) < NEAR:
            return
        if closure >= GRASP_CLOSURE:
            answer = self._hand.grasp_async(
                width, SPEED, GRASP_FORCE, self._max_width, self._max_width
            )
        else:
            answer = self._hand.move_async(width, SPEED)
        deadline = time.monotonic() + self._timeout
        while not answer.wait(POLL_SECONDS):
            self._measure()
            if time.monotonic() > deadline:
                self._unanswered = answer
                self._failure = (
                    f'gripper at {self.address} did not finish within '
                    f'{self._timeout:g} s: free its fingers and call ~/recover'
                )
                return
        self._measure()
        if not answer.get():
            self._failure = f'gripper at {self.address} was blocked before it got there'
