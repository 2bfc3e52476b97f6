# SPDX-License-Identifier: Apache-2.0
"""Pose and gripper at a frame's stamp: between, after, before, in gaps, out of order, set back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from jepa_wm_ros.recordings.streams import NS, Streams

MS = 1_000_000
GAP = NS // 5
UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


def turned(angle: float) -> np.ndarray:
    return np.array([0.0, 0.0, np.sin(angle / 2), np.cos(angle / 2)])


class Heard:
    """Streams whose messages arrive when they are stamped, and the frames matched so far."""

    def __init__(self, **options):
        self.jumps = []
        self.streams = Streams(GAP, on_jump=lambda *jump: self.jumps.append(jump), **options)
        self.matched = []

    def pose(self, ms, x=0.0, turn=0.0, heard=None):
        heard = ms if heard is None else heard
        self.matched += self.streams.add_pose(
            ms * MS, np.array([x, 0.0, 0.0]), turned(turn), heard * MS
        )

    def gripper(self, ms, closure=0.0, heard=None):
        heard = ms if heard is None else heard
        self.matched += self.streams.add_gripper(ms * MS, closure, heard * MS)

    def state(self, ms, x=0.0, closure=0.0, heard=None):
        self.pose(ms, x, heard=heard)
        self.gripper(ms, closure, heard=heard)

    def frame(self, ms, heard=None):
        heard = ms if heard is None else heard
        self.matched += self.streams.add_frame(ms * MS, heard * MS, ms)

    def states(self):
        return {frame.content: frame.state for frame in self.matched}


def test_a_frame_newer_than_every_state_waits_for_the_next_one_and_is_never_extrapolated():
    heard = Heard()
    heard.state(0, x=0.0)
    heard.state(33, x=0.01)
    heard.frame(50)
    assert heard.matched == []
    heard.pose(66, x=0.02)
    assert heard.matched == []  # the gripper is to come
    heard.gripper(66)
    assert heard.states()[50].position[0] == pytest.approx(0.01 + 0.01 * 17 / 33)


def test_a_frame_150_ms_after_the_newest_state_has_none_once_the_next_is_too_far():
    heard = Heard()
    heard.state(0)
    heard.frame(150)
    heard.state(230)
    assert heard.states() == {150: None}
    assert heard.matched[0].refused == 'no pose and gripper within 0.2 s around the frame'


def test_the_gap_is_that_between_the_two_states_and_a_state_at_the_stamp_bridges_nothing():
    heard = Heard()
    for ms in (0, 200, 401):
        heard.state(ms, x=ms / 1000)
    for ms in (100, 300, 401):
        heard.frame(ms)
    states = heard.states()
    assert states[100].position[0] == pytest.approx(0.1)
    assert states[300] is None
    assert states[401].position[0] == pytest.approx(0.401)


def test_a_frame_before_the_first_state_is_refused():
    heard = Heard()
    heard.frame(10)
    heard.state(20)
    assert heard.states() == {10: None}


def test_orientation_turns_along_the_shortest_arc_as_scipy_has_it():
    rng = np.random.default_rng(0)
    for _ in range(20):
        ends, share = Rotation.random(2, random_state=rng.integers(1 << 31)), rng.integers(1, 100)
        streams = Streams(GAP, gripper=False)
        streams.add_pose(0, np.zeros(3), ends[0].as_quat(), 0)
        streams.add_frame(int(share) * MS, 0)
        # -q is the same rotation as q
        (frame,) = streams.add_pose(100 * MS, np.ones(3), -ends[1].as_quat(), 0)
        truth = Slerp([0, 100], ends)(share)
        assert (Rotation.from_quat(frame.state.quaternion) * truth.inv()).magnitude() < 1e-9
        np.testing.assert_allclose(frame.state.position, share / 100)
        np.testing.assert_allclose(frame.state.pose7[3:6], truth.as_euler('xyz'), atol=1e-9)


def test_the_closure_is_that_of_the_nearer_sample_and_zero_without_a_gripper():
    heard = Heard()
    heard.state(0, closure=0.2)
    heard.state(100, closure=0.8)
    heard.frame(50)
    heard.frame(51)
    assert [s.closure for s in heard.states().values()] == [0.2, 0.8]
    without = Heard(gripper=False)
    without.pose(0)
    without.frame(0)
    assert without.states()[0].closure == 0.0


def test_a_frame_waits_no_longer_than_its_patience_and_the_frames_after_it_keep_their_order():
    heard = Heard(patience=100 * MS)
    heard.state(0)
    heard.frame(40)
    heard.frame(80)
    heard.frame(139)
    assert heard.matched == []
    heard.frame(140)
    assert heard.states() == {40: None}
    heard.state(150)
    assert list(heard.states()) == [40, 80, 139, 140]
    assert heard.states()[80].position is not None


def test_a_stamp_that_repeats_is_refused_by_name():
    heard = Heard()
    heard.state(0)
    heard.frame(0)
    heard.frame(0, heard=30)
    assert [frame.refused for frame in heard.matched] == ['', 'image stamp does not advance']


def test_a_state_that_is_a_little_late_is_left_out():
    heard = Heard()
    heard.state(0, x=0.0)
    heard.state(100, x=1.0)
    heard.pose(60, x=9.0, heard=110)
    heard.frame(50)
    assert heard.states()[50].position[0] == pytest.approx(0.5)
    assert heard.jumps == []


@pytest.mark.parametrize('first', ['frame', 'state'])
def test_a_clock_set_back_ends_the_waiting_forgets_the_states_and_goes_on(first):
    heard = Heard()
    heard.state(9_000)
    heard.frame(9_010)
    new = {
        'frame': lambda: heard.frame(1_000, heard=9_030),
        'state': lambda: heard.state(990, x=3.0, heard=9_030),
    }
    for source in (first, *(new.keys() - {first})):
        new[source]()
    heard.state(1_020, x=4.0, heard=9_060)
    heard.frame(1_033, heard=9_063)
    heard.state(1_053, x=5.0, heard=9_093)
    states = heard.states()
    assert states[9_010] is None
    assert states[1_033].position[0] == pytest.approx(4.0 + 13 / 33)
    assert states[1_000].position[0] == pytest.approx(3.0 + 10 / 30)  # one jump, heard thrice
    assert [frame.clock for frame in heard.matched] == [0, 1, 1]
    assert {role for role, _ in heard.jumps} == {'image', 'pose', 'gripper'}


def test_frames_are_matched_although_the_clock_they_are_heard_by_is_set_back_too():
    heard = Heard()
    heard.state(9_000)
    heard.frame(9_010)
    heard.frame(1_000)
    heard.state(1_010)
    assert heard.states() == {9_010: None, 1_000: None}


@settings(deadline=None, max_examples=200)
@given(
    states=st.lists(st.integers(0, 2_000), min_size=1, max_size=40, unique=True),
    frames=st.lists(st.integers(0, 2_000), min_size=1, max_size=20, unique=True),
)
def test_every_frame_gets_exactly_what_the_rule_says(states, frames):
    """However messages interleave: stamps in order per topic, arrival in any order of delays."""
    states, frames = sorted(states), sorted(frames)
    heard = Heard(patience=100 * NS)
    events = [(ms, 0, ms) for ms in states] + [(ms + ms % 7 * 10, 1, ms) for ms in frames]
    waiting = iter(frames)
    for _, kind, ms in sorted(events):
        if kind == 0:
            heard.state(ms, x=ms / 1000, closure=ms % 2)
        else:
            heard.frame(next(waiting))
    heard.matched += heard.streams.finish()
    assert list(heard.states()) == frames
    known = np.array(states)
    for ms, state in heard.states().items():
        before, after = known[known <= ms], known[known >= ms]
        if len(before) and len(after) and after[0] - before[-1] <= 200:
            assert state.position[0] == pytest.approx(ms / 1000, abs=1e-9)
        else:
            assert state is None
