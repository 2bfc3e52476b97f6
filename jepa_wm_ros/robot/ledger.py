# SPDX-License-Identifier: Apache-2.0
"""What is known of one arm, shared by the threads that read it, move it and stop it.

Whether a motion may begin is decided here, under one lock: a *permit* is taken when a command is
accepted, and every stop makes the permits given before it void. A fault is latched: the first
reason stays until it is recovered from, and nothing begins meanwhile. So is a stop that a person
asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from jepa_wm_ros.robot.arm_state import ArmMode, ArmState, Rest
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, translate
from jepa_wm_ros.robot.pose import Pose

GUIDED_DISTANCE = 0.005  # a resting arm further than this from its last command was moved by hand
GUIDED_ANGLE = np.deg2rad(1.0)


class Permit(NamedTuple):
    """Permission to move: void after a stop, and to begin by until a time.monotonic(). A process
    that was frozen after it had judged a command does not begin it when it wakes.
    """

    stops: int  # that there were when it was given
    until: float = math.inf


class Ledger:
    """Every field may be read at any time; changes go through the methods."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.reading: ArmState | None = None
        self.commanded: Pose | None = None  # last commanded hand TCP
        self.fault: ArmError | None = None
        self.moving = False  # a motion is under way, until the arm rests
        self.running = False  # franky was given a motion whose end is not known yet
        self.stopped: ArmError | None = None  # on request, until it is recovered from
        self.recovering = False
        self.rest = Rest()
        self._stops = 0
        self._latches = 0  # stops that latch
        self._recoverable = 0  # latches up to here are what the recovery was asked for
        self._news = threading.Condition()  # guards every field; notified at every change

    def state(self) -> ArmState:
        """The newest reading with what is known besides. Raises ArmError before there is one."""
        with self._news:
            if self.reading is None:
                raise ArmError(ErrorKind.NETWORK, f'arm at {self.address} is not connected')
            mode = self.reading.mode
            if self.recovering:
                mode = ArmMode.RECOVERING
            elif self.fault is not None:
                mode = ArmMode.DISCONNECTED if self.lost else ArmMode.FAULT
            elif self.moving:
                mode = ArmMode.MOVING
            elif self.stopped and mode is ArmMode.READY:
                mode = ArmMode.STOPPED
            return dataclasses.replace(
                self.reading, mode=mode, commanded=self.commanded or self.reading.pose
            )

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self.fault is not None and self.fault.kind is ErrorKind.NETWORK

    def check(self) -> None:
        """Raises the fault, if there is one."""
        if self.fault is not None:
            raise self.fault

    @property
    def hindrance(self) -> ArmError | None:
        """Why nothing may begin to move until `recover`, if so."""
        return self.fault or self.stopped

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for news that make `condition` true; whether they came in time."""
        with self._news:
            return self._news.wait_for(condition, timeout)

    def newer(self, timeout: float = 1.0) -> ArmState:
        """A reading newer than this call; the last one when none comes in time."""
        called = time.monotonic()
        self.wait(lambda: self.lost or self.read_since(called), timeout)
        return self.state()

    def read_since(self, stamp: float) -> bool:
        """Whether there is a reading newer than this time.monotonic()."""
        return self.reading is not None and self.reading.stamp > stamp

    # Permission to move

    def permit(self, until: float = math.inf) -> Permit:
        """Permission to move, until the next stop, and to begin until a time.monotonic()."""
        with self._news:
            return Permit(self._stops, until)

    def permits(self, permit: Permit) -> bool:
        """Whether no stop has come since a permit was given."""
        return permit.stops == self._stops

    def revoke(self, latch: bool = False) -> None:
        """Make every permit given so far void; with `latch` nothing begins until `absolve`."""
        with self._news:
            self._stops += 1
            self._latches += latch
            if latch and self.stopped is None:
                self.stopped = ArmError(
                    ErrorKind.STOPPED,
                    f'arm at {self.address} was told to stop: call ~/recover when it may move',
                )
            self._news.notify_all()

    def claim(self) -> None:
        """Begin to move. Raises ArmError when the arm moves, recovers, or is hindered."""
        with self._news:
            if self.hindrance is not None:
                raise self.hindrance
            if self.moving or self.recovering:
                doing = 'moving: wait or stop it' if self.moving else 'recovering: wait'
                raise ArmError(ErrorKind.BUSY, f'arm at {self.address} is {doing}')
            self.moving = True
            self._news.notify_all()

    def release(self) -> None:
        """What `claim` began has ended."""
        with self._news:
            self.moving = self.running = False
            self._news.notify_all()

    def begin(self, permit: Permit, target: Pose | None) -> bool:
        """Whether franky may be given a motion to `target` now; raises the fault if there is one.

        From here on a motion counts as running.
        """
        with self._news:
            self.check()
            if not self.permits(permit) or time.monotonic() > permit.until:
                return False
            self.running = True
            self.commanded = target or self.commanded
            return True

    def ended(self) -> None:
        """Franky moves the arm no longer."""
        with self._news:
            self.running = False
            self._news.notify_all()

    def stands_at(self, pose: Pose) -> None:
        """The last command was given up here."""
        with self._news:
            self.commanded = pose

    # What the arm says

    def keep(self, reading: ArmState) -> None:
        """Take a new reading."""
        with self._news:
            self.rest.watch(reading)
            told, rests = self.commanded, self.rest.resting and not self.moving
            if told is None or (
                rests
                and (
                    told.distance(reading.pose) > GUIDED_DISTANCE
                    or told.angle(reading.pose) > GUIDED_ANGLE
                )
            ):
                self.commanded = reading.pose
            if reading.mode is ArmMode.FAULT and self.fault is None:
                self.fault = ArmError(
                    ErrorKind.REFLEX,
                    f'arm at {self.address} is stopped [{", ".join(reading.errors)}]: clear the '
                    'cause, then call ~/recover',
                )
            self.reading = reading
            self._news.notify_all()

    def restless(self) -> None:
        """Judge anew whether the arm rests."""
        with self._news:
            self.rest = Rest()

    @property
    def healthy(self) -> bool:
        """Whether the newest reading tells of no error."""
        reading = self.reading
        return reading is not None and reading.mode is not ArmMode.FAULT and not reading.errors

    # Faults

    def take(self, error: Exception) -> ArmError:
        """Translate an exception of franky; all but a failed plan leave the arm in a fault."""
        fault = translate(error, self.address, self.reading.errors if self.reading else ())
        return fault if fault.kind is ErrorKind.PLANNER else self.latch(fault)

    def latch(self, fault: ArmError, last_word: bool = False) -> ArmError:
        """Hold a fault; the first one stays, but that the connection is gone is said in any case.

        last_word: nothing that happened before says more.
        """
        with self._news:
            lost = fault.kind is ErrorKind.NETWORK and not self.lost
            if self.fault is None or lost or last_word:
                self.fault = fault
            self._news.notify_all()
            return self.fault

    def absolve(self) -> None:
        """Fault and stop have been recovered from; a stop asked for meanwhile has not."""
        with self._news:
            self.fault = None
            if self._latches == self._recoverable:
                self.stopped = None
            self._news.notify_all()

    @contextlib.contextmanager
    def recovery(self) -> Iterator[None]:
        """What is done to recover. Raises ArmError while a motion or another recovery runs."""
        with self._news:
            if self.moving or self.recovering:
                raise ArmError(
                    ErrorKind.BUSY,
                    f'arm at {self.address} has a motion or a call under way: wait until it has '
                    'ended; restart the controller if it does not',
                )
            self.recovering, self._recoverable = True, self._latches
            self._news.notify_all()
        try:
            yield
        finally:
            with self._news:
                self.recovering = False
                self._news.notify_all()
