# SPDX-License-Identifier: Apache-2.0
"""Bags as episodes: what lies in them, where a hole parts them, and what is learnt from."""

import numpy as np
import pytest

from jepa_wm_ros.learning import dataset
from jepa_wm_ros.recordings.episode import STEP_RATE, EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.bag import LONGEST
from jepa_wm_ros.recordings.sanity import complaints
from support.bags import make_bag, picture_at, pose_at


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
