# SPDX-License-Identifier: Apache-2.0
"""One motion at a time, from its permission to the arm's rest, and a stop that always stops.

A motion begins only with a permit that no stop has made void, also when it is tried again. A stop
is asked for in three steps, each taken when the one before fails or takes too long: a smooth stop
motion, the arm's own stop command, and breaking the connection off, upon which the arm ends its
motion by itself. The later steps are taken in the thread that asks, since the one that moves the
arm may hang in a call.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import enum
import threading
import time
from collections.abc import Callable, Iterator

from jepa_wm_ros.robot.arm_state import ArmState
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, one_line
from jepa_wm_ros.robot.ledger import Ledger, Permit
from jepa_wm_ros.robot.link import Link
from jepa_wm_ros.robot.pose import Pose

PLAN_ATTEMPTS = 3  # for one motion, see `Mover._attempts`
REPLAN_SLOWDOWN = 0.9  # of the dynamics factor, from one attempt to the next
MOTION_SECONDS = 60.0
FROZEN_SECONDS = 0.5  # between two looks at a motion: whoever wakes then does not go on with it
POLL_SECONDS = 0.01
STOP_SECONDS = 0.5  # on the arm's clock, for a stop motion; a stop from full speed takes half
HALT_SECONDS = 0.2  # for the arm's own stop command, and for any question while stopping
SETTLE_SECONDS = 0.4  # on the arm's clock: a starved simulation runs slower than the wall
SETTLE_WALL_SECONDS = 2.0


class Ending(enum.Enum):
    """How a motion ended."""

    DONE = 'done'
    STOPPED = 'stopped'
    NOT_BEGUN = 'not begun'  # its permit was void


class StopClock:
    """Says when a stop takes too long: by the arm's clock, or by the wall's while that stands."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._begun = self._newest = self._robot_time()
        self._seen = time.monotonic()

    def _robot_time(self) -> float:
        return self._ledger.reading.robot_time if self._ledger.reading else 0.0

    def expired(self) -> bool:
        """Whether the arm should stand by now."""
        now, wall = self._robot_time(), time.monotonic()
        if now != self._newest:
            self._newest, self._seen = now, wall
        return now - self._begun > STOP_SECONDS or wall - self._seen > STOP_SECONDS


class Mover:
    """Moves the arm at the other end of one link."""

    def __init__(self, link: Link, ledger: Ledger) -> None:
        self.link, self._ledger = link, ledger
        self._starting = threading.Lock()  # held from a permit's check to the start of its motion
        self._forcing = threading.Lock()
        self._thread = 0  # identity of the one that moves the arm

    # Moving

    def run(
        self,
        make_motion: Callable[[float], object],
        make_stop: Callable[[], object],
        factor: float,
        permit: Permit,
        target: Pose | None = None,
    ) -> bool:
        """Run `make_motion(dynamics factor)` until the arm rests; False when it was stopped.

        `make_stop()` makes the motion that stops it, a new one each time: franky refuses a used
        one. Raises ArmError.
        """
        with self._sole_motion():
            ending = self._attempts(make_motion, make_stop, factor, permit, target)
            if ending is Ending.NOT_BEGUN:
                return False
            state = self._settle()
            self._ledger.check()
            if ending is Ending.STOPPED or target is None:
                self._ledger.stands_at(state.pose)
            return ending is Ending.DONE

    @contextlib.contextmanager
    def _sole_motion(self) -> Iterator[None]:
        self._ledger.claim()
        self._thread = threading.get_ident()
        try:
            yield
        except BaseException:
            if self._ledger.running:  # by a mistake of this program
                self.force('its motion was given up')
            raise
        finally:
            self._ledger.release()

    def _attempts(self, make_motion, make_stop, factor, permit, target) -> Ending:
        """Ruckig now and then finds no trajectory from the exact state it is asked in
        (ErrorSynchronizationCalculation); nothing has moved then, and a slightly slower one from
        the next state is found."""
        for attempt in range(1, PLAN_ATTEMPTS + 1):
            looked = time.monotonic()  # who is frozen while a motion begins does not go on with it
            try:
                if not self._start(make_motion(factor), permit, target):
                    return Ending.NOT_BEGUN
                return self._follow(make_stop, permit, looked)
            except ArmError as error:
                if error.kind is not ErrorKind.PLANNER or attempt == PLAN_ATTEMPTS:
                    raise
            factor *= REPLAN_SLOWDOWN
            self._ledger.newer()
        raise AssertionError('unreachable')

    def _start(self, motion, permit: Permit, target: Pose | None) -> bool:
        with self._starting:
            if not self._ledger.begin(permit, target):
                return False
            self._guarded(self.link.start, motion)
            return True

    def _follow(self, make_stop, permit: Permit, looked: float) -> Ending:
        """Wait for the motion to end, stopping it when its permit is void, at a fault, or late.

        looked: time.monotonic() when somebody last saw to the arm.
        """
        deadline, clock = looked + MOTION_SECONDS, None
        try:
            while not self._guarded(self.link.join, POLL_SECONDS):
                now = time.monotonic()
                late = now > deadline
                if now - looked > FROZEN_SECONDS:
                    self._ledger.revoke()  # this process stood still, and nobody watched the arm
                looked = now
                if clock is None and (late or self._must_stop(permit)):
                    clock = StopClock(self._ledger)
                    if not self._stopped_itself:
                        self._guarded(self.link.start, make_stop())
                elif clock is not None and clock.expired():
                    self.force('the stop motion did not end')
                    break
        except ArmError as error:
            if clock is None or error.kind is not ErrorKind.PLANNER:
                raise  # (a stop motion without a trajectory ends franky's control: the arm stands)
        self._ledger.ended()
        if clock is not None and time.monotonic() > deadline:
            raise ArmError(
                ErrorKind.TIMEOUT,
                f'arm at {self._ledger.address} needed more than {MOTION_SECONDS:g} s for one '
                'motion and was stopped: check that nothing holds it',
            )
        return Ending.DONE if clock is None else Ending.STOPPED

    @property
    def _stopped_itself(self) -> bool:
        fault = self._ledger.fault
        return fault is not None and fault.kind is ErrorKind.REFLEX

    def _must_stop(self, permit: Permit) -> bool:
        return self._ledger.fault is not None or not self._ledger.permits(permit)

    def _settle(self) -> ArmState:
        """Wait until the measured joints rest: a position controller lags behind its command."""
        ledger = self._ledger
        ledger.restless()
        state = ledger.newer()
        begun, wall = state.robot_time, time.monotonic() + SETTLE_WALL_SECONDS
        while (
            not ledger.rest.resting
            and state.robot_time < begun + SETTLE_SECONDS
            and time.monotonic() < wall
            and ledger.fault is None
        ):
            state = ledger.newer()
        return state

    def _guarded(self, call: Callable, *args):
        """Call franky; what it raises becomes an ArmError, and by then the arm is not moving."""
        import franky

        try:
            return call(*args)
        except ArmError:
            raise
        except Exception as error:  # some of franky's are no franky.Exception
            if isinstance(error, franky.ControlException):
                self._ledger.newer(HALT_SECONDS)  # tells the names of the error flags
            fault = self._ledger.take(error)
            answered, moving = in_time(lambda: self.link.in_control, HALT_SECONDS)
            if answered and moving is False:
                self._ledger.ended()
            else:
                self.force(one_line(error))
                fault = self._ledger.fault or fault
            raise fault from error

    # Stopping

    def stop(self, latch: bool) -> bool:
        """End every motion and wait until the arm rests; False when it does not in time.

        Nothing that was permitted before begins any more, and with `latch` nothing at all. Raises
        the fault when the connection was lost or had to be dropped.
        """
        free = self._starting.acquire(timeout=HALT_SECONDS)  # not while a start hangs
        try:
            self._ledger.revoke(latch)
        finally:
            if free:
                self._starting.release()
        clock = StopClock(self._ledger)
        while not self._ledger.wait(lambda: not self._ledger.running, POLL_SECONDS):
            if self.link.dropped or clock.expired():
                self.force('it did not stop in time')
                break
        if self._ledger.lost:
            self._ledger.check()
        return self._ledger.wait(lambda: not self._ledger.moving, SETTLE_WALL_SECONDS)

    def force(self, why: str) -> None:
        """Stop the arm without a stop motion; nothing begins until it is recovered from."""
        ledger, address = self._ledger, self._ledger.address
        with self._forcing:
            if self.link.dropped:
                return
            known = ledger.lost  # then that is the reason, and what is done now only follows
            ledger.latch(
                ArmError(
                    ErrorKind.REFLEX,
                    f'arm at {address} did not stop as asked ({why}) and was given its own stop '
                    'command: see that it stands, then call ~/recover',
                )
            )
            answered, halted = in_time(self._halt, HALT_SECONDS)
            at_rest = answered and halted
            if at_rest and (self._mine or ledger.wait(lambda: not ledger.running, HALT_SECONDS)):
                ledger.ended()
                return
            self.link.drop()
            ledger.latch(
                ArmError(
                    ErrorKind.NETWORK,
                    f'arm at {address} did not stop as asked ({why}) nor at its own stop command: '
                    'the connection was dropped so that its reflex ends the motion; see that it '
                    'stands, then call ~/recover',
                ),
                last_word=not known,
            )

    @property
    def _mine(self) -> bool:
        """Whether this thread is the one that moves the arm: then no call of it is under way."""
        return threading.get_ident() == self._thread

    def _halt(self) -> bool:
        """The arm's own stop command; whether it has ended the motion."""
        self.link.halt()
        deadline = time.monotonic() + HALT_SECONDS
        while self.link.in_control and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)  # franky announces no end
        return not self.link.in_control


def in_time(function: Callable, seconds: float) -> tuple[bool, object]:
    """Whether `function()` returned within `seconds`, and what; one that hangs is left behind."""
    result: concurrent.futures.Future = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(function())
        except Exception as error:  # no answer either
            result.set_exception(error)

    threading.Thread(target=run, name='arm-in-time', daemon=True).start()
    try:
        return True, result.result(seconds)
    except Exception:  # too late, or it raised: who stops an arm needs an answer, not a reason
        return False, None
