# SPDX-License-Identifier: Apache-2.0
"""A Franka arm through franky: one finite motion at a time, and its state at a steady rate.

A real arm and the simulated one (franky-sim) are told apart by nothing but their address.
Lengths in metres, angles in radians, poses of the hand TCP in the arm's base frame.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3, Arm
from jepa_wm_ros.robot.arm_state import ArmState
from jepa_wm_ros.robot.contact import GUARD, Contact, Guard, goes_down
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, one_line
from jepa_wm_ros.robot.ledger import Ledger, Permit
from jepa_wm_ros.robot.link import Link
from jepa_wm_ros.robot.motion import HALT_SECONDS, Mover, in_time
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.reader import StateReader
from jepa_wm_ros.robot.realtime import kernel_is_realtime
from jepa_wm_ros.robot.safety import WorkspaceError, joints_after, proximity_scale, step_scale

STOP_FACTOR = 0.5  # of the arm's full dynamics: a smooth stop within about two centimetres
SLOWEST = 0.1  # of the dynamics factor, beside a singularity or joint limit
RECOVER_SECONDS = 2.0


class FrankaArm:
    """One arm at one address. All methods may be called from any thread.

    model            whose joint limits slow the motions beside them
    dynamics_factor  part of the arm's limits used in motions; 0.1 keeps the TCP below 0.17 m/s
    realtime         'auto' (enforced where the kernel is real-time), 'enforce' or 'ignore'
    state_rate       readings per second
    collision_torque, collision_force   thresholds of the arm's own collision reflex [Nm], [N]
    guard            what straight motions that go down are bound to
    """

    def __init__(
        self,
        address: str,
        *,
        model: Arm = FR3,
        dynamics_factor: float = 0.1,
        realtime: str = 'auto',
        connect_timeout: float = 5.0,
        state_rate: float = 60.0,
        collision_torque: float = 20.0,
        collision_force: float = 30.0,
        guard: Guard = GUARD,
    ) -> None:
        if not 0.0 < dynamics_factor <= 1.0:
            raise JepaWmError(f'dynamics_factor is {dynamics_factor}: give a value in (0, 1]')
        if realtime not in ('auto', 'enforce', 'ignore'):
            raise JepaWmError(f'realtime is {realtime!r}: give auto, enforce or ignore')
        self.address = address
        self.model = model
        self.dynamics_factor = dynamics_factor
        self._enforce = realtime == 'enforce' or (realtime == 'auto' and kernel_is_realtime())
        self._connect_timeout = connect_timeout
        self._rate = state_rate
        self._thresholds = (collision_torque, collision_force)
        self._guard = guard
        self.touched = 0.0  # force [N] of the contact that ended the last straight motion; 0: none
        self._ledger = Ledger(address)
        self._link: Link | None = None
        self._mover: Mover | None = None
        self._reader: StateReader | None = None

    # Connection

    def connect(self) -> None:
        """Connect and wait for the first reading. Raises ArmError with one line."""
        link = Link.open(self.address, self._enforce, self._thresholds, self._connect_timeout)
        self.attach(link)

    def attach(self, link: Link) -> None:
        """Take an open connection into use, and wait for the first reading."""
        called = time.monotonic()
        self._ledger.absolve()
        self._link, self._mover = link, Mover(link, self._ledger)
        self._reader = StateReader(link, self._ledger, self._rate)
        ledger = self._ledger
        if not ledger.wait(lambda: ledger.lost or ledger.read_since(called), self._connect_timeout):
            raise self.fault or ArmError(
                ErrorKind.NETWORK, f'arm at {self.address} connects but sends no state'
            )

    def close(self) -> None:
        """Stop, stop reading, and let the arm go. Safe to call twice."""
        with contextlib.suppress(ArmError):  # told already; the connection ends in any case
            self.stop()
        self._let_go()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close(self._connect_timeout)
        self._reader = self._mover = self._link = None

    @property
    def fault(self) -> ArmError | None:
        """Why the arm refuses to move until `recover`, or None; the first reason stays."""
        return self._ledger.hindrance

    @property
    def stopped(self) -> ArmError | None:
        """That the arm was told to stop and has not recovered from it, or None."""
        return self._ledger.stopped

    def recover(self) -> bool:
        """Clear a fault or a latched stop; True when there was one. A ready arm is left alone.

        After a broken connection everything is rebuilt. Raises ArmError when that fails.
        """
        with self._ledger.recovery():
            return self._recover()

    def _recover(self) -> bool:
        link = self._link
        if link is None or self._ledger.lost:
            self._let_go()
            self.connect()
            return True
        self._ledger.newer()
        if self.fault is None:
            return False
        if not self._ledger.healthy:
            self._clear_errors(link)
        # What a forcibly ended motion left behind would be raised in the next one.
        in_time(lambda: link.join(0.0), HALT_SECONDS)
        self._ledger.absolve()
        return True

    def _clear_errors(self, link: Link) -> None:
        try:
            link.clear()
        except Exception as error:  # whatever franky raises
            raise self._stuck(error) from error
        # (its answer may be of before the recovery)
        if not self._ledger.wait(lambda: self._ledger.healthy, RECOVER_SECONDS):
            raise self._stuck(', '.join(self._ledger.state().errors))

    def _stuck(self, why: object) -> ArmError:
        return ArmError(
            ErrorKind.REFLEX,
            f'arm at {self.address} cannot recover by itself ({one_line(why)}): release the user '
            'stop, check Desk and call ~/recover again',
        )

    # State

    def state(self) -> ArmState:
        """The newest reading (see its stamp). Raises ArmError before `connect`."""
        return self._ledger.state()

    def newer_state(self, timeout: float = 1.0) -> ArmState:
        """A reading newer than this call; the last one when none comes in time."""
        return self._ledger.newer(timeout)

    # Motion

    def permit(self, until: float = math.inf) -> Permit:
        """Permission to move, taken when a command is accepted; every stop makes it void."""
        return self._ledger.permit(until)

    def move_to(self, target: Pose, permit: Permit | None = None) -> bool:
        """Move in a straight line and wait until the arm rests; False when it was stopped.

        With a void `permit` nothing begins; without one it is taken now. `target` must have been
        through `safety.limit`: the simulated arm checks nothing. Slower near singularities and
        joint limits, and refused with WorkspaceError at them. Raises ArmError when the arm is
        busy, in a fault, or fails. On its way down the hand goes back up from what it presses on,
        and `touched` says so.
        """
        import franky

        self.touched = 0.0
        permit = self.permit() if permit is None else permit
        mover = self._fit_mover()
        goal, state = franky.Affine(target.position, target.quaternion), self.state()
        contact = Contact(self._guard.contact_force, state.vertical_force)

        def motion(factor: float):
            straight = franky.CartesianMotion(goal, relative_dynamics_factor=factor)
            return contact.watch(straight) if goes_down(state.pose, target) else straight

        factor = self.dynamics_factor * self._proximity(mover.link, target)
        done = mover.run(
            motion,
            lambda: franky.CartesianStopMotion(STOP_FACTOR),
            self._guard.speed(state.pose, target, factor),
            permit,
            target,
        )
        if contact.force:
            self.touched = contact.force
            self._ledger.stands_at(self.state().pose)
        return done

    def home(self, q: Sequence[float], permit: Permit | None = None) -> bool:
        """Joint motion to `q` (7,) [rad]; False when it was stopped. As `move_to` otherwise."""
        import franky

        permit = self.permit() if permit is None else permit
        goal = np.asarray(q, dtype=np.float64)
        return self._fit_mover().run(
            lambda factor: franky.JointMotion(goal, relative_dynamics_factor=factor),
            lambda: franky.JointStopMotion(STOP_FACTOR),
            self.dynamics_factor,
            permit,
        )

    def stop(self, latch: bool = False) -> bool:
        """End every motion and wait until the arm rests; False when it does not in time.

        Nothing that was permitted before begins any more; with `latch` nothing at all until
        `recover`. When the arm does not come to rest it is
        given its own stop command, and when that fails the connection is dropped, both within
        a second; the fault is raised then.
        """
        if self._mover is None:
            self._ledger.revoke(latch)
            return True
        return self._mover.stop(latch)

    def _fit_mover(self) -> Mover:
        self._ledger.check()
        if self._mover is None:
            raise ArmError(ErrorKind.NETWORK, f'arm at {self.address} is not connected')
        return self._mover

    def _proximity(self, link: Link, target: Pose) -> float:
        """Part of the dynamics factor for a step to `target`; WorkspaceError when none is left."""
        state = self.state()
        try:
            jacobian = link.jacobian(state.q)
            q = joints_after(state.q, jacobian, state.pose, target)
            then = proximity_scale(q, link.jacobian(q), self.model)
        except JepaWmError:
            raise
        except Exception as error:  # whatever franky raises; nothing has begun
            raise self._ledger.take(error) from error
        scale = step_scale(proximity_scale(state.q, jacobian, self.model), then)
        if scale <= 0.0:
            raise WorkspaceError(
                'the step leads to a joint limit or a singularity: ask for a '
                'target nearer to the middle of the workspace'
            )
        return max(scale, SLOWEST)
