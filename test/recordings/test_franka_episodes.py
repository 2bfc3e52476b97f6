# SPDX-License-Identifier: Apache-2.0
"""Episodes in the layout of the paper's own Franka files."""

import h5py
import numpy as np
import pytest

from jepa_wm_ros.actions import integrate
from jepa_wm_ros.recordings.episode import EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.franka import CAMERA, CLOSURE, HAND, OBSERVATION


def write(folder, pictures=50, states=50, **other):
    """An episode whose picture k is grey 4 k and whose hand is at x = 0.3 + k mm."""
    folder.mkdir(parents=True)
    hand = np.tile([0.3, 0.1, 0.2, 3.0, 0.0, 0.1], (states, 1))
    hand[:, 0] += np.arange(states) / 1000
    parts = {
        HAND: hand,
        CLOSURE: np.linspace(0, 1, states),
        CAMERA: np.full((pictures, 48, 64, 3), 4, np.uint8)
        * np.arange(pictures, dtype=np.uint8)[:, None, None, None],
    } | other
    with h5py.File(folder / 'episode.h5', 'w') as file:
        for name, values in parts.items():
            if values is not None:
                file[f'{OBSERVATION}/{name}'] = values
    return folder / 'episode.h5'


def test_every_eighth_picture_with_its_state_is_a_step(tmp_path):
    write(tmp_path / 'lab' / 'run_0002')
    write(tmp_path / 'run_0001', pictures=17, states=17)
    first, second = sorted(open_episodes(tmp_path), key=lambda episode: -episode.steps)
    assert (first.steps, second.steps) == (6, 2) and first.fps == 3.75
    numbers = 8 * np.arange(7)
    assert (first.frames[:] == 4 * numbers[:, None, None, None]).all()
    assert (first.frames[2:4] == 4 * numbers[2:4, None, None, None]).all()
    np.testing.assert_allclose(first.proprio[:, 0], 0.3 + numbers / 1000, atol=1e-6)
    np.testing.assert_allclose(first.proprio[:, 6], numbers / 49, atol=1e-6)
    for k, action in enumerate(first.actions):
        reached = integrate(first.proprio[k].astype(float), action.astype(float))
        np.testing.assert_allclose(reached, first.proprio[k + 1], atol=1e-6)


@pytest.mark.parametrize(
    ('other', 'said'),
    [
        ({HAND: None}, 'has no episode_data/observation/cartesian_position'),
        ({CAMERA: None}, 'has no episode_data/observation/exterior_image_2_left'),
        ({CLOSURE: np.zeros(49)}, r'gripper_position \(49,\) for 50 pictures'),
        ({HAND: np.zeros((50, 7))}, r'cartesian_position is \(50, 7\)'),
        ({CAMERA: np.zeros((50, 48, 64, 3))}, 'float64'),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, other, said):
    path = write(tmp_path / 'run_0001', **other)
    with pytest.raises(EpisodeError, match=said) as caught:
        open_episodes(tmp_path)[0]
    assert str(path) in str(caught.value) and open_episodes(tmp_path).where(0) == str(path)


def test_a_file_that_ends_early_is_named(tmp_path):
    path = write(tmp_path / 'run_0001')
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(EpisodeError, match=r'episode\.h5 is not a readable HDF5 file'):
        open_episodes(tmp_path)[0]
