# SPDX-License-Identifier: Apache-2.0
"""Episodes survive the disk, and whatever is wrong with them is said in one line."""

import h5py
import numpy as np
import pytest

from jepa_wm_ros.recordings.formats.hdf5 import (
    Episode,
    EpisodeError,
    EpisodeWriter,
    episode_files,
    read_episodes,
    recorded_indices,
)


def make_episode(seed: int, steps: int = 5, size: int = 8) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        frames=rng.integers(0, 256, (steps + 1, size, size, 3), dtype=np.uint8),
        poses=rng.normal(size=(steps + 1, 7)).astype(np.float32),
        actions=rng.normal(size=(steps, 7)).astype(np.float32),
        achieved=rng.normal(size=(steps, 7)).astype(np.float32),
        cube=rng.normal(size=(steps + 1, 7)).astype(np.float32),
        seed=seed,
        fps=4.0,
    )


def same(a: Episode, b: Episode) -> bool:
    arrays = ('frames', 'poses', 'actions', 'achieved', 'cube')
    return (a.seed, a.fps) == (b.seed, b.fps) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays
    )


def test_episodes_read_back_as_written_across_shards_and_processes(tmp_path):
    episodes = [make_episode(seed) for seed in range(7)]
    with EpisodeWriter(tmp_path, 'a', episodes_per_file=2) as writer:
        for index in range(5):
            writer.write(index, episodes[index])
    with EpisodeWriter(tmp_path, 'b') as writer:
        writer.write(5, episodes[5])
        writer.write(6, episodes[6])
    read = list(read_episodes(tmp_path))
    assert len(episode_files(tmp_path)) == 4
    assert len(read) == 7 and all(same(a, b) for a, b in zip(episodes, read, strict=True))


def test_a_second_run_of_a_recorder_adds_shards_and_knows_what_is_there(tmp_path):
    for index in (3, 8):
        with EpisodeWriter(tmp_path, 'a') as writer:
            writer.write(index, make_episode(index))
    assert recorded_indices(tmp_path) == {3, 8}
    assert recorded_indices(tmp_path / 'nowhere') == set()


def test_a_reader_never_meets_an_unfinished_file(tmp_path):
    writer = EpisodeWriter(tmp_path, 'a')
    writer.write(0, make_episode(0))
    with pytest.raises(EpisodeError, match='record some first'):
        episode_files(tmp_path)
    writer.close()
    assert len(list(read_episodes(tmp_path))) == 1


def test_a_crash_while_recording_keeps_what_was_written(tmp_path):
    with pytest.raises(ZeroDivisionError), EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, make_episode(0))
        raise ZeroDivisionError
    assert recorded_indices(tmp_path) == {0}


@pytest.mark.parametrize(
    'change, message',
    [
        ({'actions': np.zeros((4, 7), np.float32)}, r'actions of an episode of 5 steps'),
        ({'poses': np.full((6, 7), np.nan, np.float32)}, 'poses has NaN'),
        ({'frames': np.zeros((6, 8, 8, 3), np.float32)}, 'frames must be uint8'),
        ({'frames': np.zeros((6, 8, 9, 3), np.uint8)}, 'frames of an episode'),
        ({'fps': 0.0}, 'fps must be positive'),
    ],
)
def test_a_wrong_episode_is_refused_by_name(change, message):
    good = make_episode(0)
    fields = {name: getattr(good, name) for name in Episode.__slots__}
    with pytest.raises(EpisodeError, match=message):
        Episode(**(fields | change))


def test_a_foreign_file_is_named_with_what_it_lacks(tmp_path):
    with h5py.File(tmp_path / 'episodes_x_0000.h5', 'w') as file:
        file.create_group('episode_000000')['frames'] = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(EpisodeError, match=r'episodes_x_0000.h5:episode_000000 lacks'):
        list(read_episodes(tmp_path))


def test_a_file_that_is_not_hdf5_is_named(tmp_path):
    (tmp_path / 'episodes_x_0000.h5').write_text('no')
    with pytest.raises(EpisodeError, match=r'not a readable HDF5 file'):
        list(read_episodes(tmp_path))
