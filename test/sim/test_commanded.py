# SPDX-License-Identifier: Apache-2.0
"""What the simulated arm tells of the commands it gets: velocities worked out by hand."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco

from jepa_wm_ros.sim.commanded import SLOPE_OVER, Slope  # noqa: E402


def test_one_command_has_no_velocity():
    slope = Slope()
    slope.add(np.ones(7))
    assert not np.any(slope.of_joints()) and not np.any(slope.of_pose())


def test_joints_that_go_a_milliradian_a_command_go_a_radian_a_second():
    slope = Slope()
    for step in range(3):
        slope.add(np.full(7, 0.001 * step))
    assert slope.of_joints() == pytest.approx(np.ones(7))
    slope.clear()
    assert not np.any(slope.of_joints())


def test_a_pose_that_moves_and_turns_has_a_twist_in_the_base_frame():
    slope = Slope()
    start = np.diag([1.0, -1.0, -1.0, 1.0])  # the hand points down
    for step in range(5):
        angle = 0.0001 * step
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turn[:3, 3] = [0.0, 0.0001 * step, -0.0002 * step]
        slope.add(turn @ start)
    assert slope.of_pose() == pytest.approx([0.0, 0.1, -0.2, 0.0, 0.0, 0.1])


def test_old_commands_do_not_count():
    slope = Slope()
    for step in range(100):
        slope.add(np.full(7, 1.0 if step < 50 else 1.0 + 0.001 * (step - 50)))
    assert slope.of_joints() == pytest.approx(np.ones(7))
    for _ in range(SLOPE_OVER + 1):
        slope.add(np.full(7, 2.0))
    assert not np.any(slope.of_joints())
