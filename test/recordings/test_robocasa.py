# SPDX-License-Identifier: Apache-2.0
"""Episodes in the layout of RoboCasa's files, which are robomimic's."""

import json

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jepa_wm_ros.learning import dataset
from jepa_wm_ros.recordings.episode import EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.sanity import complaints

CAMERA = 'robot0_agentview_left_image'
HAND_DOWN = Rotation.from_rotvec([np.pi, 0, 0])


def quaternions(rows):
    """Hands that point down and turn by 0.02 rad a row about the vertical: (w, x, y, z) by hand."""
    half = 0.01 * np.arange(rows)
    zero = np.zeros(rows)
    return np.column_stack([zero, np.cos(half), np.sin(half), zero])  # Rz(2 half) Rx(pi)


def demonstration(group, rows=21, start=0.4, camera=CAMERA):
    """Picture k is grey 5 k + 20, the hand at x = start + 2 k mm; the fingers close from 4 cm."""
    group.attrs['num_samples'] = rows
    group['actions'] = np.zeros((rows, 12))
    group['states'], group['rewards'] = np.zeros((rows, 5)), np.zeros(rows)
    observed = group.create_group('obs')
    grey = (5 * np.arange(rows) + 20).astype(np.uint8)
    observed[camera] = np.broadcast_to(grey[:, None, None, None], (rows, 32, 40, 3))
    position = np.tile([start, 0.1, 0.2], (rows, 1))
    position[:, 0] += 0.002 * np.arange(rows)
    observed['robot0_base_to_eef_pos'] = position
    observed['robot0_base_to_eef_quat'] = np.roll(quaternions(rows), -1, axis=1)  # w last
    finger = np.linspace(0.04, 0, rows)
    observed['robot0_gripper_qpos'] = np.column_stack([finger, -finger])


def write(path, rate=20, **demonstrations):
    """A file of demonstrations, by default one."""
    with h5py.File(path, 'w') as file:
        data = file.create_group('data')
        data.attrs['env_args'] = json.dumps({'env_kwargs': {'control_freq': rate}})
        for name, told in (demonstrations or {'demo_0': {}}).items():
            demonstration(data.create_group(name), **told)
        file.create_group('mask')
    return path


@pytest.mark.parametrize(('rate', 'stride'), [(20, 5), (10, 3), (4, 1)])
def test_every_nth_row_is_a_step_of_our_convention(tmp_path, rate, stride):
    (episode,) = open_episodes(write(tmp_path / 'a.hdf5', rate))
    numbers = np.arange(0, 21, stride)
    assert episode.fps == pytest.approx(rate / stride) and episode.steps == len(numbers) - 1
    np.testing.assert_array_equal(episode.frames[:][:, 3, 4, 1], 5 * numbers + 20)
    np.testing.assert_array_equal(episode.frames[1:3][:, 0, 0, 0], 5 * numbers[1:3] + 20)
    np.testing.assert_array_equal(episode.frames[::-1][:, 0, 0, 0], 5 * numbers[::-1] + 20)
    np.testing.assert_allclose(episode.proprio[:, 0], 0.4 + 0.002 * numbers, atol=1e-6)
    turned = Rotation.from_euler('xyz', episode.proprio[:, 3:6])
    expected = Rotation.from_rotvec(np.outer(0.02 * numbers, [0, 0, 1])) * HAND_DOWN
    assert (turned * expected.inv()).magnitude().max() < 1e-5
    np.testing.assert_allclose(episode.proprio[:, 6], numbers / 20, atol=1e-6)  # 0 open, 1 closed
    wanted = [0.002 * stride, 0, 0, 0, 0, 0.02 * stride, stride / 20]
    np.testing.assert_allclose(episode.actions, np.tile(wanted, (episode.steps, 1)), atol=1e-5)


def test_a_folder_gives_all_its_files_and_their_demonstrations_in_order(tmp_path):
    tenth, second = {'start': 0.5}, {'start': 0.3}
    write(tmp_path / 'a_im256.hdf5', demo_10=tenth, demo_2=second)
    (tmp_path / 'deeper').mkdir()
    write(tmp_path / 'deeper' / 'b_im256.hdf5', demo_0={'camera': 'robot0_leftview_image'})
    starts = [episode.proprio[0, 0] for episode in open_episodes(tmp_path)]
    assert starts == pytest.approx([0.3, 0.5, 0.4])


def test_it_is_converted_as_any_other(tmp_path):
    source, out = write(tmp_path / 'a.hdf5'), tmp_path / 'out'
    assert complaints(open_episodes(source)[0]) == []
    words = ['convert', str(source), str(out), '--to', 'hdf5', '--size', '16']
    assert dataset.main(words) == 0
    (episode,) = open_episodes(out)
    assert episode.frames.shape == (5, 16, 16, 3)
    np.testing.assert_allclose(episode.actions, open_episodes(source)[0].actions)


def test_what_is_missing_is_named(tmp_path):
    path = write(tmp_path / 'a.hdf5')
    for name, said in (
        (
            'obs/robot0_gripper_qpos',
            r'a\.hdf5:data/demo_0: no robot0_gripper_qpos in /data/demo_0/obs',
        ),
        (f'obs/{CAMERA}', r'a\.hdf5:data/demo_0: no robot0_leftview_image in /data/demo_0/obs'),
        ('obs', r'a\.hdf5:data/demo_0: no obs in /data/demo_0'),
    ):
        with h5py.File(path, 'a') as file:
            del file[f'data/demo_0/{name}']
        with pytest.raises(EpisodeError, match=said):
            open_episodes(path)[0]
    with h5py.File(path, 'a') as file:
        del file['data/demo_0']
    with pytest.raises(EpisodeError, match=r'a\.hdf5 has no data/demo_0'):
        open_episodes(path)
    path.write_bytes(b'no hdf5')
    with pytest.raises(EpisodeError, match=r'a\.hdf5 is not a readable HDF5 file'):
        open_episodes(path)


def test_what_does_not_fit_is_named(tmp_path):
    path = write(tmp_path / 'a.hdf5')
    with h5py.File(path, 'a') as file:
        observed = file['data/demo_0/obs']
        del observed['robot0_base_to_eef_quat']
        observed['robot0_base_to_eef_quat'] = np.zeros((21, 4))
    with pytest.raises(EpisodeError, match='robot0_base_to_eef_quat holds no quaternions'):
        open_episodes(path)[0]
    with h5py.File(path, 'a') as file:
        file['data'].attrs['env_args'] = '{}'
    with pytest.raises(EpisodeError, match='env_args of data tells no control_freq'):
        open_episodes(path)[0]
