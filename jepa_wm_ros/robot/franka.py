# SPDX-License-Identifier: Apache-2.0
"""A Franka arm through franky: one finite motion at a time, and its state at a steady rate.

A real arm and the simulated one (franky-sim) are told apart by nothing but their address.
Lengths in metres, angles in radians, poses of the hand TCP in the arm's base frame.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3, Arm
from jepa_wm_ros.robot.arm_state import ArmMode, ArmState, Rest, interpret, to_pose
from jepa_wm_ros.robot.faults import ArmError, ErrorKind, connect, one_line, translate
from jepa_wm_ros.robot.pose import Pose
from jepa_wm_ros.robot.realtime import kernel_is_realtime
from jepa_wm_ros.robot.safety import WorkspaceError, joints_after, proximity_scale, step_scale

PLAN_ATTEMPTS = 3  # for one motion, see `_execute`
REPLAN_SLOWDOWN = 0.9  # of the dynamics factor, from one attempt to the next
STOP_FACTOR = 0.5  # of the arm's full dynamics: a smooth stop within about two centimetres
SLOWEST = 0.1  # of the dynamics factor, beside a singularity or joint limit
SETTLE_SECONDS = 0.4  # on the arm's clock: a starved simulation runs slower than the wall
SETTLE_WALL_SECONDS = 2.0
MOTION_SECONDS = 60.0
RECOVER_SECONDS = 2.0
POLL_SECONDS = 0.01
READ_FAILURES = 3  # failed readings in a row that count as a lost connection
GUIDED_DISTANCE = 0.005  # a resting arm further than this from its last command was moved by hand
GUIDED_ANGLE = np.deg2rad(1.0)


def _never() -> bool:
    return False


class FrankaArm:
    """One arm at one address. All methods may be called from any thread.

    dynamics_factor  part of the arm's limits used in motions; 0.1 keeps the TCP below 0.17 m/s
    realtime         'auto' (enforced where the kernel is real-time), 'enforce' or 'ignore'
    state_rate       readings per second
    collision_torque, collision_force   thresholds of the arm's own collision reflex [Nm], [N]
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
    ) -> None:
        if not 0.0 < dynamics_factor <= 1.0:
            raise JepaWmError(f'dynamics_factor is {dynamics_factor}: give a value in (0, 1]')
        if realtime not in ('auto', 'enforce', 'ignore'):
            raise JepaWmError(f'realtime is {realtime!r}: give auto, enforce or ignore')
        self.address = address
        self._arm = model
        self.dynamics_factor = dynamics_factor
        self._enforce = realtime == 'enforce' or (realtime == 'auto' and kernel_is_realtime())
        self._connect_timeout = connect_timeout
        self._period = 1.0 / state_rate
        self._thresholds = (collision_torque, collision_force)
        self._robot = None
        self._reader: threading.Thread | None = None
        self._closing = threading.Event()
        self._stop = threading.Event()
        self._fresh = threading.Condition()  # guards every field below
        self._state: ArmState | None = None
        self._moving = False
        self._rest = Rest()
        self._commanded: Pose | None = None
        self._fault: ArmError | None = None

    # -- connection ---------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect and wait for the first reading. Raises ArmError with one line."""
        import franky

        config = franky.RealtimeConfig.Enforce if self._enforce else franky.RealtimeConfig.Ignore

        def build() -> tuple:
            robot = franky.Robot(self.address, realtime_config=config)
            robot.set_collision_behavior(*self._thresholds)
            return robot, robot.state

        self._robot, reading = connect(build, 'arm', self.address, self._connect_timeout)
        self._frames = (reading.F_T_EE, reading.EE_T_K)
        called = time.monotonic()
        self._fault = None
        self._closing.clear()
        self._reader = threading.Thread(target=self._read, name=f'arm-{self.address}', daemon=True)
        self._reader.start()
        with self._fresh:
            if not self._fresh.wait_for(
                lambda: self._state and self._state.stamp > called, self._connect_timeout
            ):
                raise self._fault or ArmError(
                    ErrorKind.NETWORK, f'arm at {self.address} connects but sends no state'
                )

    def close(self) -> None:
        """Stop, stop reading, and let the arm go. Safe to call twice."""
        self.stop()
        self._closing.set()
        if self._reader is not None:
            self._reader.join(self._connect_timeout)
        self._reader = self._robot = None

    @property
    def fault(self) -> ArmError | None:
        """Why the arm refuses to move until `recover`, or None."""
        return self._fault

    @property
    def _lost(self) -> bool:
        return self._fault is not None and self._fault.kind is ErrorKind.NETWORK

    def recover(self) -> bool:
        """Clear a fault; True when there was one. Without a fault the arm is left alone.

        After a broken connection everything is rebuilt. Raises ArmError when that fails.
        """
        if self._robot is None or self._lost:
            self._closing.set()
            if self._reader is not None:
                self._reader.join(self._connect_timeout)
            self._robot = None
            self.connect()
            return True
        self._next_state()
        if self._fault is None:
            return False
        if not self._reads_healthy():
            self._clear_errors()
        with self._fresh:
            self._fault = None
        return True

    def _clear_errors(self) -> None:
        import franky

        try:
            self._robot.recover_from_errors()  # what it returns may be of before the recovery
        except (franky.Exception, RuntimeError) as error:
            raise self._stuck(error) from error
        with self._fresh:
            if not self._fresh.wait_for(self._reads_healthy, RECOVER_SECONDS):
                raise self._stuck(', '.join(self._state.errors))

    def _stuck(self, why: object) -> ArmError:
        return ArmError(
            ErrorKind.REFLEX,
            f'arm at {self.address} cannot recover by itself ({one_line(why)}): release the user '
            'stop, check Desk and call ~/recover again',
        )

    def _reads_healthy(self) -> bool:
        return self._state.mode is not ArmMode.FAULT and not self._state.errors

    # -- state --------------------------------------------------------------------------------

    def state(self) -> ArmState:
        """The newest reading (see its stamp). Raises ArmError before `connect`."""
        with self._fresh:
            state, fault, mode = self._state, self._fault, None
            if state is None:
                raise ArmError(ErrorKind.NETWORK, f'arm at {self.address} is not connected')
            if fault is not None:
                mode = ArmMode.DISCONNECTED if self._lost else ArmMode.FAULT
            elif self._moving and state.mode is ArmMode.IDLE:
                mode = ArmMode.MOVING
            return dataclasses.replace(state, mode=mode or state.mode, commanded=self._commanded)

    def _read(self) -> None:
        import franky

        robot, failures = self._robot, 0
        while not self._closing.wait(self._period):
            try:
                reading = robot.state
                measured = robot.model.pose(franky.Frame.EndEffector, reading)
            except (franky.Exception, RuntimeError) as error:
                failures += 1
                if isinstance(error, franky.NetworkException) or failures == READ_FAILURES:
                    self._lose(error)
                    return
                continue
            failures = 0
            with self._fresh:
                self._keep(interpret(reading, to_pose(measured)))

    def _keep(self, state: ArmState) -> None:
        """Take a new reading; called with `_fresh` held."""
        self._rest.watch(state)
        told, rests = self._commanded, self._rest.resting and not self._moving
        if told is None or (
            rests
            and (
                told.distance(state.pose) > GUIDED_DISTANCE or told.angle(state.pose) > GUIDED_ANGLE
            )
        ):
            self._commanded = state.pose
        if state.mode is ArmMode.FAULT and self._fault is None:
            self._fault = ArmError(
                ErrorKind.REFLEX,
                f'arm at {self.address} is stopped [{", ".join(state.errors)}]: clear the cause, '
                'then call ~/recover',
            )
        self._state = state
        self._fresh.notify_all()

    def _next_state(self, timeout: float = 1.0) -> ArmState:
        """A reading newer than this call; the last one when none comes in time."""
        called = time.monotonic()
        with self._fresh:
            self._fresh.wait_for(lambda: self._lost or self._state.stamp > called, timeout)
        return self.state()

    def _lose(self, error: Exception) -> None:
        with self._fresh:
            if not self._lost:
                self._fault = ArmError(
                    ErrorKind.NETWORK,
                    f'arm at {self.address} lost the connection ({one_line(error)}): check that '
                    'it is powered and reachable, then call ~/recover',
                )
            self._fresh.notify_all()

    def _take(self, error: Exception) -> ArmError:
        """Translate an exception of franky; all but a failed plan leave the arm in a fault."""
        with self._fresh:
            fault = translate(error, self.address, self._state.errors if self._state else ())
            if fault.kind is ErrorKind.PLANNER:
                return fault
            self._fault = self._fault or fault
            self._fresh.notify_all()
            return self._fault

    # -- motion -------------------------------------------------------------------------------

    def move_to(self, target: Pose, *, cancelled: Callable[[], bool] = _never) -> bool:
        """Move in a straight line and wait until the arm rests; False when it was stopped, by
        `stop` or because `cancelled()` became true.

        `target` must have been through `safety.limit`: the simulated arm checks nothing. Slower
        near singularities and joint limits, and refused with WorkspaceError at them. Raises
        ArmError when the arm is busy, in a fault, or fails.
        """
        import franky

        self._check_fit()
        goal = franky.Affine(target.position, target.quaternion)
        return self._execute(
            lambda factor: franky.CartesianMotion(goal, relative_dynamics_factor=factor),
            self.dynamics_factor * self._proximity(target),
            franky.CartesianStopMotion(STOP_FACTOR),
            cancelled,
            target,
        )

    def home(self, q: Sequence[float], *, cancelled: Callable[[], bool] = _never) -> bool:
        """Joint motion to `q` (7,) [rad]; False when it was stopped. Errors as in `move_to`."""
        import franky

        self._check_fit()
        goal = np.asarray(q, dtype=np.float64)
        return self._execute(
            lambda factor: franky.JointMotion(goal, relative_dynamics_factor=factor),
            self.dynamics_factor,
            franky.JointStopMotion(STOP_FACTOR),
            cancelled,
        )

    def stop(self, timeout: float = 5.0) -> bool:
        """End a running motion smoothly and wait until it has ended; False when it has not."""
        with self._fresh:
            if self._moving:
                self._stop.set()
            return self._fresh.wait_for(lambda: not self._moving, timeout)

    def _check_fit(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._robot is None:
            raise ArmError(ErrorKind.NETWORK, f'arm at {self.address} is not connected')

    def _proximity(self, target: Pose) -> float:
        """Part of the dynamics factor for a step to `target`; WorkspaceError when none is left."""
        import franky

        state, model, frame = self.state(), self._robot.model, franky.Frame.EndEffector
        jacobian = np.array(model.zero_jacobian(frame, state.q, *self._frames))
        q = joints_after(state.q, jacobian, state.pose, target)
        then = proximity_scale(q, np.array(model.zero_jacobian(frame, q, *self._frames)), self._arm)
        scale = step_scale(proximity_scale(state.q, jacobian, self._arm), then)
        if scale <= 0.0:
            raise WorkspaceError(
                'the step leads to a joint limit or a singularity: ask for a '
                'target nearer to the middle of the workspace'
            )
        return max(scale, SLOWEST)

    def _execute(
        self, make_motion, factor: float, stop_motion, cancelled, target: Pose | None = None
    ) -> bool:
        """Run `make_motion(dynamics factor)` to its end.

        Ruckig now and then finds no trajectory from the exact state it is asked in
        (ErrorSynchronizationCalculation); nothing has moved then, and a slightly slower one
        from the next state is found.
        """
        for attempt in range(1, PLAN_ATTEMPTS + 1):
            try:
                return self._run_motion(make_motion(factor), stop_motion, cancelled, target)
            except ArmError as error:
                if error.kind is not ErrorKind.PLANNER or attempt == PLAN_ATTEMPTS:
                    raise
            factor *= REPLAN_SLOWDOWN
            self._next_state()

    def _run_motion(self, motion, stop_motion, cancelled, target: Pose | None) -> bool:
        import franky

        with self._sole_motion(target):
            try:
                self._robot.move(motion, asynchronous=True)
                stopped = self._join(self._robot, stop_motion, cancelled)
            except (franky.Exception, RuntimeError) as error:
                if isinstance(error, franky.ControlException):
                    self._next_state()  # tells the names of the error flags
                raise self._take(error) from error
            state = self._settle()
            if self._fault is not None:
                raise self._fault
            if stopped or target is None:
                with self._fresh:
                    self._commanded = state.pose
            return not stopped

    @contextlib.contextmanager
    def _sole_motion(self, target: Pose | None):
        with self._fresh:
            if self._moving:
                raise ArmError(ErrorKind.BUSY, f'arm at {self.address} is moving: wait or stop it')
            self._moving = True
            self._stop.clear()
            self._commanded = target or self._commanded
        try:
            yield
        finally:
            with self._fresh:
                self._moving = False
                self._fresh.notify_all()

    def _join(self, robot, stop_motion, cancelled: Callable[[], bool]) -> bool:
        """Wait for the motion to end, stopping it when asked to; True when it was stopped."""
        stopped = late = False
        deadline = time.monotonic() + MOTION_SECONDS
        while not robot.join_motion(POLL_SECONDS):
            late = late or time.monotonic() > deadline
            if not stopped and (late or self._stop.is_set() or cancelled()):
                stopped = True
                robot.move(stop_motion, asynchronous=True)
        if late:
            raise ArmError(
                ErrorKind.TIMEOUT,
                f'arm at {self.address} needed more than {MOTION_SECONDS:g} s for one motion and '
                'was stopped: check that nothing holds it',
            )
        return stopped

    def _settle(self) -> ArmState:
        """Wait until the measured joints rest: a position controller lags behind its command."""
        with self._fresh:
            self._rest = Rest()
        state = self._next_state()
        begun, wall = state.robot_time, time.monotonic() + SETTLE_WALL_SECONDS
        while (
            not self._rest.resting
            and state.robot_time < begun + SETTLE_SECONDS
            and time.monotonic() < wall
            and self._fault is None
        ):
            state = self._next_state()
        return state
