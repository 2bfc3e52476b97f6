# SPDX-License-Identifier: Apache-2.0
"""`dataset`: what it says of episodes, what it finds wrong, and what it writes."""

import dataclasses
import re

import h5py
import numpy as np
import pytest

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.learning import dataset
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.recordings.sanity import complaints

STEPS = 12


def sound(seed: int = 0) -> Episode:
    """An arm that goes its way before a camera: a square that moves with it."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-0.05, 0.05, (STEPS, 3))
    poses = np.tile([0.5, 0.0, 0.3, np.pi, 0.0, 0.1, 0.0], (STEPS + 1, 1))
    poses[1:, :3] += np.cumsum(steps, axis=0)
    actions = actions_between(poses)
    actions[:, :3] += rng.normal(scale=0.004, size=(STEPS, 3))  # what was commanded
    frames = np.full((STEPS + 1, 40, 40, 3), 90, np.uint8)
    for frame, pose in zip(frames, poses, strict=True):
        row, column = (int(20 + 40 * offset) for offset in (pose[1], pose[0] - 0.5))
        frame[max(0, row - 5) : row + 5, max(0, column - 5) : column + 5] = 200
    return Episode(frames, poses.astype(np.float32), actions.astype(np.float32), 4.0, seed)


def in_millimetres(episode):
    poses = episode.proprio.copy()
    poses[:, :3] *= 1000
    return dataclasses.replace(episode, proprio=poses)


def in_degrees(episode):
    poses = episode.proprio.copy()
    poses[:, 3:6] = np.degrees(poses[:, 3:6])
    return dataclasses.replace(episode, proprio=poses)


def mirrored(episode):
    actions = episode.actions.copy()
    actions[:, 1] *= -1
    return dataclasses.replace(episode, actions=actions)


def with_a_gap(episode):
    poses = episode.proprio.copy()
    poses[6:, 0] += 0.6
    return dataclasses.replace(episode, proprio=poses)


def of_two_cameras(episode):
    frames = episode.frames.copy()
    frames[6:] = 255 - frames[6:, ::-1]
    return dataclasses.replace(episode, frames=frames)


def frozen(episode):
    frames = episode.frames.copy()
    frames[3:] = frames[3]
    return dataclasses.replace(episode, frames=frames)


def commanded_in_millimetres(episode):
    return dataclasses.replace(
        episode, actions=episode.actions * np.float32([*[1000] * 3, *[1] * 4])
    )


def turning(episode, unit):
    """It turns a little, and is told so in `unit`."""
    rng = np.random.default_rng(episode.seed)
    poses = episode.proprio.astype(np.float64)
    poses[1:, 5] += np.cumsum(rng.uniform(-0.03, 0.03, STEPS))
    actions = episode.actions.copy()
    actions[:, 5] = actions_between(poses)[:, 5] * unit + rng.normal(scale=0.003 * unit, size=STEPS)
    return dataclasses.replace(episode, proprio=poses.astype(np.float32), actions=actions)


def commanded_in_degrees(episode):
    return turning(episode, 180 / np.pi)


def commanded_in_small_millimetres(episode):
    """Less than any bound tells."""
    poses, actions = episode.proprio.copy(), episode.actions.copy()
    poses[1:, :3] = poses[0, :3] + (poses[1:, :3] - poses[0, :3]) / 40
    actions[:, :3] *= 1000 / 40
    return dataclasses.replace(episode, proprio=poses, actions=actions)


def interrupted(episode):
    seconds = 1.2 * np.arange(STEPS + 1, dtype=np.float32)
    seconds[8:] += 7.0
    return dataclasses.replace(episode, extras={'seconds': seconds[:, None]})


def with_a_clock_set_back(episode):
    seconds = 1.2 * np.arange(STEPS + 1, dtype=np.float32)
    seconds[8:] -= 1.5
    return dataclasses.replace(episode, extras={'seconds': seconds[:, None]})


def foreign(episode):
    return dataclasses.replace(
        episode, proprio=1e4 * episode.proprio[:, :4], actions=episode.actions[:, :2]
    )


WRONGS = {
    in_millimetres: 'at 0.00 s the hand is .* metres, not millimetres',
    in_degrees: 'at 0.00 s the hand is turned by 180: angles are in radians',
    mirrored: r'at \d\.\d\d s and in \d+ of \d+ steps .* commands along y: the axis is mirrored',
    commanded_in_millimetres: r'at \d\.\d\d s a translation of \d\d.* commanded: metres, not mill',
    commanded_in_small_millimetres: 'a translation of .* metres, not millimetres',
    commanded_in_degrees: r'at \d\.\d\d s a turn of [12]\..* is commanded: radians, not degrees',
    interrupted: r'after 8\.40 s comes 16\.60 s, where a step takes 1\.20 s: a gap',
    with_a_clock_set_back: r'after 8\.40 s comes 8\.10 s',
    with_a_gap: 'at 1.25 s the hand jumps by 0\\.[56]',
    of_two_cameras: 'at 1.25 s the picture changes at once',
    frozen: 'at 0.75 s the pictures stay the same .*: the camera is frozen',
}


@pytest.mark.parametrize('seed', range(5))
def test_nothing_is_wrong_with_a_sound_episode(seed):
    assert complaints(sound(seed)) == []


@pytest.mark.parametrize(('wrong', 'said'), WRONGS.items())
def test_what_is_wrong_is_named_with_its_time(wrong, said):
    for seed in range(5):
        (line,) = complaints(wrong(sound(seed)))
        assert re.search(said, line), line


def test_an_axis_that_is_mirrored_is_named_with_its_first_step_and_how_many():
    episode = sound()
    episode.actions[:, 1] = 0.03 * (-1.0) ** np.arange(STEPS)
    episode.actions[:2, 1] = 0.004  # too short to tell
    episode.proprio[1:, 1] = -np.cumsum(episode.actions[:, 1])
    episode.proprio[6:, 1] += 2 * episode.actions[5, 1]  # that one was made
    (line,) = complaints(episode)
    assert line.startswith('at 0.50 s and in 9 of 10 steps the hand goes against its commands')


def test_a_command_in_another_unit_is_named_with_its_time_though_nothing_came_of_it():
    episode = held_fast(sound())
    episode.actions[7, 0] = 100
    (line,) = complaints(episode)
    assert line == 'at 1.75 s a translation of 100 is commanded: metres, not millimetres'


def as_absolute_poses(episode):
    return dataclasses.replace(episode, actions=episode.proprio[1:])


def held_fast(episode):
    return dataclasses.replace(episode, proprio=np.repeat(episode.proprio[:1], STEPS + 1, axis=0))


def held_with_some_play(episode):
    rng = np.random.default_rng(episode.seed)
    poses = held_fast(episode).proprio + rng.normal(scale=2e-4, size=(STEPS + 1, 7))
    return dataclasses.replace(episode, proprio=poses.astype(np.float32))


def as_slow_as_a_real_arm(episode):
    seconds = np.cumsum([0.0, *np.random.default_rng(episode.seed).uniform(0.7, 1.5, STEPS)])
    seconds[5:] += 3.0  # a stroke of the gripper
    return dataclasses.replace(episode, extras={'seconds': seconds[:, None].astype(np.float32)})


@pytest.mark.parametrize(
    'other',
    [
        as_absolute_poses,
        held_fast,
        held_with_some_play,
        as_slow_as_a_real_arm,
        lambda episode: turning(episode, 1),
    ],
)
def test_what_is_only_unusual_is_no_other_unit_and_no_gap(other):
    for seed in range(20):
        said = ' '.join(complaints(other(sound(seed))))
        assert 'is commanded' not in said and 'gap' not in said


def test_other_worlds_are_not_judged_by_an_arm():
    assert complaints(foreign(sound())) == []


@pytest.fixture
def recorded(tmp_path):
    with EpisodeWriter(tmp_path / 'data', 'a') as writer:
        for number in range(4):
            writer.write(number, sound(number) if number != 2 else mirrored(sound(number)))
    return tmp_path / 'data'


def test_check_names_the_episode_and_has_a_status_of_its_own(recorded, capsys):
    assert dataset.main(['check', str(recorded)]) == dataset.WRONG
    said = capsys.readouterr().out.splitlines()
    place = f'{recorded / "episodes_a_0000.h5"}:episode_000002: at '
    assert said[0].startswith(place) and 'the hand goes against' in said[0] and len(said) == 2
    assert said[1] == '4 episodes, 1 with something wrong'


def test_check_goes_on_after_what_cannot_be_read_and_names_it_once(recorded, capsys):
    (shard,) = recorded.iterdir()
    with h5py.File(shard, 'a') as file:
        del file['episode_000001']['actions']
        place = file['episode_000000/frames'].id.get_chunk_info(3).byte_offset
    with shard.open('r+b') as file:
        file.seek(place)
        file.write(b'\xff' * 40)
    assert dataset.main(['check', str(recorded)]) == dataset.WRONG
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f'{shard}:episode_000000 is damaged')
    assert said[1].startswith(f'{shard}:episode_000001 lacks')
    assert said[2].startswith(f'{shard}:episode_000002: at') and len(said) == 4
    assert said[3] == '4 episodes, 3 with something wrong'


def test_a_camera_that_a_format_does_not_have_is_refused(recorded, tmp_path, capsys):
    for words in (['info', str(recorded)], ['convert', str(recorded), str(tmp_path / 'out')]):
        assert dataset.main([*words, '--camera', 'wrist']) == 1
        said = capsys.readouterr().err
        assert said == f'error: {recorded}: of format hdf5 one camera is read: leave out --camera\n'


def test_info_tells_what_is_there(recorded, capsys):
    assert dataset.main(['info', str(recorded)]) == 0
    said = capsys.readouterr().out
    assert f'{recorded}: 4 episodes' in said
    assert '4 with 48 steps, 0.2 minutes: pictures 40x40, 4 steps/s' in said
    first = np.concatenate([episode.proprio for episode in open_episodes(recorded)])[:, 0]
    assert f'{first.min():10.4f}{first.max():10.4f}{first.mean():10.4f}' in said


def test_episodes_that_are_not_alike_are_told_apart(recorded, capsys):
    with EpisodeWriter(recorded, 'b') as writer:
        writer.write(9, foreign(sound(9)))
    assert dataset.main(['info', str(recorded)]) == 0
    said = capsys.readouterr().out
    assert '4 with 48 steps' in said and '1 with 12 steps' in said


def test_view_draws_the_set_and_says_where_it_cannot(recorded, tmp_path, capsys):
    from PIL import Image

    assert dataset.main(['view', str(recorded), str(tmp_path / 'view.png')]) == 0
    drawn = np.asarray(Image.open(tmp_path / 'view.png').convert('RGB'))
    assert drawn.std() > 10 and drawn.shape[0] > 1000
    for wrong in (tmp_path / 'no' / 'view.png', tmp_path / 'view.txt.zip'):
        assert dataset.main(['view', str(recorded), str(wrong)]) == 1
        assert f'cannot write {wrong}' in capsys.readouterr().err


@pytest.mark.parametrize('to', dataset.FORMATS)
def test_what_was_begun_and_not_finished_is_removed(recorded, tmp_path, capsys, to):
    (shard,) = recorded.iterdir()
    with h5py.File(shard, 'a') as file:
        del file['episode_000003']['actions']
    assert dataset.main(['convert', str(recorded), str(tmp_path / 'out'), '--to', to]) == 1
    assert 'episode_000003 lacks' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def same_actions(folder, episodes) -> bool:
    read = list(open_episodes(folder))
    return len(read) == len(episodes) and all(
        np.array_equal(episode.actions, truth.actions)
        for episode, truth in zip(read, episodes, strict=True)
    )


@pytest.mark.parametrize('to', dataset.FORMATS)
def test_a_part_is_converted(recorded, tmp_path, capsys, to):
    out = tmp_path / 'out'
    told = ['convert', str(recorded), str(out), '--to', to, '--episodes', '1:3']
    assert dataset.main(told) == 0
    assert '2 episodes' in capsys.readouterr().out
    assert same_actions(out, list(open_episodes(recorded))[1:3])
    assert dataset.main(told) == 1 and 'is there already' in capsys.readouterr().err


def test_what_was_split_and_merged_is_what_it_was_to_the_bit(recorded, tmp_path, capsys):
    first, others, merged = (tmp_path / name for name in ('first', 'others', 'merged'))
    split = ['split', str(recorded), str(first), str(others), '--at', '3']
    assert dataset.main(split) == 0
    whole = list(open_episodes(recorded))
    assert same_actions(first, whole[:3]) and same_actions(others, whole[3:])
    assert dataset.main(['merge', str(first), str(others), str(merged)]) == 0
    for episode, truth in zip(open_episodes(merged), whole, strict=True):
        np.testing.assert_array_equal(episode.frames[:], truth.frames[:])
        np.testing.assert_array_equal(episode.actions, truth.actions)


def test_nothing_is_split_half(recorded, tmp_path, capsys):
    first, others = tmp_path / 'first', tmp_path / 'others'
    for at in ('0', '4'):
        assert dataset.main(['split', str(recorded), str(first), str(others), '--at', at]) == 1
        assert 'has 4 episodes, give 1 to 3' in capsys.readouterr().err
    others.mkdir()
    assert dataset.main(['split', str(recorded), str(first), str(others), '--at', '1']) == 1
    assert f'{others} is there already' in capsys.readouterr().err and not first.exists()


@pytest.mark.parametrize('episodes', ['5:', 'x:2', '3', '2:2'])
def test_a_part_that_is_none_is_refused(recorded, tmp_path, capsys, episodes):
    told = ['convert', str(recorded), str(tmp_path / 'out'), '--episodes', episodes]
    assert dataset.main(told) == 1
    assert 'give FROM:TO within 0:4' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_nothing_to_read_is_one_line(tmp_path, capsys):
    assert dataset.main(['info', str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f'error: no episodes in {tmp_path}')
