# SPDX-License-Identifier: Apache-2.0
"""Frames and arm states are trusted only when their stamps make sense."""

import numpy as np
import pytest

from jepa_wm_ros.recordings.streams import ObservationBuffer

S = 1_000_000_000


@pytest.fixture
def buffer():
    return ObservationBuffer()


def test_the_newest_fresh_frame_is_given(buffer):
    assert buffer.add_frame(1 * S, 1 * S, 'a')
    assert buffer.add_frame(2 * S, 2 * S, 'b')
    assert buffer.frame_after(0, 2 * S, S // 2).message == 'b'


def test_a_frame_from_before_the_motion_ended_is_not_given(buffer):
    buffer.add_frame(1 * S, 1 * S, 'a')
    assert buffer.frame_after(1 * S, 1 * S, S) is None
    assert buffer.frame_after(1 * S - 1, 1 * S, S).message == 'a'


def test_an_old_frame_is_not_given(buffer):
    buffer.add_frame(1 * S, 1 * S, 'a')
    assert buffer.frame_after(0, int(1.5 * S), S // 2) is not None
    assert buffer.frame_after(0, int(1.5 * S) + 1, S // 2) is None


def test_a_frame_from_the_future_is_refused(buffer):
    assert not buffer.add_frame(3 * S, 2 * S, 'a')
    assert buffer.frame is None and '1.000 s in the future' in buffer.refused


def test_a_frozen_stamp_is_refused_and_the_first_frame_ages(buffer):
    buffer.add_frame(1 * S, 1 * S, 'a')
    assert not buffer.add_frame(1 * S, 2 * S, 'b')
    assert 'does not advance' in buffer.refused
    assert buffer.frame_after(0, 2 * S, S // 2) is None


def test_a_clock_that_jumps_back_forgets_everything_and_then_goes_on(buffer):
    buffer.add_frame(10 * S, 10 * S, 'old')
    buffer.add_pose(10 * S, np.zeros(3), np.array([0, 0, 0, 1]))
    assert not buffer.add_frame(2 * S, 2 * S, 'first of the new time')
    assert 'jumped back 8.000 s' in buffer.refused
    assert buffer.frame is None and buffer.pose_at(10 * S, 100 * S) is None
    assert buffer.add_frame(3 * S, 3 * S, 'second')
    assert buffer.frame_after(0, 3 * S, S).message == 'second'


def test_the_arm_state_at_the_frame_is_given_within_the_gap(buffer):
    for t in range(5):
        buffer.add_pose(t * S, np.full(3, float(t)), np.array([0, 0, np.sin(t / 8), np.cos(t / 8)]))
        buffer.add_gripper(t * S, t / 10)
    between = buffer.pose_at(int(2.4 * S), S)
    np.testing.assert_allclose(between[:3], 2.4)
    np.testing.assert_allclose(between[3:], [0, 0, np.sin(0.3), np.cos(0.3)], atol=1e-9)
    assert buffer.pose_at(3 * S, S)[0] == 3
    assert buffer.pose_at(int(2.4 * S), S // 4) is None
    assert buffer.pose_at(3 * S, 0)[0] == 3
    assert buffer.gripper_at(int(2.6 * S), S) == 0.3
    assert buffer.gripper_at(0, 0) == 0.0
    assert buffer.pose_at(6 * S, S) is None
    assert buffer.pose_at(5 * S, S)[0] == 4
