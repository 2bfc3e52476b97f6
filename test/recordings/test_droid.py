# SPDX-License-Identifier: Apache-2.0
"""Episodes in the layout of DROID's raw files."""

import numpy as np
import pytest

from jepa_wm_ros.actions import integrate
from jepa_wm_ros.recordings.episode import EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.droid import TRAJECTORY
from support.droid import write_droid


@pytest.mark.parametrize(('rate', 'stride'), [(15, 4), (60, 15), (3, 1)])
def test_every_nth_pair_of_picture_and_state_is_a_step(tmp_path, rate, stride):
    write_droid(tmp_path / 'a', rate)
    (episode,) = open_episodes(tmp_path)
    count = len(range(0, 40, stride))
    assert episode.fps == pytest.approx(rate / stride) and len(episode.frames) == count
    numbers = np.arange(count) * stride
    np.testing.assert_allclose(episode.frames[:].mean(axis=(1, 2, 3)), 4 * numbers + 20, atol=2)
    np.testing.assert_allclose(episode.frames[2:4].mean((1, 2, 3)), 4 * numbers[2:4] + 20, atol=2)
    np.testing.assert_allclose(episode.proprio[:, 0], 0.3 + numbers / 1000, atol=1e-6)
    for k, action in enumerate(episode.actions):
        reached = integrate(episode.proprio[k].astype(float), action.astype(float))
        np.testing.assert_allclose(reached, episode.proprio[k + 1], atol=1e-6)


def test_what_is_a_little_longer_is_cut_to_the_pairs(tmp_path):
    write_droid(tmp_path / 'a', pictures=25)
    write_droid(tmp_path / 'b', states=25)
    assert [len(episode.frames) for episode in open_episodes(tmp_path)] == [7, 7]


@pytest.mark.parametrize('short', [{'pictures': 24}, {'states': 24}])
def test_an_episode_of_which_a_second_is_missing_is_refused(tmp_path, short):
    folder = write_droid(tmp_path / 'a', **short)
    counts = {'pictures': 40, 'states': 40} | short
    said = '{}: {pictures} pictures at 15/s and {states} states, .*leave it out'
    with pytest.raises(EpisodeError, match=said.format(folder, **counts)):
        open_episodes(tmp_path)[0]
    assert open_episodes(tmp_path).where(0) == str(folder)


def test_what_is_missing_is_named(tmp_path):
    folder = write_droid(tmp_path / 'a')
    (folder / 'recordings/MP4/22008760.mp4').rename(tmp_path / 'away')
    with pytest.raises(EpisodeError, match=r'22008760\.mp4: not there, though metadata_x\.json'):
        open_episodes(tmp_path)[0]
    (folder / 'metadata_x.json').unlink()
    with pytest.raises(EpisodeError, match='names a left_mp4_path'):
        open_episodes(tmp_path)[0]
    (folder / TRAJECTORY).write_bytes(b'no hdf5')
    with pytest.raises(EpisodeError, match=r'trajectory\.h5: no trajectory of DROID'):
        open_episodes(tmp_path)[0]
