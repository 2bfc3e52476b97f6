# SPDX-License-Identifier: Apache-2.0
"""Episodes survive the disk, and whatever is wrong with them is said in one line."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from jepa_wm_ros.recordings import formats
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.folder import claim
from jepa_wm_ros.recordings.formats import hdf5, open_episodes
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter, recorded_indices
from support.paths import ROOT


def make_episode(seed: int, steps: int = 5, size: int = 8) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        frames=rng.integers(0, 256, (steps + 1, size, size, 3), dtype=np.uint8),
        proprio=rng.normal(size=(steps + 1, 4)).astype(np.float32),
        actions=rng.normal(size=(steps, 2)).astype(np.float32),
        fps=4.0,
        seed=seed,
        extras={
            'achieved': rng.normal(size=(steps, 2)).astype(np.float32),
            'cube': rng.normal(size=(steps + 1, 7)).astype(np.float32),
        },
    )


def same(a: Episode, b: Episode) -> bool:
    arrays = [(a.frames[:], b.frames[:]), (a.proprio, b.proprio), (a.actions, b.actions)]
    arrays += [(a.extras[name], b.extras[name]) for name in a.extras]
    return (a.seed, a.fps, a.extras.keys()) == (b.seed, b.fps, b.extras.keys()) and all(
        np.array_equal(one, other) for one, other in arrays
    )


def test_episodes_read_back_as_written_across_shards_and_processes(tmp_path):
    episodes = [make_episode(seed) for seed in range(7)]
    with EpisodeWriter(tmp_path, 'a', episodes_per_file=2) as writer:
        for index in range(5):
            writer.write(index, episodes[index])
    with EpisodeWriter(tmp_path, 'b') as writer:
        writer.write(5, episodes[5])
        writer.write(6, episodes[6])
    read = list(open_episodes(tmp_path))
    assert len(list(tmp_path.iterdir())) == 4
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
        open_episodes(tmp_path)
    writer.close()
    assert len(list(open_episodes(tmp_path))) == 1


def test_a_crash_while_recording_keeps_what_was_written(tmp_path):
    with pytest.raises(ZeroDivisionError), EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, make_episode(0))
        raise ZeroDivisionError
    assert recorded_indices(tmp_path) == {0}


# A disk with room for some of these, which HDF5 itself would crash on.
FULL = """
import resource, sys
sys.path[:0] = {path!r}
from jepa_wm_ros.recordings.episode import EpisodeError
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from test_episodes import make_episode
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))
try:
    with EpisodeWriter({folder!r}, 'a') as writer:
        for index in range(9):
            writer.write(index, make_episode(index, size=96))
except EpisodeError as error:
    print(error)
"""


@pytest.mark.parametrize(('room', 'whole'), [(1000, 0), (200_000, 0), (700_000, 3)])
def test_a_full_disk_is_told_and_leaves_whole_episodes_alone(tmp_path, room, whole):
    path = [str(ROOT), *(str(ROOT / 'test' / name) for name in ('', 'recordings'))]
    code = FULL.format(path=path, room=room, folder=str(tmp_path))
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ''
    said = f'{tmp_path}: episode {whole} cannot be written (File too large): make room and give'
    assert done.stdout.startswith(said) and done.stdout.count('\n') == 1
    assert not list(tmp_path.glob('*.part')) and len(recorded_indices(tmp_path)) == whole
    with EpisodeWriter(tmp_path, 'a') as writer:  # when there is room again
        writer.write(whole, make_episode(whole, size=96))
    read = list(open_episodes(tmp_path))
    assert len(read) == whole + 1
    assert all(same(make_episode(seed, size=96), episode) for seed, episode in enumerate(read))


def broken(monkeypatch, error):
    """Nothing but the pictures of the next episode is written."""

    def write(group, episode, frames):
        group['frames'] = frames
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(hdf5, '_write', write)


def test_an_episode_that_was_half_written_is_taken_back(tmp_path, monkeypatch):
    with EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, make_episode(0))
        broken(monkeypatch, OSError(28, 'as the test wants it'))
        with pytest.raises(EpisodeError, match='episode 1 cannot be written .No space left'):
            writer.write(1, make_episode(1))
        writer.write(1, make_episode(1))
        broken(monkeypatch, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            writer.write(2, make_episode(2))
    assert len(list(tmp_path.iterdir())) == 2
    assert all(same(make_episode(n), read) for n, read in enumerate(open_episodes(tmp_path)))
    assert len(open_episodes(tmp_path)) == 2
    with EpisodeWriter(tmp_path / 'none', 'a') as writer:
        broken(monkeypatch, OSError(28, 'as the test wants it'))
        with pytest.raises(EpisodeError):
            writer.write(0, make_episode(0))
    assert not list((tmp_path / 'none').iterdir())


def test_room_that_was_not_needed_is_given_back(tmp_path):
    with EpisodeWriter(tmp_path, 'a') as writer:
        for number in range(3):
            writer.write(number, make_episode(number))
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < hdf5.HEADERS / 2


def test_an_index_that_is_taken_leaves_the_episode_that_has_it(tmp_path):
    with EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, make_episode(0))
        with pytest.raises(ValueError):
            writer.write(0, make_episode(1))
    assert same(open_episodes(tmp_path)[0], make_episode(0))


def test_a_recording_that_cannot_be_begun_is_told(tmp_path, monkeypatch):
    def full(path, text):
        os.close(os.open(path, os.O_CREAT))
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr('pathlib.Path.write_text', full)
    with pytest.raises(EpisodeError, match=r'recording\.json \(No space left on device\)'):
        claim(tmp_path / 'out', {'seed': 1})
    assert not list((tmp_path / 'out').iterdir())


@pytest.mark.parametrize(
    'change, message',
    [
        ({'actions': np.zeros((4, 7), np.float32)}, r'actions of an episode of 5 steps'),
        ({'proprio': np.full((6, 7), np.nan, np.float32)}, 'proprio has NaN'),
        ({'proprio': np.zeros((5, 7), np.float32)}, r'proprio .* must be \(6, ...\), got \(5, 7\)'),
        ({'extras': {'cube': np.zeros((4, 7))}}, r'cube .* must be \(5, ...\) or \(6, ...\)'),
        ({'frames': np.zeros((6, 8, 8, 3), np.float32)}, 'frames must be uint8'),
        ({'frames': np.zeros((6, 8, 9), np.uint8)}, 'frames must be uint8'),
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
        list(open_episodes(tmp_path))


def test_a_file_that_is_not_hdf5_is_named(tmp_path):
    (tmp_path / 'episodes_x_0000.h5').write_text('no')
    with pytest.raises(EpisodeError, match=r'not a readable HDF5 file'):
        list(open_episodes(tmp_path))


def test_pictures_stay_on_disk_until_they_are_sliced(tmp_path):
    episode = make_episode(0, steps=9)
    with EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, episode)
    stored = open_episodes(tmp_path)[0]
    assert not isinstance(stored.frames, np.ndarray) and stored.frames.shape == (10, 8, 8, 3)
    assert np.array_equal(stored.frames[3:5], episode.frames[3:5])


def test_a_cut_is_an_episode_of_its_own_and_the_same_from_memory_and_from_disk(tmp_path):
    episode = make_episode(0, steps=9)
    with EpisodeWriter(tmp_path, 'a') as writer:
        writer.write(0, episode)
    cut = open_episodes(tmp_path)[0].cut(2, 4)
    assert same(cut, episode.cut(2, 4)) and cut.steps == 4
    assert np.array_equal(cut.frames, episode.frames[2:7])
    assert np.array_equal(cut.actions, episode.actions[2:6])
    assert np.array_equal(cut.extras['cube'], episode.extras['cube'][2:7])
    assert np.array_equal(cut.extras['achieved'], episode.extras['achieved'][2:6])
    with pytest.raises(EpisodeError, match='no 4 steps from step 6'):
        episode.cut(6, 4)


def test_another_format_is_a_module_of_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / 'formats'
    folder.mkdir()
    (folder / 'text_format.py').write_text(
        'from jepa_wm_ros.recordings.formats import Format\n'
        "FORMAT = Format('text', 'a .txt file', lambda path: path.suffix == '.txt', "
        'lambda path: path.name)\n'
    )
    monkeypatch.setattr(formats, '__path__', [*formats.__path__, str(folder)])
    assert set(formats.formats()) > {'hdf5', 'text'}
    assert open_episodes(tmp_path / 'x.txt') == 'x.txt'
    with pytest.raises(EpisodeError, match='a .txt file'):
        open_episodes(tmp_path / 'nothing')
