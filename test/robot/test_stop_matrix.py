# SPDX-License-Identifier: Apache-2.0
"""A stop always stops: every call of franky, failing in every way, in every phase.

In each cell a stop is asked for while calls of one kind fail. Within a second of it the arm
stands, or its connection is dropped so that its own reflex ends the motion; and no motion begins
after it, also none of a command that was accepted before. The arm is the stand-in of
`support/scripted_arm.py`, since the real franky cannot be made to fail; a smaller set against it
and the simulated arm is in `test_stop_real.py`.
"""

import contextlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip('franky')

from jepa_wm_ros.robot.command import Record  # noqa: E402
from jepa_wm_ros.robot.driver import ArmDriver  # noqa: E402
from jepa_wm_ros.robot.faults import ArmError  # noqa: E402
from jepa_wm_ros.robot.franka import FrankaArm  # noqa: E402
from jepa_wm_ros.robot.gripper import FrankaGripper  # noqa: E402
from jepa_wm_ros.robot.link import Link  # noqa: E402
from jepa_wm_ros.robot.pose import Pose  # noqa: E402
from jepa_wm_ros.robot.safety import SafetyEnvelope  # noqa: E402
from support.scripted_arm import Script, ScriptedHand, ScriptedRobot  # noqa: E402

ARM_CALLS = (
    'move',
    'join_motion',
    'stop',
    'is_in_control',
    'state',
    'model',
    'recover_from_errors',
)
HAND_CALLS = ('gripper.state', 'gripper.move', 'gripper.grasp', 'gripper.wait')
ERRORS = ('RuntimeError', 'ControlException', 'NetworkException', 'MotionReuseException', 'hang')
PHASES = ('idle', 'moving', 'stopping', 'homing', 'gripper')
SINGLE = [
    ((call,), error, phase)
    for call, error, phase in itertools.product(ARM_CALLS + HAND_CALLS, ERRORS, PHASES)
]
# the smooth stop and what comes after it fail together
STOPPING = ('move', 'join_motion', 'stop', 'is_in_control')
SEVERAL = [
    (calls, error, phase)
    for count in (2, 3, 4)
    for calls in itertools.combinations(STOPPING, count)
    for error in ERRORS
    for phase in ('stopping', 'homing')
]
CELLS = SINGLE + SEVERAL
AT_ONCE = 24  # cells; nearly all they do is wait
TARGET = Pose.of([0.53, 0.0, 0.25], [1.0, 0.0, 0.0, 0.0])
PATIENCE = 8.0  # s for calls that hang to return, several in a row
LIMIT = 1.0  # s from the request to an arm that stands


class Lag:
    """How much later than asked for a thread of this loaded machine wakes up [s]."""

    def __init__(self):
        self.worst, self._over = 0.0, threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self._over.is_set():
            begun = time.monotonic()
            time.sleep(0.01)  # how late it returns is what is measured
            self.worst = max(self.worst, time.monotonic() - begun - 0.01)

    def end(self):
        self._over.set()
        return self.worst


def run_cell(number, calls, error, phase):
    """What is wrong with a cell; empty when it is kept. And the time until the arm stood."""
    script = Script()
    address = f'127.77.{number // 200}.{number % 200 + 1}'
    robot = ScriptedRobot(address, script)
    arm = FrankaArm(address, state_rate=30.0)
    arm.attach(Link(robot, robot, address))
    gripper = FrankaGripper(address, timeout=1.0)
    hand = ScriptedHand(script)
    gripper.use(hand)
    driver = ArmDriver(arm, gripper, SafetyEnvelope())
    begun, ended = threading.Event(), threading.Event()

    def job(permit):
        begun.set()
        try:
            if phase == 'homing':
                driver.drive_home([0.1] * 7, permit)
            elif phase == 'gripper':
                driver.drive_gripper(1.0 if 'gripper.grasp' in calls else 0.5, permit)
            else:
                driver.execute(Record(), TARGET, None, permit)
        except ArmError:
            pass
        finally:
            ended.set()
            script.poke()

    def fail():
        script.failing = dict.fromkeys(calls, error)

    if phase in ('idle', 'gripper'):
        fail()
    permit = driver.permit()
    worker = threading.Thread(target=job, args=(permit,), daemon=True)
    if phase != 'idle':
        worker.start()
        begun.wait()
        if phase != 'gripper':
            robot.began()
        if phase == 'moving':
            fail()
        # On its way, or in the call that hangs before it is.
        way = ('gripper.move', 'gripper.grasp') if phase == 'gripper' else ('join_motion',)
        script.until(lambda: script.called(*way) or ended.is_set(), 0.1)
        fail()
    asked = time.monotonic()
    stopper = threading.Thread(target=stop, args=(driver,), daemon=True)
    stopper.start()
    if phase == 'idle':  # accepted before the stop, its turn comes after
        stopper.join()
        worker.start()
    robot.rests(2 * LIMIT)
    stood = time.monotonic() - asked
    worker.join(PATIENCE)
    stopper.join(PATIENCE)
    wrong = []
    late = [when - asked for when in robot.begun if when > asked]
    if late:
        wrong.append(f'{len(late)} motions began after the stop, the first {late[0]:.2f} s')
    if not robot.standing:
        wrong.append('the arm moves')
    if worker.is_alive() or stopper.is_alive():
        wrong.append('a thread is stuck')
    script.failing = {}
    dropped = robot.cut.is_set()
    driver.close()
    robot.close()
    return wrong, stood, dropped


def stop(driver):
    try:
        driver.stop()
    except ArmError:
        pass  # told: the arm had to be stopped by force


@pytest.fixture(scope='module')
def cells():
    lag = Lag()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {cell: pool.submit(run_cell, number, *cell) for number, cell in enumerate(CELLS)}
    results = {cell: job.result() for cell, job in jobs.items()}
    return results, lag.end()


@pytest.mark.parametrize('phase', PHASES)
@pytest.mark.parametrize('error', ERRORS)
def test_the_arm_stands_in_time_and_nothing_begins(cells, error, phase, record_property):
    results, lag = cells
    mine = {c: r for c, r in results.items() if c[1:] == (error, phase)}
    broken = {
        c: (wrong, round(stood, 2))
        for c, (wrong, stood, _) in mine.items()
        if wrong or stood > LIMIT + lag
    }
    record_property('cells', len(mine))
    record_property('kept', len(mine) - len(broken))
    assert broken == {}, f'lag {lag:.2f} s'


def test_every_cell_is_there(cells, record_property):
    results, lag = cells
    stood = np.array([stood for _, stood, _ in results.values()])
    dropped = sum(cut for _, _, cut in results.values())
    kept = sum(not wrong and stood <= LIMIT + lag for wrong, stood, _ in results.values())
    said = (
        f'{kept} of {len(results)} cells kept, {dropped} with the connection dropped; '
        f'median {np.median(stood):.2f} s, longest {stood.max():.2f} s, lag {lag:.2f} s'
    )
    record_property('matrix', said)
    print(said)
    assert len(results) == 11 * 5 * 5 + 11 * 5 * 2


@contextlib.contextmanager
def scripted(number):
    """A script, and robot and arm that follow it."""
    script, address = Script(), f'127.78.0.{number}'
    robot, arm = ScriptedRobot(address, script), FrankaArm(address)
    arm.attach(Link(robot, robot, address))
    try:
        yield script, robot, arm
    finally:
        arm.close()
        robot.close()


def moving(arm, robot, ended):
    """The arm on its way to TARGET in a thread; how that ends goes to `ended`."""

    def move():
        try:
            ended.append(arm.move_to(TARGET))
        except Exception as error:  # the test says which it must be
            ended.append(error)

    mover = threading.Thread(target=move)
    mover.start()
    assert robot.began()
    return mover


def test_a_dropped_connection_is_told_with_what_to_do():
    with scripted(1) as (script, robot, arm):
        ended = []
        mover = moving(arm, robot, ended)
        script.failing = {'move': 'RuntimeError', 'stop': 'NetworkException', 'join_motion': 'hang'}
        with pytest.raises(ArmError, match='connection was dropped') as told:
            arm.stop()
        assert told.value.code.name == 'ARM_LOST' and '~/recover' in str(told.value)
        assert arm.state().mode.name == 'DISCONNECTED' and robot.cut.wait(1.0)
        mover.join(PATIENCE)
        assert isinstance(ended[0], ArmError)
        with pytest.raises(ArmError, match='dropped'):
            arm.move_to(TARGET)


@pytest.mark.parametrize('call', ['move', 'join_motion'])
def test_a_motion_that_nobody_watched_for_a_while_is_not_gone_on_with(call):
    with scripted(5) as (script, robot, arm):
        ended = []
        script.failing_once = {call: 'hang'}  # as in a process that is frozen
        mover = moving(arm, robot, ended)
        mover.join(5.0)
        longest = {'move': 1.0, 'join_motion': 3.5}[call]  # of the 4 s that it would last
        assert ended == [False] and time.monotonic() - robot.begun[0] < longest
        assert arm.fault is None


def test_a_connection_that_breaks_in_a_motion_is_told_as_that_and_not_as_a_failed_stop():
    with scripted(4) as (script, robot, arm):
        ended = []
        mover = moving(arm, robot, ended)
        script.failing = {
            'join_motion': 'NetworkException',
            'stop': 'hang',
            'is_in_control': 'hang',
        }
        mover.join(5.0)
        assert robot.cut.wait(1.0) and 'lost the connection' in str(ended[0])
        with pytest.raises(ArmError, match='lost the connection'):
            arm.move_to(TARGET)


def test_a_motion_without_a_trajectory_is_not_tried_again_after_a_stop():
    with scripted(2) as (script, robot, arm):
        factors = []

        def fails_and_is_stopped(motion, **_):
            factors.append(motion.relative_dynamics_factor.velocity)
            arm._ledger.revoke()  # a stop that comes while the start fails
            raise RuntimeError('Motion planner failed with error code -111')

        robot.move = fails_and_is_stopped
        assert arm.move_to(TARGET) is False
        assert len(factors) == 1 and arm.fault is None


def test_a_mistake_in_this_program_stops_the_arm_as_well(monkeypatch):
    with scripted(3) as (script, robot, arm):
        monkeypatch.delattr('franky.CartesianStopMotion')  # no stop motion can be made
        ended = []
        mover = moving(arm, robot, ended)
        asked = time.monotonic()
        arm.stop()
        assert robot.standing and time.monotonic() - asked < LIMIT
        mover.join(5.0)
        assert isinstance(ended[0], AttributeError)
        assert arm.fault.code.name == 'ROBOT_REFLEX' and len(robot.begun) == 1
