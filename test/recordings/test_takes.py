# SPDX-License-Identifier: Apache-2.0
"""Takes: kept, thrown away, lost to a full disk; and what is told of their cadence."""

import numpy as np
import pytest
from rosbags.rosbag2 import WriterError

from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.bags.takes import UNFINISHED, Takes, cadence
from jepa_wm_ros.recordings.bags.writer import known_types
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.topics import IMAGE, POSE, Topic, TopicSpec
from support.bags import START, picture_at, pose_at

TOPICS = (Topic('/image', IMAGE), Topic('/ee_pose', POSE))
SPEC = TopicSpec(image='/image', pose='/ee_pose', gripper='none')


def messages(seconds: float, image_hz: float = 10.0, state_hz: float = 40.0):
    """(topic, stamp, bytes) as a camera and an arm say them."""
    kinds = known_types().types
    told = [(k / image_hz, 'image') for k in range(round(seconds * image_hz))]
    told += [(k / state_hz, 'state') for k in range(round(seconds * state_hz) + 1)]
    for now, what in sorted(told):
        stamp = START + round(now * 1e9)
        header = kinds['std_msgs/msg/Header'](
            stamp=kinds['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9),
            frame_id='fr3_link0',
        )
        if what == 'state':
            x, y, z = pose_at(now)[:3]
            pose = kinds['geometry_msgs/msg/Pose'](
                position=kinds['geometry_msgs/msg/Point'](x=x, y=y, z=z),
                orientation=kinds['geometry_msgs/msg/Quaternion'](x=1.0, y=0.0, z=0.0, w=0.0),
            )
            message = kinds[POSE](header=header, pose=pose)
            yield '/ee_pose', stamp, bytes(known_types().serialize_cdr(message, POSE))
            continue
        frame = picture_at(now)
        message = kinds[IMAGE](
            header=header,
            height=frame.shape[0],
            width=frame.shape[1],
            encoding='rgb8',
            is_bigendian=0,
            step=3 * frame.shape[1],
            data=frame.reshape(-1),
        )
        yield '/image', stamp, bytes(known_types().serialize_cdr(message, IMAGE))


def take(takes: Takes, seconds: float = 3.0):
    takes.begin(TOPICS)
    for message in messages(seconds):
        takes.write(*message)


def test_a_take_that_was_kept_is_a_bag_and_so_an_episode(tmp_path):
    takes = Takes(tmp_path / 'takes')
    take(takes)
    assert takes.name == 'take_0000' and not open_folder(tmp_path)
    bag = takes.end()
    assert bag == tmp_path / 'takes' / 'take_0000' and takes.name == ''
    (episode,) = open_episodes(tmp_path / 'takes')
    assert episode.steps == 12
    np.testing.assert_array_equal(episode.frames[4], picture_at(1.0))
    told = cadence(bag, SPEC)
    assert '30 pictures at 10.0/s, jitter 0 ms, 0 missing, 0 late, 0 gaps' in told


def test_pictures_that_came_more_than_a_step_after_they_were_taken_are_late(tmp_path):
    takes = Takes(tmp_path / 'takes')
    takes.begin(TOPICS)
    delayed = []
    for number, (topic, stamp, message) in enumerate(messages(3.0)):
        slow = 0.3 if topic == '/image' and number < 60 else 0.2
        delayed.append((stamp + round(slow * 1e9), topic, message))
    for heard, topic, message in sorted(delayed):
        takes.write(topic, heard, message)
    pictures = [topic for topic, *_ in list(messages(3.0))[:60]].count('/image')
    assert pictures == 12
    assert ' 12 late, ' in cadence(takes.end(), SPEC)


def open_folder(tmp_path):
    return [path.name for path in (tmp_path / 'takes').iterdir() if path.name != UNFINISHED]


def test_numbers_go_on_and_what_is_thrown_away_is_gone(tmp_path):
    takes = Takes(tmp_path / 'takes')
    for _ in range(2):
        take(takes, 0.5)
        takes.end()
    take(takes, 0.5)
    assert takes.discard() == 'take_0002'
    assert takes.discard() == 'take_0001'
    take(takes, 0.5)
    assert takes.name == 'take_0001'
    takes.end()
    assert sorted(open_folder(tmp_path)) == ['take_0000', 'take_0001']
    later = Takes(tmp_path / 'takes')
    with pytest.raises(BagError, match='no take to throw away'):
        later.discard()  # not what another session has kept
    later.begin(TOPICS)
    assert later.name == 'take_0002'
    with pytest.raises(BagError, match='take_0002 is being recorded'):
        later.begin(TOPICS)


def test_what_a_crash_left_is_no_take(tmp_path):
    take(Takes(tmp_path / 'takes'))  # and is never ended
    takes = Takes(tmp_path / 'takes')
    take(takes, 0.5)
    takes.end()
    assert open_folder(tmp_path) == ['take_0000']
    assert not list((tmp_path / 'takes' / UNFINISHED).iterdir())


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), WriterError('broken')])
def test_a_full_disk_ends_the_take_says_so_and_leaves_the_others(tmp_path, monkeypatch, error):
    takes = Takes(tmp_path / 'takes')
    take(takes, 0.5)
    takes.end()

    def full(*_):
        raise error

    takes.begin(TOPICS)
    monkeypatch.setattr(takes._writer, 'write', full)
    with pytest.raises(BagError, match='take_0001 has ended and is lost'):
        takes.write('/image', START, b'')
    takes.write('/image', START, b'')  # what was on its way
    assert takes.name == '' and open_folder(tmp_path) == ['take_0000']


def test_where_no_folder_can_be_made_nothing_begins(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match='no take can be written'):
        Takes(tmp_path / 'file' / 'takes').begin(TOPICS)


def test_a_take_without_pictures_is_told_to_be_of_no_use(tmp_path):
    takes = Takes(tmp_path / 'takes')
    takes.begin(TOPICS)
    for message in messages(1.0):
        if message[0] == '/ee_pose':
            takes.write(*message)
    with pytest.raises(BagError, match='image'):
        cadence(takes.end(), SPEC)
