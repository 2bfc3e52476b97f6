# SPDX-License-Identifier: Apache-2.0
"""An arm that stops itself: the error is told by name, and only `recover` clears it."""

import threading

import pytest

pytest.importorskip('franky')
pytest.importorskip('franky_sim')

from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.robot.arm_state import ArmMode  # noqa: E402
from jepa_wm_ros.robot.faults import ArmError, ErrorKind  # noqa: E402
from jepa_wm_ros.robot.franka import FrankaArm  # noqa: E402
from jepa_wm_ros.robot.pose import Pose  # noqa: E402
from support.reflex_arm import reflex_arm  # noqa: E402


def test_a_collision_is_a_fault_until_it_is_recovered(new_arm_address):
    with reflex_arm(address := new_arm_address()) as collide:
        arm = FrankaArm(address)
        arm.connect()
        start = arm.state().pose
        far = Pose.of(start.position + [0.1, 0.1, -0.1], start.quaternion)
        ended = []

        def move():
            with pytest.raises(ArmError) as error:
                arm.move_to(far)
            ended.append(error.value)

        mover = threading.Thread(target=move)
        mover.start()
        while arm.state().pose.distance(start) < 0.01:
            arm.newer_state()
        collide()
        mover.join(20.0)
        assert ended[0].kind is ErrorKind.REFLEX and '\n' not in str(ended[0])
        assert '[cartesian_reflex]' in str(ended[0])
        assert arm.newer_state().errors == ('cartesian_reflex',)
        assert arm.state().mode is ArmMode.FAULT and arm.fault is ended[0]
        with pytest.raises(ArmError, match='is stopped'):
            arm.home(FR3.home)
        assert arm.recover() is True
        state = arm.state()
        assert state.mode is ArmMode.READY and state.errors == () and arm.fault is None
        assert arm.recover() is False
        assert arm.move_to(Pose.of(state.pose.position + [0, 0, 0.02], start.quaternion))
        arm.close()


def test_a_collision_at_rest_is_a_fault_too(new_arm_address):
    with reflex_arm(address := new_arm_address()) as collide:
        arm = FrankaArm(address)
        arm.connect()
        collide()
        assert arm.newer_state().mode is ArmMode.FAULT
        with pytest.raises(ArmError, match=r'is stopped \[cartesian_reflex\]'):
            arm.home(FR3.home)
        assert arm.recover() is True and arm.state().mode is ArmMode.READY
        arm.close()


@pytest.mark.fault(20)
def test_a_user_stop_is_a_fault_that_outlives_its_release(new_arm_address):
    with reflex_arm(address := new_arm_address()) as send:
        arm = FrankaArm(address)
        arm.connect()
        send('press')
        assert arm.newer_state().mode is ArmMode.FAULT
        with pytest.raises(ArmError, match=r'\[UserStopped\]'):
            arm.home(FR3.home)
        with pytest.raises(ArmError, match='release the user stop'):
            arm.recover()
        send('release')
        assert arm.newer_state().mode is ArmMode.FAULT  # nothing moves by itself after a release
        with pytest.raises(ArmError, match='recover'):
            arm.home(FR3.home)
        assert arm.recover() is True and arm.state().mode is ArmMode.READY
        arm.close()
