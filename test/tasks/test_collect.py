# SPDX-License-Identifier: Apache-2.0
"""Episodes of a world: what is kept is what happened, and is told beside the published figures."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('h5py')

from jepa_wm_ros.learning.windows import fingerprint, load_recording  # noqa: E402
from jepa_wm_ros.recordings.folder import seal  # noqa: E402
from jepa_wm_ros.recordings.formats.hdf5 import Hdf5Episodes  # noqa: E402
from jepa_wm_ros.tasks import collect  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.tasks.world import roll  # noqa: E402


def collected(folder, *more):
    assert collect.main(['wall', '--out', str(folder), '--steps', '4', *more]) == 0
    return list(Hdf5Episodes(folder))


def test_actions_lead_from_each_state_to_the_next(tmp_path):
    world = Wall()
    for episode in collected(tmp_path / 'a', '--episodes', '4', '--expert', '0.5'):
        states = episode.extras['state'].astype(float)
        for before, action, after in zip(states[:-1], episode.actions, states[1:], strict=True):
            there = roll(world, before[None], action[None, None].astype(float))[0]
            np.testing.assert_allclose(there, after, atol=1e-3)
        np.testing.assert_allclose(episode.proprio, states[:, :2], atol=1e-6)


def test_the_same_command_goes_on_and_makes_the_same(tmp_path):
    whole = collected(tmp_path / 'a', '--episodes', '5')
    collected(tmp_path / 'b', '--episodes', '2')
    parts = collected(tmp_path / 'b', '--episodes', '5')
    assert len(parts) == 5
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.frames[:], other.frames[:])


def sealed(folder):
    return json.loads((folder / 'recording.json').read_text())['collected']


def test_what_was_collected_is_told_by_its_hash(tmp_path, capsys):
    collected(tmp_path / 'a', '--episodes', '5')
    told = sealed(tmp_path / 'a')
    assert told['episodes'] == 5 and f'(SHA-256 {told["sha256"]})' in capsys.readouterr().out
    collected(tmp_path / 'b', '--episodes', '2')
    assert sealed(tmp_path / 'b') != told
    collected(tmp_path / 'b', '--episodes', '5')  # goes on
    assert sealed(tmp_path / 'b') == told
    collected(tmp_path / 'c', '--episodes', '5', '--seed', '1')
    assert sealed(tmp_path / 'c')['sha256'] != told['sha256']
    # A training on all of it names the same.
    assert fingerprint(load_recording(tmp_path / 'a')) == told['sha256']


@pytest.mark.parametrize('name', ['frames', 'proprio', 'actions'])
def test_a_single_number_makes_another_hash(tmp_path, name):
    episodes = collected(tmp_path / 'a', '--episodes', '2')
    before = sealed(tmp_path / 'a')['sha256']
    assert seal(tmp_path / 'a', episodes) == before
    values = np.array(getattr(episodes[1], name)[:])
    values.flat[-1] = not values.flat[-1]
    assert seal(tmp_path / 'a', [episodes[0], replace(episodes[1], **{name: values})]) != before


def test_statistics_stand_beside_the_published_ones(tmp_path, capsys):
    episodes = collected(tmp_path / 'a', '--episodes', '3')
    actions = np.concatenate([e.actions.reshape(-1, 2) for e in episodes])
    said = capsys.readouterr().out
    assert f'action 1: mean {actions[:, 1].mean():.3f} (0.013)' in said
    assert f'standard deviation {actions[:, 0].std():.3f} (0.752)' in said
    assert 'proprio 1: ' in said and '(17.275)' in said
