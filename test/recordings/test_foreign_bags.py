# SPDX-License-Identifier: Apache-2.0
"""Bags of other people's graphs: service events, frames, robot states and joints of many names."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jepa_wm_ros.actions import euler_to_matrix
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.choice import choose_topics
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.bags.recording import read_recording
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.live import LiveObservations
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.timeline import read_timeline
from jepa_wm_ros.recordings.topics import (
    FRAMES,
    IMAGE,
    JOINTS,
    ROBOT_STATE,
    TRANSFORM,
    TopicSpec,
    live_topics,
)
from support.bags import MS, START, make_bag, pose_at
from support.foreign_bags import (
    EVENT,
    EVENT_TEXT,
    ForeignBag,
    fixed_frames,
    frames,
    header,
    image,
    joint_states,
    moving_frames,
    transform,
    value_of,
    xyz,
    xyzw,
)

SETTINGS = ClipSettings(rate=4.0, horizon=3, stride=3)
TIMES = [START + k * 50 * MS for k in range(61)]  # 3 s at 20 Hz


def joints_at(stamp: int) -> np.ndarray:
    """Joint angles (7,) [rad] of an arm in motion."""
    seconds = (stamp - START) / 1e9
    return np.array([0.3 * seconds, -0.785, 0.1 * seconds, -2.356, 0.1, 1.571, 0.2 * seconds])


def named(q, prefix: str) -> dict[str, float]:
    return {f'{prefix}joint{k + 1}': float(angle) for k, angle in enumerate(q)}


def write(path, say, storage: str = 'mcap'):
    """A bag with a picture at each of TIMES, and what `say(bag, stamp)` says."""
    with ForeignBag(path, storage) as bag:
        for stamp in TIMES:
            say(bag, stamp)
            bag.say('/camera', IMAGE, stamp, image(stamp))
    return path


def read(path, **spec):
    return read_recording(path, TopicSpec(**spec), SETTINGS)


def refusal(path, **spec) -> str:
    with pytest.raises(BagError) as refused:
        read(path, **spec)
    assert '\n' not in str(refused.value) and str(path) in str(refused.value)
    return str(refused.value)


def assert_hand_is_at(timeline, hand=lambda stamp: FR3.hand_pose(joints_at(stamp))):
    """Every frame of a timeline has the pose (4, 4) that the hand has at its stamp."""
    assert len(timeline.stamps) == len(TIMES)
    for stamp, pose7 in zip(timeline.stamps, timeline.poses, strict=True):
        truth = hand(int(stamp))
        np.testing.assert_allclose(pose7[:3], truth[:3, 3], atol=1e-6)
        np.testing.assert_allclose(euler_to_matrix(pose7[3:6]), truth[:3, :3], atol=1e-6)


# Service events and definitions


def with_events(path, storage, messages):
    """An ordinary bag into which a service's events were recorded too."""

    def say(bag, stamp):
        bag.say(
            '/joint_states', JOINTS, stamp, joint_states(stamp, named(joints_at(stamp), 'fr3_'))
        )
        if stamp == TIMES[0]:
            bag.add('/add/_service_event', EVENT, EVENT_TEXT)
        if messages:
            bag.raw('/add/_service_event', stamp, b'\0\1\0\0' + bytes(28))

    return write(path, say, storage)


@pytest.mark.parametrize('messages', [False, True])
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_channel_of_service_events_costs_nothing_and_is_noted(tmp_path, storage, messages):
    recording = read(with_events(tmp_path / 'bag', storage, messages))
    assert not recording.findings.faults
    assert any('/add/_service_event' in finding.message for finding in recording.findings)
    assert_hand_is_at(recording.timeline)


def test_a_cut_database_with_service_events_is_read_up_to_the_cut(tmp_path):
    folder = with_events(tmp_path / 'bag', 'sqlite3', True)
    file = folder / 'bag.db3'
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.8)])
    timeline = read(folder).timeline
    assert 30 < len(timeline.stamps) < len(TIMES)


def test_a_bag_of_nothing_but_service_events_is_told_in_one_line(tmp_path):
    with ForeignBag(tmp_path / 'bag') as bag:
        bag.add('/add/_service_event', EVENT, EVENT_TEXT)
        bag.raw('/add/_service_event', START, b'\0\1\0\0' + bytes(28))
    assert f'no image topic; it holds /add/_service_event ({EVENT}, 1)' in refusal(tmp_path / 'bag')


def say_beside_an_odd_topic(bag, stamp):
    bag.say('/joint_states', JOINTS, stamp, joint_states(stamp, named(joints_at(stamp), 'fr3_')))
    if stamp == TIMES[0]:
        bag.add('/odd', 'odd_msgs/msg/Odd', 'no definition at all')


def test_a_definition_that_says_nothing_is_a_fault_only_of_who_reads_it(tmp_path):
    def say(bag, stamp):
        say_beside_an_odd_topic(bag, stamp)
        bag.raw('/odd', stamp, b'\0\1\0\0')

    path = write(tmp_path / 'bag', say)
    assert not read(path).findings.faults
    findings = Findings()
    with Bag(path, findings) as bag:
        assert list(bag.messages(['/odd'])) == []
    assert [(fault.kind, fault.count) for fault in findings.faults] == [
        ('undecodable message', len(TIMES))
    ]


def test_a_schema_in_an_unknown_encoding_is_no_end_of_the_bag(tmp_path):
    path = write(tmp_path / 'bag', say_beside_an_odd_topic)
    file = path / 'bag.mcap'
    odd = b'odd_msgs/msg/Odd' + len(b'ros2msg').to_bytes(4, 'little')
    data = file.read_bytes()
    assert odd + b'ros2msg' in data
    file.write_bytes(data.replace(odd + b'ros2msg', odd + b'unknown'))
    assert_hand_is_at(read(path).timeline)


# Frames


def tf_bag(path, arms=('fr3_',), fixed=True, others=()):
    """/tf of arms as robot_state_publisher says it, among what else moves in a cell."""

    def say(bag, stamp):
        if fixed and stamp == TIMES[0]:
            for arm in arms:
                bag.say('/tf_static', FRAMES, stamp, fixed_frames(0, arm))
        for k, arm in enumerate(arms):
            bag.say('/tf', FRAMES, stamp, moving_frames(stamp, (1 - 2 * k) * joints_at(stamp), arm))
        for parent, child in others:
            bag.say(
                '/tf',
                FRAMES,
                stamp + 7 * MS,
                frames(transform(stamp, parent, child, (0.1, 0, 0), Rotation.identity())),
            )

    return write(path, say)


def test_a_bag_with_only_frames_gives_the_pose_between_base_and_hand(tmp_path):
    others = [('odom', 'base_link'), ('fr3_hand', 'fr3_leftfinger')]
    recording = read(tf_bag(tmp_path / 'bag', others=others))
    assert not recording.findings.faults
    assert (recording.topics.spec.base_frame, recording.topics.spec.hand_frame) == (
        'fr3_link0',
        'fr3_hand_tcp',
    )
    assert_hand_is_at(recording.timeline)


def test_frames_given_by_name_give_the_pose_between_them(tmp_path):
    path = tf_bag(tmp_path / 'bag')
    recording = read(path, base_frame='fr3_link0', hand_frame='fr3_hand')
    back = np.eye(4)
    back[2, 3] = -FR3.tcp
    assert_hand_is_at(recording.timeline, lambda stamp: FR3.hand_pose(joints_at(stamp)) @ back)


def test_of_two_arms_the_one_with_the_prefix_is_read(tmp_path):
    path = tf_bag(tmp_path / 'bag', arms=('left_fr3_', 'right_fr3_'))
    assert 'several arms (left_fr3, right_fr3); choose one with --arm-prefix' in refusal(path)
    assert_hand_is_at(read(path, arm_prefix='left_').timeline)
    assert_hand_is_at(
        read(path, arm_prefix='right_').timeline, lambda stamp: FR3.hand_pose(-joints_at(stamp))
    )


def test_frames_without_the_fixed_ones_are_refused_by_name(tmp_path):
    path = tf_bag(tmp_path / 'bag', fixed=False)
    said = refusal(path)
    assert "/tf tells of no Franka arm's base and hand" in said and 'fr3_link7' in said
    said = refusal(path, pose='/tf')
    assert 'does not lead from fr3_link0 to fr3_hand_tcp' in said and 'no /tf_static' in said
    assert '--hand-frame' in said


def test_frames_of_a_base_on_wheels_are_not_mistaken_for_an_arm(tmp_path):
    path = write(
        tmp_path / 'bag',
        lambda bag, stamp: bag.say(
            '/tf',
            FRAMES,
            stamp,
            frames(transform(stamp, 'odom', 'base_link', (0.1, 0, 0), Rotation.identity())),
        ),
    )
    said = refusal(path)
    assert "no Franka arm's base and hand (base_link, odom)" in said and '--base-frame' in said


def test_frames_told_for_different_times_give_no_pose_and_are_named(tmp_path):
    def say(bag, stamp):
        for parent, child, late in (('base', 'wrist', 0), ('wrist', 'hand', 9 * MS)):
            told = transform(stamp - late, parent, child, (0.1, 0, 0), Rotation.identity())
            bag.say('/tf', FRAMES, stamp, frames(told))

    said = refusal(write(tmp_path / 'bag', say), base_frame='base', hand_frame='hand')
    assert 'between base and hand are told for different times' in said


def test_one_transform_among_several_is_picked_by_the_name_of_its_frame(tmp_path):
    def say(bag, stamp):
        pose = pose_at((stamp - START) / 1e9)
        for child, x in (('hand', pose[0]), ('camera', 9.0)):
            told = transform(stamp, 'base', child, (x, 0, 0), Rotation.identity())
            bag.say('/mocap', TRANSFORM, stamp, told)

    path = write(tmp_path / 'bag', say)
    timeline = read(path, base_frame='base', hand_frame='hand').timeline
    truth = [pose_at((stamp - START) / 1e9)[0] for stamp in timeline.stamps]
    np.testing.assert_allclose(timeline.poses[:, 0], truth, atol=1e-9)


def test_frames_are_heard_live_as_they_are_read_from_a_bag(tmp_path):
    path = tf_bag(tmp_path / 'bag', others=[('odom', 'base_link')])
    spec = TopicSpec(image='/camera', pose='/tf', pose_type=FRAMES, gripper='none')
    live, heard = LiveObservations(live_topics(spec), NS // 5, NS), {}
    with Bag(path, Findings()) as bag:
        timeline = read_timeline(bag, choose_topics(bag, spec), NS // 5)
        for topic, time, message in bag.messages([topic.name for topic in live.topics.all]):
            heard |= {frame.stamp: frame.state for frame in live.hear(topic, message, time)}
    assert list(heard) == timeline.stamps.tolist()
    for state, pose7 in zip(heard.values(), timeline.poses, strict=True):
        np.testing.assert_array_equal(state.pose7, pose7)


# Franka's robot state

STATES = {
    'poses': 'std_msgs/Header header\ngeometry_msgs/PoseStamped o_t_ee\n',
    'matrices': 'std_msgs/Header header\nfloat64[16] o_t_ee\n',
}


@pytest.mark.parametrize('told', STATES)
def test_the_robot_state_of_franka_ros2_is_read_by_the_definition_in_the_bag(tmp_path, told):
    def say(bag, stamp):
        hand = FR3.hand_pose(joints_at(stamp))
        if stamp == TIMES[0]:
            bag.define(ROBOT_STATE, STATES[told])
        pose = value_of(
            header=header(stamp, 'fr3_link0'),
            pose=value_of(
                position=xyz(hand[:3, 3]),
                orientation=xyzw(Rotation.from_matrix(hand[:3, :3]).as_quat()),
            ),
        )
        state = pose if told == 'poses' else hand.T.ravel()
        bag.say('/state', ROBOT_STATE, stamp, value_of(header=header(stamp), o_t_ee=state))

    recording = read(write(tmp_path / 'bag', say))
    assert not recording.findings.faults
    assert_hand_is_at(recording.timeline)


# Joint states


def joints_bag(path, *topics):
    """Joint states of topics (name, positions(q) by name)."""

    def say(bag, stamp):
        for topic, positions in topics:
            bag.say(topic, JOINTS, stamp, joint_states(stamp, positions(joints_at(stamp))))

    return write(path, say)


FINGERS = {'fr3_finger_joint1': 0.03, 'fr3_finger_joint2': 0.03}


def test_the_topic_with_the_joints_of_an_arm_is_its_pose_and_fingers_are_none(tmp_path):
    path = joints_bag(
        tmp_path / 'bag',
        ('/franka_gripper/joint_states', lambda _: FINGERS),
        ('/arm/joint_states', lambda q: named(q, 'left_fr3_')),
        ('/lift/joint_states', lambda _: {'lift_joint': 0.1}),
    )
    recording = read(path)
    assert recording.topics.pose.name == '/arm/joint_states'
    assert recording.topics.gripper.name == '/franka_gripper/joint_states'
    np.testing.assert_allclose(recording.timeline.poses[:, 6], 0.25)
    assert_hand_is_at(recording.timeline)


def test_fingers_alone_are_no_pose(tmp_path):
    said = refusal(joints_bag(tmp_path / 'bag', ('/joint_states', lambda _: FINGERS)))
    assert 'no pose topic; it holds' in said
    assert "/joint_states holds joints, but not a Franka arm's (fr3_finger_joint1" in said


def test_joints_of_another_make_are_an_arm_only_where_somebody_says_so(tmp_path):
    path = joints_bag(tmp_path / 'bag', ('/joint_states', lambda q: named(q, '')))
    assert "not a Franka arm's (joint1, joint2" in refusal(path)
    assert_hand_is_at(read(path, pose='/joint_states').timeline)


def test_of_the_joints_of_two_arms_those_with_the_prefix_are_read(tmp_path):
    path = joints_bag(
        tmp_path / 'bag',
        (
            '/joint_states',
            lambda q: (
                named(-q, 'right_fr3_')
                | named(q, 'left_fr3_')
                | {'left_fr3_finger_joint1': 0.0, 'right_fr3_finger_joint1': 0.04}
            ),
        ),
    )
    for spec in ({}, {'pose': '/joint_states'}):
        assert 'several arms (left_fr3_, right_fr3_)' in refusal(path, **spec)
    timeline = read(path, arm_prefix='left_').timeline
    assert_hand_is_at(timeline)
    assert (timeline.poses[:, 6] == 1.0).all()


def test_thirty_hertz_of_compressed_pictures_are_read_whole(tmp_path):
    recording = read(make_bag(tmp_path / 'bag', image_hz=30.0, images='jpeg'))
    assert not recording.findings.faults and recording.coverage.fraction == 1.0
