# SPDX-License-Identifier: Apache-2.0
"""Bags as episodes: what lies in them, where a hole parts them, and what is learnt from."""

import numpy as np
import pytest

from jepa_wm_ros.learning import dataset
from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.bags.recording import read_recording
from jepa_wm_ros.recordings.clips import EVERY_STEP
from jepa_wm_ros.recordings.episode import STEP_RATE, EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.bag import LONGEST
from jepa_wm_ros.recordings.sanity import complaints
from jepa_wm_ros.recordings.topics import IMAGE, POSE, TopicSpec
from support.bags import START, make_bag, picture_at, pose_at
from support.foreign_bags import ForeignBag, header, image, value_of, xyz


def test_a_bag_is_an_episode_of_the_pictures_and_poses_at_each_step(tmp_path):
    path = make_bag(tmp_path / 'bag', seconds=6.0, image_hz=20.0, state_hz=40.0)
    (episode,) = open_episodes(path)
    assert episode.fps == STEP_RATE and episode.steps == 24  # 5.95 s is nearest to 6
    for number in (0, 7, 22):
        seconds = number / STEP_RATE
        np.testing.assert_array_equal(episode.frames[number], picture_at(seconds))
        np.testing.assert_allclose(episode.proprio[number], pose_at(seconds), atol=1e-5)
        moved = pose_at(seconds + 1 / STEP_RATE)[:3] - pose_at(seconds)[:3]
        np.testing.assert_allclose(episode.actions[number][:3], moved, atol=1e-5)
    assert episode.frames[3:6].shape == (3, 48, 64, 3)
    assert complaints(episode) == []


def test_a_hole_parts_two_episodes_and_none_is_too_long(tmp_path):
    path = make_bag(tmp_path / 'bag', seconds=40.0, skip=lambda seconds: 3.0 < seconds < 5.0)
    before, long, rest = open_episodes(path)
    assert before.steps == 12 and long.steps == LONGEST
    assert before.steps + long.steps + rest.steps == pytest.approx(38 * STEP_RATE, abs=3)
    np.testing.assert_array_equal(long.proprio[-1], rest.proprio[0])
    source = open_episodes(path)
    assert source.where(0) == f'{path}, 0.00 to 3.00 s'
    assert source.where(1) == f'{path}, 5.00 to 30.00 s'


def test_what_is_odd_about_a_bag_is_told_of_the_whole(tmp_path, capsys):
    whole = make_bag(tmp_path / 'bags' / 'a', image_hz=4.0)
    assert open_episodes(whole).remarks() == []
    assert dataset.main(['check', str(whole)]) == 0
    make_bag(tmp_path / 'bags' / 'b', seconds=8.0, skip=lambda seconds: 3.0 < seconds < 4.5)
    (tmp_path / 'bags' / 'b' / 'metadata.yaml').unlink()
    capsys.readouterr()
    assert dataset.main(['check', str(tmp_path / 'bags')]) == dataset.WRONG
    said = capsys.readouterr().out.splitlines()
    for kind, text in (
        ('FAULT missing metadata', 'metadata.yaml is missing'),
        ('FAULT gap', '1 gaps over 0.5 s between frames, the first after 3.00 s (longest 1.50 s)'),
        ('note rate', 'frames come at 10.0 Hz'),
    ):
        (line,) = [line for line in said if line.startswith(f'{kind}: {tmp_path}/bags/b: ')]
        assert text in line
    assert len(said) == 4
    assert said[-1] == '3 episodes, 0 with something wrong, 2 faults of the whole'


def two_cameras(path, poses=1):
    """A bag of /left/image and of /right/image, its negative, and so many poses."""
    with ForeignBag(path) as bag:
        for number in range(31):
            stamp = START + number * 10**8
            left, right = image(stamp), image(stamp)
            right.data = 255 - left.data
            bag.say('/left/image', IMAGE, stamp, left)
            bag.say('/right/image', IMAGE, stamp, right)
            down = value_of(x=1.0, y=0.0, z=0.0, w=0.0)
            pose = value_of(position=xyz(pose_at(number / 10)[:3]), orientation=down)
            for arm in range(poses):
                bag.say(f'/pose_{arm}', POSE, stamp, value_of(header=header(stamp), pose=pose))
    return path


def test_of_several_cameras_one_is_named(tmp_path, capsys):
    path = two_cameras(tmp_path / 'bag')
    several = 'could be the image: /left/image, /right/image; name one with --'
    with pytest.raises(BagError, match=f'{path}.*{several}camera'):
        open_episodes(path)
    with pytest.raises(BagError, match=f'{path}.*{several}image'):
        read_recording(path, TopicSpec(), EVERY_STEP)
    (episode,) = open_episodes(path, '/right/image')
    np.testing.assert_array_equal(episode.frames[4], 255 - picture_at(1.0))
    out = tmp_path / 'out'
    words = ['convert', str(path), str(out), '--to', 'hdf5', '--camera', 'left/image']
    assert dataset.main(words) == 0
    np.testing.assert_array_equal(open_episodes(out)[0].frames[4], picture_at(1.0))
    assert dataset.main(['info', str(path), '--camera', '/up/image']) == 1
    assert 'no topic /up/image; it holds /left/image' in capsys.readouterr().err


def test_of_several_arms_a_bag_is_to_hold_one(tmp_path):
    with pytest.raises(BagError, match='/pose_0, /pose_1; leave one alone in the bag'):
        open_episodes(two_cameras(tmp_path / 'bag', poses=2), '/left/image')


def test_a_folder_of_bags_is_converted_to_what_a_model_is_trained_on(tmp_path, capsys):
    for number in range(2):
        make_bag(tmp_path / 'bags' / f'take_{number}', seconds=4.0, image_hz=20.0)
    out = tmp_path / 'episodes'
    words = ['convert', str(tmp_path / 'bags'), str(out), '--to', 'hdf5', '--size', '32']
    assert dataset.main(words) == 0
    assert '2 episodes' in capsys.readouterr().out
    kept = open_episodes(out)
    assert [episode.frames.shape for episode in kept] == [(17, 32, 32, 3)] * 2
    np.testing.assert_allclose(kept[1].proprio[4], pose_at(1.0), atol=1e-5)


def test_a_picture_that_cannot_be_read_is_named_with_its_bag(tmp_path):
    path = make_bag(tmp_path / 'bag', encoding='no_such_encoding')
    with pytest.raises(EpisodeError, match=rf'{path}.*no_such_encoding'):
        open_episodes(path)
