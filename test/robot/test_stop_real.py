# SPDX-License-Identifier: Apache-2.0
"""A stop that fails at one call or more, with the real franky and the simulated arm.

The failure is injected where `robot/` calls franky; everything else is real, the arm's own stop
command and the broken connection included. The simulator says whether the arm stands.
"""

import threading
import time

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
franky = pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.robot.arm_state import ArmMode  # noqa: E402
from jepa_wm_ros.robot.faults import ArmError  # noqa: E402
from jepa_wm_ros.robot.franka import FrankaArm  # noqa: E402
from jepa_wm_ros.robot.pose import Pose  # noqa: E402
from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.arm_clock import after  # noqa: E402
from support.scripted_arm import STOPS, failure  # noqa: E402

pytestmark = pytest.mark.real_time

DOWN = [1.0, 0.0, 0.0, 0.0]
START = Pose.of([0.5, -0.12, 0.25], DOWN)
FAR = Pose.of([0.5, 0.12, 0.25], DOWN)
HOME = (0.6, -0.3, 0.0, -2.3, 0.0, 2.0, 0.785)


@pytest.fixture(scope='module')
def cell(new_arm_address):
    with ArmServer(new_arm_address()) as server:
        arm = FrankaArm(server.address, dynamics_factor=0.15, connect_timeout=30.0)
        arm.connect()
        yield server, arm
        arm.close()


def fail(link, monkeypatch, calls):
    """Make calls of the link fail; `start` only when it starts a stop motion."""
    for name, how in calls.items():
        real = getattr(link, name)

        def broken(*args, real=real, how=how, name=name):
            if name == 'start' and not isinstance(args[0], STOPS):
                return real(*args)
            if how == 'hang':
                time.sleep(2.0)  # the hang itself
                return real(*args)
            if how == 'used':
                motion = franky.CartesianStopMotion(0.5)
                real(motion)
                return real(motion)  # franky's own MotionReuseException
            raise failure(how)

        monkeypatch.setattr(link, name, broken)


@pytest.mark.parametrize(
    'calls, code, homing',
    [
        ({'start': 'RuntimeError'}, 'ROBOT_REFLEX', False),
        ({'start': 'RuntimeError'}, 'ROBOT_REFLEX', True),
        ({'start': 'used'}, None, False),
        ({'start': 'NetworkException', 'halt': 'hang'}, 'ARM_LOST', False),
        ({'start': 'hang'}, 'ARM_LOST', True),
    ],
    ids=lambda value: (
        '+'.join(f'{k}-{v}' for k, v in value.items()) if isinstance(value, dict) else str(value)
    ),
)
def test_the_arm_stands_whatever_fails(cell, monkeypatch, calls, code, homing):
    server, arm = cell
    arm.move_to(START)
    before = server.snapshot().hand_pose[:3]
    ended = []

    def move():
        try:
            ended.append(arm.home(HOME) if homing else arm.move_to(FAR))
        except ArmError as error:
            ended.append(error)

    link = arm._link
    mover = threading.Thread(target=move)
    mover.start()
    while np.linalg.norm(server.snapshot().hand_pose[:3] - before) < 0.01:
        time.sleep(0.002)  # the truth in another process, which announces nothing
    fail(link, monkeypatch, calls)
    steps = server.snapshot().steps
    if code == 'ARM_LOST':
        with pytest.raises(ArmError, match='did not stop as asked|lost the connection'):
            arm.stop()
    else:
        arm.stop()
    left = max(1, 1000 - (server.snapshot().steps - steps))
    rest = after(server, left)  # a second of the arm's time after the request
    goal = FR3.hand_pose(HOME)[:3, 3] if homing else FAR.position
    assert np.linalg.norm(rest - goal) > 0.03
    assert np.linalg.norm(after(server, 200) - rest) < 0.001
    mover.join(20.0)
    assert ended and ended[0] is not True
    assert (arm.fault is None) if code is None else (arm.fault.code.name == code)
    assert np.linalg.norm(server.snapshot().hand_pose[:3] - rest) < 0.001  # nor after a hung call
    monkeypatch.undo()
    assert arm.recover() is (code is not None)
    assert arm.state().mode is ArmMode.READY
    assert arm.move_to(Pose.of(arm.state().pose.position + [0.0, 0.0, 0.02], DOWN))
