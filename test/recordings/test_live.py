# SPDX-License-Identifier: Apache-2.0
"""Frames live: which is fresh, which has its state, and that a bag says the same of all of them."""

from types import SimpleNamespace as Message

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.timeline import read_timeline
from jepa_wm_ros.recordings.topics import ChosenTopics, Topic, TopicSpec, live_topics
from support.bags import START, pose_at, write_messages

S, MS, GAP = NS, NS // 1000, NS // 5


def header(stamp: int, frame: str = 'fr3_link0'):
    return Message(stamp=Message(sec=stamp // S, nanosec=stamp % S), frame_id=frame)


def image(stamp: int):
    return Message(header=header(stamp))


def pose(stamp: int, x: float = 0.0):
    return Message(
        header=header(stamp),
        pose=Message(
            position=Message(x=x, y=0.0, z=0.0), orientation=Message(x=0.0, y=0.0, z=0.0, w=1.0)
        ),
    )


def joints(stamp: int, finger: float = 0.04):
    return Message(header=header(stamp), name=['fr3_finger_joint1'], position=[finger])


@pytest.fixture
def live():
    return LiveObservations(live_topics(TopicSpec()), GAP, S // 2)


def hear(live, ms: int, now: int | None = None, kind=('pose', 'joints', 'image')):
    """Messages stamped `ms` [ms], heard at `now`."""
    stamp, now = ms * MS, (ms if now is None else now) * MS
    for name, topic, message in (
        ('pose', 'ee_pose', pose),
        ('joints', 'joint_states', joints),
        ('image', 'image', image),
    ):
        if name in kind:
            live.hear(topic, message(stamp), now)


def test_the_newest_frame_with_a_state_is_given_while_a_newer_one_waits(live):
    hear(live, 1000)
    hear(live, 1100, kind=('image',))
    assert live.newest_frame(0, 1100 * MS, S).stamp == 1100 * MS
    assert live.observation(0, 1100 * MS, S).stamp == 1000 * MS
    assert live.missing(1100 * MS) == ('ee_pose', 'joint_states')
    hear(live, 1120, kind=('pose', 'joints'))
    assert live.observation(0, 1120 * MS, S).stamp == 1100 * MS


def test_a_frame_from_before_the_motion_ended_or_too_old_is_not_given(live):
    hear(live, 1000)
    for given_by in (live.observation, live.newest_frame):
        assert given_by(1000 * MS, 1000 * MS, S) is None
        assert given_by(1000 * MS - 1, 1000 * MS, S).stamp == 1000 * MS
        assert given_by(0, 1500 * MS, S // 2) is not None
        assert given_by(0, 1500 * MS + 1, S // 2) is None


@pytest.mark.fault(2)
def test_a_frame_from_the_future_is_refused(live):
    hear(live, 3000, now=2000)
    assert live.frame is None and '1.000 s in the future' in live.refused


@pytest.mark.fault(2)
def test_a_frozen_stamp_is_refused_and_the_first_frame_ages(live):
    hear(live, 1000)
    hear(live, 1000, now=2000, kind=('image',))
    assert 'does not advance' in live.refused
    assert live.observation(0, 2000 * MS, S // 2) is None


@pytest.mark.fault(2)
def test_a_clock_that_jumps_back_forgets_everything_and_then_goes_on(live):
    hear(live, 10_000)
    hear(live, 2_000, kind=('image',))
    assert live.observation(0, 2_000 * MS, S) is None
    hear(live, 2_010, kind=('pose', 'joints'))
    assert live.observation(0, 2_010 * MS, S) is None and 'no pose' in live.refused
    hear(live, 2_020, kind=('image',))
    hear(live, 2_040, kind=('pose', 'joints'))
    assert live.observation(0, 2_040 * MS, S).stamp == 2_020 * MS


def test_a_description_with_joint_states_for_all_and_record_times_is_heard_live():
    spec = TopicSpec(
        pose='/joint_states',
        pose_type='sensor_msgs/msg/JointState',
        gripper='/joint_states',
        gripper_joints=('knuckle',),
        gripper_open=0.0,
        gripper_closed=0.8,
        stamps='record',
    )
    live = LiveObservations(live_topics(spec), GAP, S // 2)
    arm = [0, -0.785, 0, -2.356, 0, 1.571, 0.785]
    message = Message(
        header=header(0, ''),
        name=[*(f'fr3_joint{i + 1}' for i in range(7)), 'knuckle'],
        position=[*arm, 0.6],
    )
    live.hear('/joint_states', message, 1000 * MS)
    live.hear('image', image(0), 1010 * MS)
    live.hear('/joint_states', message, 1020 * MS)
    state = live.observation(0, 1020 * MS, S).state
    np.testing.assert_allclose(state.position, [0.30702, 0.0, 0.48687], atol=1e-4)
    assert state.closure == pytest.approx(0.75)


def test_an_arm_without_a_gripper_is_described_by_none():
    live = LiveObservations(live_topics(TopicSpec(gripper='none')), GAP, S // 2)
    hear(live, 1000, kind=('pose', 'image'))
    assert live.observation(0, 1000 * MS, S).state.closure == 0.0
    assert [topic.name for topic in live.topics.all] == ['image', 'ee_pose']


moments = st.lists(
    st.tuples(
        st.sampled_from(['image', 'pose', 'joints']),
        st.integers(0, 130),  # ms since the message before
        st.integers(-60, 20),  # ms the stamp lies off the time it is heard
        st.sampled_from([0] * 30 + [-2500, -700]),  # ms the clock is set by
    ),
    min_size=5,
    max_size=60,
)


# Each example writes a bag: shrinking a failure would take minutes.
@settings(deadline=None, max_examples=60, phases=(Phase.reuse, Phase.generate))
@given(moments=moments)
def test_a_bag_and_the_live_node_give_each_frame_the_same_state_or_refuse_it_both(
    moments, tmp_path_factory
):
    path = tmp_path_factory.mktemp('parity') / 'bag'
    record, bend, messages = START, 0, []
    for role, after, off, jump in moments:
        record, bend = record + after * MS + 1, bend + jump * MS
        messages.append((role, record + off * MS + bend, record, pose_at((record - START) / S)))
    write_messages(path, messages)
    chosen = ChosenTopics(
        Topic('/image', 'sensor_msgs/msg/Image'),
        Topic('/ee_pose', 'geometry_msgs/msg/PoseStamped'),
        Topic('/joint_states', 'sensor_msgs/msg/JointState'),
        TopicSpec(),
    )
    if not any(role == 'image' for role, *_ in messages):
        return
    live, heard = LiveObservations(chosen, GAP, 2 * S), {}
    with Bag(path, Findings()) as bag:
        timeline = read_timeline(bag, chosen, GAP)
        for topic, time, message in bag.messages([t.name for t in chosen.all]):
            for frame in live.hear(topic, message, time):
                heard[frame.heard] = frame.state
    for record, pose7 in zip(timeline.records, timeline.poses, strict=True):
        state = heard.get(int(record))
        np.testing.assert_allclose(np.full(7, np.nan) if state is None else state.pose7, pose7)
