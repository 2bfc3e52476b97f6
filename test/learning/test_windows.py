# SPDX-License-Identifier: Apache-2.0
"""Windows stay inside their episode, statistics are those of the data, light varies as it says."""

import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_wm_ros.learning.windows import (
    Recording,
    StoredFrames,
    draw_frames,
    draw_windows,
    gripper_weights,
    load_recording,
    statistics,
    vary_light,
)
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter


def recording(lengths: list[int], size: int = 4) -> Recording:
    """Frame i of the recording is filled with i; its action is (i, ...)."""
    count = sum(lengths)
    number = torch.arange(count)
    last = torch.tensor([n - 1 for n in np.cumsum(lengths)])
    actions = number[:, None].float().repeat(1, 7)
    actions[last] = 0
    return Recording(
        frames=number.to(torch.uint8)[:, None, None, None].expand(count, size, size, 3),
        proprio=number[:, None].float().repeat(1, 7),
        actions=actions,
        extras={'cube': torch.zeros(count, 7)},
        episode=torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)),
        fps=4.0,
    )


@settings(deadline=None, max_examples=50)
@given(lengths=st.lists(st.integers(2, 9), min_size=1, max_size=8), window=st.integers(2, 6))
def test_all_windows_lie_inside_one_episode_and_none_is_missing(lengths, window):
    data = recording(lengths)
    starts = data.windows(window)
    for start in starts:
        assert len(data.episode[start : start + window].unique()) == 1
    assert len(starts) == sum(max(0, n - window + 1) for n in lengths)


def test_a_window_pairs_each_frame_with_the_action_taken_after_it():
    data = recording([6, 6])
    windows = draw_windows(data, data.windows(4), 4, 32, torch.Generator().manual_seed(0))
    assert windows.frames.shape == (32, 4, 4, 4, 3)
    assert torch.equal(windows.frames[:, :, 0, 0, 0].long(), windows.index)
    assert torch.equal(windows.actions[:, :-1, 0], windows.index[:, :-1].float())
    assert torch.equal(windows.index.diff(dim=1), torch.ones(32, 3, dtype=torch.int64))


def test_the_same_generator_draws_the_same_windows():
    data = recording([9, 9])
    first, second = (
        draw_windows(data, data.windows(3), 3, 8, torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(first.index, second.index)


def test_episodes_too_short_for_a_window_are_refused():
    data = recording([3, 3])
    with pytest.raises(EpisodeError, match='window of 4 frames'):
        draw_windows(data, data.windows(4), 4, 2, torch.Generator())


def test_statistics_leave_out_the_empty_action_after_an_episode_and_keep_still_dims_finite():
    data = recording([3, 4])
    data.actions[:, 6] = 0.0
    stats = statistics(data)
    taken = torch.tensor([0.0, 1.0, 3.0, 4.0, 5.0])
    assert stats.action_mean[0].item() == pytest.approx(taken.mean().item())
    assert stats.action_std[0].item() == pytest.approx(taken.std().item())
    assert stats.action_std[6].item() == 1.0 and stats.action_mean[6].item() == 0.0
    assert stats.proprio_mean[0].item() == pytest.approx(3.0)


def write(folder, fps: float = 4.0, size: int = 4) -> None:
    rng = np.random.default_rng(0)
    with EpisodeWriter(folder, f'{fps}_{size}') as writer:
        for index in range(2):
            writer.write(
                index,
                Episode(
                    frames=rng.integers(0, 255, (6, size, size, 3), dtype=np.uint8),
                    proprio=np.full((6, 2), index, np.float32),
                    actions=np.ones((5, 3), np.float32),
                    fps=fps,
                    seed=index,
                    extras={'achieved': np.ones((5, 3), np.float32)},
                ),
            )


def test_stored_frames_are_those_of_a_tensor_however_they_are_asked_for():
    episodes = [
        np.full((n, 2, 2, 3), 10 * n, np.uint8) + np.uint8(np.arange(n))[:, None, None, None]
        for n in (3, 1, 4)
    ]
    whole, stored = torch.from_numpy(np.concatenate(episodes)), StoredFrames(episodes)
    assert stored.shape == whole.shape and len(stored) == 8
    for index in (
        torch.tensor([[0, 1, 2], [4, 5, 6]]),
        torch.tensor([7, 0, 3, 2, 3, 4]),
        torch.arange(8),
        torch.empty(0, dtype=torch.int64),
        slice(2, 6),
        slice(None),
    ):
        assert torch.equal(stored[index], whole[index])
    assert torch.equal(torch.cat(list(stored.split(3))), whole)
    assert [len(part) for part in stored.split(3)] == [3, 3, 2]


def resident() -> float:
    """Memory this process holds [MB], that of C libraries included."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / 1e6


def test_loading_and_drawing_do_not_keep_the_pictures(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (21, 96, 96, 3), dtype=np.uint8)  # 0.58 MB
    numbers = np.zeros((21, 7), np.float32)
    with EpisodeWriter(tmp_path, 'a') as writer:
        for index in range(120):
            writer.write(index, Episode(frames, numbers, numbers[1:], 4.0))
    load_recording(tmp_path)  # what is imported and allocated once is not counted
    before = resident()
    data = load_recording(tmp_path)
    for seed in range(40):
        draw_windows(data, data.windows(4), 4, 16, torch.Generator().manual_seed(seed))
    assert resident() - before < 25.0  # all pictures are 70 MB, a batch 1.8 MB


def own_memory() -> float:
    """Memory this process holds [MB], without the pages of files."""
    status = Path('/proc/self/status').read_text()
    return int(status.split('RssAnon:')[1].split()[0]) / 1e3


def test_the_numbers_of_a_set_are_not_kept_in_memory_either(tmp_path):
    still, numbers = np.zeros((500, 1, 1, 3), np.uint8), np.ones((500, 7), np.float32)
    extras = {'touch': np.ones((500, 200), np.float32)}  # 0.4 MB
    with EpisodeWriter(tmp_path, 'a') as writer:
        for index in range(200):
            writer.write(index, Episode(still, numbers, numbers[1:], 4.0, extras=extras))
    load_recording(tmp_path, lambda number: number < 2)
    before = own_memory()
    data = load_recording(tmp_path)
    assert data.extras['touch'].sum() == 200 * 500 * 200
    assert own_memory() - before < 8.0  # the numbers are 86 MB


def test_extras_that_some_episodes_lack_are_left_out(tmp_path):
    still, numbers = np.zeros((3, 1, 1, 3), np.uint8), np.ones((3, 7), np.float32)
    with EpisodeWriter(tmp_path, 'a') as writer:
        for index, names in enumerate(('ab', 'b', 'bc')):
            extras = {name: index * numbers for name in names}
            writer.write(index, Episode(still, numbers, numbers[1:], 4.0, extras=extras))
    extras = load_recording(tmp_path).extras
    assert list(extras) == ['b'] and extras['b'][:, 0].tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_extras_of_another_width_are_refused(tmp_path):
    still, numbers = np.zeros((3, 1, 1, 3), np.uint8), np.ones((3, 7), np.float32)
    with EpisodeWriter(tmp_path, 'a') as writer:
        for index, extra in enumerate((numbers, numbers[:, :6])):
            writer.write(index, Episode(still, numbers, numbers[1:], 4.0, extras={'cube': extra}))
    with pytest.raises(EpisodeError, match=r'mixes recordings.*\(7,\) and \(6,\)'):
        load_recording(tmp_path)


def test_a_full_disk_for_temporary_files_is_told(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(tempfile, 'TemporaryFile', lambda: open('/dev/full', 'w+b'))
    with pytest.raises(EpisodeError, match='no room for the numbers of .*No space left'):
        load_recording(tmp_path)


def test_a_folder_of_episodes_becomes_one_recording(tmp_path):
    write(tmp_path)
    data = load_recording(tmp_path)
    assert data.frames.shape == (12, 4, 4, 3) and data.fps == 4.0
    assert data.episode.tolist() == [0] * 6 + [1] * 6
    assert data.actions[:, 0].tolist() == ([1.0] * 5 + [0.0]) * 2
    assert data.extras['achieved'].shape == data.actions.shape == (12, 3)
    assert data.proprio[6:, 0].tolist() == [1.0] * 6


@pytest.mark.parametrize('other', [{'fps': 8.0}, {'size': 6}])
def test_recordings_that_do_not_belong_together_are_refused(tmp_path, other):
    write(tmp_path)
    write(tmp_path, **other)
    with pytest.raises(EpisodeError, match='mixes recordings'):
        load_recording(tmp_path)


def test_light_changes_within_its_strength_and_alike_in_all_frames_of_a_window():
    pixels = torch.zeros(50, 3, 3, 2, 2)
    pixels[:, :, :, 1] = 1.0
    lit = vary_light(pixels, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(lit[:, 0], lit[:, 2])
    dark, bright = lit[:, 0, :, 0, 0], lit[:, 0, :, 1, 0]
    assert dark.abs().max() <= 0.12 and dark.abs().max() > 0.09
    gain = bright - dark
    assert gain.min() >= 0.9 and gain.max() <= 1.1 and gain.std() > 0.02
    assert torch.equal(vary_light(pixels, 0.0, torch.Generator()), pixels)


def test_windows_in_which_the_gripper_acts_or_holds_are_drawn_more_often():
    data = recording_of_grippers()
    starts = data.windows(3)
    weights = gripper_weights(data, starts, 3, 4.0)
    stroke, held = 5, range(12, 15)
    acts = [any(f == stroke or f in held for f in range(s, s + 3)) for s in starts]
    wanted = [4.0 if act else 1.0 for act in acts]
    assert weights.tolist() == wanted
    drawn = draw_frames(starts, 3, 20_000, torch.Generator().manual_seed(0), weights)[:, 0]
    often = (drawn[:, None] == starts[weights > 1]).any(1).float().mean()
    assert often == pytest.approx((weights[weights > 1].sum() / weights.sum()).item(), abs=0.02)


def recording_of_grippers():
    actions, proprio = torch.zeros(20, 7), torch.zeros(20, 7)
    actions[5, 6], proprio[12:15, 6], proprio[16:, 6] = 1.0, 0.4, 1.0
    frames = torch.zeros(20, 4, 4, 3, dtype=torch.uint8)
    return Recording(frames, proprio, actions, {}, torch.zeros(20, dtype=torch.int64), 4.0)
