# SPDX-License-Identifier: Apache-2.0
"""Episodes in LeRobot's layout: what is written is read back, and what is damaged is named."""

import dataclasses
import io
import json
import os
import subprocess

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.lerobot import layout
from jepa_wm_ros.recordings.formats.lerobot.writer import write_lerobot
from jepa_wm_ros.recordings.video import read_pictures

LENGTHS = (5, 9, 2)


def episode(seed: int, steps: int = 5, size: tuple[int, int] = (48, 64)) -> Episode:
    """A bright square on its way over a smooth ground: what video is made for."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    ground = np.stack([rows * 3, columns * 2, rows + columns], axis=-1).astype(np.uint8)
    frames = np.repeat(ground[None], steps + 1, axis=0)
    for number, frame in enumerate(frames):
        frame[8:24, 8 + 3 * number : 24 + 3 * number] = 40 * (seed % 5) + 60
    return Episode(
        frames,
        rng.normal(size=(steps + 1, 7)).astype(np.float32),
        rng.normal(size=(steps, 7)).astype(np.float32),
        4.0,
        extras={'cube': rng.normal(size=(steps + 1, 3)).astype(np.float32)},
    )


@pytest.fixture
def written(tmp_path):
    episodes = [episode(seed, steps) for seed, steps in enumerate(LENGTHS)]
    assert write_lerobot(episodes, tmp_path / 'set', 'reach') == len(LENGTHS)
    return tmp_path / 'set', episodes


def apart(a, b) -> float:
    return float(np.abs(np.asarray(a, float) - b).mean())


def test_what_is_written_is_read_back_each_picture_in_its_place(written):
    folder, episodes = written
    read = open_episodes(folder)
    assert len(read) == len(episodes)
    for told, truth in zip(read, episodes, strict=True):
        assert told.fps == 4.0 and told.frames.shape == truth.frames.shape
        for name in ('proprio', 'actions'):
            np.testing.assert_array_equal(getattr(told, name), getattr(truth, name))
        np.testing.assert_array_equal(told.extras['cube'], truth.extras['cube'])
        pictures = told.frames[:]
        for number, picture in enumerate(pictures):
            wrong = [apart(picture, other) for other in truth.frames]
            assert wrong[number] < 3.0 and int(np.argmin(wrong)) == number
        np.testing.assert_array_equal(told.frames[1:3], pictures[1:3])
        for part in (slice(None, None, 2), slice(None, None, -1), slice(2, 2)):
            np.testing.assert_array_equal(told.frames[part], pictures[part])


def test_every_other_picture_is_a_key_frame(written):
    folder, _ = written
    (video,) = folder.glob('videos/*/*/*.mp4')
    with av.open(str(video)) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
    assert len(keys) == sum(LENGTHS) + len(LENGTHS) and keys[::2] == [True] * len(keys[::2])
    assert not any(keys[1::2])


def test_pictures_that_lie_beside_the_numbers_are_read_and_what_is_damaged_is_named(written):
    folder, episodes = written
    (data,) = folder.glob('data/*/*.parquet')
    rows = pq.read_table(data)
    stored = [_png(frame) for each in episodes for frame in each.frames]
    stored[LENGTHS[0] + 3] = b'no picture'
    pictures = pa.array([{'bytes': picture} for picture in stored])
    pq.write_table(rows.append_column(layout.CAMERA, pictures), data)
    info = json.loads((folder / layout.INFO).read_text())
    info['features'][layout.CAMERA]['dtype'] = 'image'
    (folder / layout.INFO).write_text(json.dumps(info))
    read = open_episodes(folder)
    np.testing.assert_array_equal(read[0].frames[1:4], episodes[0].frames[1:4])
    with pytest.raises(EpisodeError, match='set, episode 1: cannot be read'):
        read[1].frames[:]


def _png(frame) -> bytes:
    held = io.BytesIO()
    Image.fromarray(frame).save(held, 'png')
    return held.getvalue()


def test_pictures_of_odd_sides_keep_their_size(tmp_path):
    odd = episode(0, size=(33, 47))
    write_lerobot([odd], tmp_path / 'set', 'reach')
    assert apart(open_episodes(tmp_path / 'set')[0].frames[:], odd.frames) < 3.0


def test_files_are_split_where_they_are_full(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, 'DATA_MEGABYTES', 1e-4)
    monkeypatch.setattr(layout, 'VIDEO_MEGABYTES', 1e-6)
    episodes = [episode(seed) for seed in range(4)]
    write_lerobot(episodes, tmp_path / 'set', 'reach')
    assert len(list((tmp_path / 'set').glob('data/*/*.parquet'))) == 4
    assert len(list((tmp_path / 'set').glob('videos/*/*/*.mp4'))) > 1
    for told, truth in zip(open_episodes(tmp_path / 'set'), episodes, strict=True):
        np.testing.assert_array_equal(told.proprio, truth.proprio)
        assert apart(told.frames[:], truth.frames) < 3.0


def test_statistics_are_those_of_all_frames(written):
    folder, episodes = written
    stats = json.loads((folder / layout.STATS).read_text())
    proprio = np.concatenate([each.proprio for each in episodes])
    told = stats[layout.STATE]
    np.testing.assert_allclose(told['mean'], proprio.mean(0), atol=1e-6)
    np.testing.assert_allclose(told['std'], proprio.std(0), atol=1e-6)
    np.testing.assert_allclose(told['max'], proprio.max(0), atol=1e-6)
    assert told['count'] == [len(proprio)]
    colours = np.concatenate([each.frames for each in episodes]).reshape(-1, 3) / 255
    np.testing.assert_allclose(np.ravel(stats[layout.CAMERA]['mean']), colours.mean(0), atol=0.01)


def test_a_set_that_others_wrote_is_read_with_the_camera_that_is_chosen(written):
    folder, _ = written
    info = json.loads((folder / layout.INFO).read_text())
    info['features']['observation.images.wrist'] = info['features'][layout.CAMERA]
    (folder / layout.INFO).write_text(json.dumps(info))
    with pytest.raises(EpisodeError, match='name one of its cameras with --camera: .*wrist'):
        open_episodes(folder)
    assert len(open_episodes(folder, layout.CAMERA)[1].frames[:]) == LENGTHS[1] + 1
    assert open_episodes(folder, layout.CAMERA).where(1) == f'{folder}, episode 1'


@pytest.mark.parametrize(
    ('what', 'reason'),
    [
        ({'codebase_version': 'v2.1'}, 'version v2.1, v3 is read'),
        ({'features': {}}, 'no column observation.state'),
        ({'fps': 'four'}, 'describes no data set'),
    ],
)
def test_a_set_that_cannot_be_read_says_why(written, what, reason):
    folder, _ = written
    info = json.loads((folder / layout.INFO).read_text())
    (folder / layout.INFO).write_text(json.dumps(info | what))
    with pytest.raises(EpisodeError, match=reason):
        open_episodes(folder)


def test_damaged_files_are_named(written):
    folder, _ = written
    (video,) = folder.glob('videos/*/*/*.mp4')
    whole = video.read_bytes()
    for left in (0, 100, len(whole) // 2):
        video.write_bytes(whole[:left])
        with pytest.raises(EpisodeError, match=r'file-000\.mp4'):
            open_episodes(folder)[2].frames[:]
    video.write_bytes(whole)
    frames = sum(LENGTHS) + len(LENGTHS)
    with pytest.raises(EpisodeError, match='holds 1 of 2 pictures: it was cut'):
        read_pictures(video, range(frames - 1, frames + 1))
    (data,) = folder.glob('data/*/*.parquet')
    data.write_bytes(data.read_bytes()[:200])
    with pytest.raises(EpisodeError, match=r'file-000\.parquet: cannot be read'):
        open_episodes(folder)[0]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    good = episode(0)
    for wrong, reason in (
        ([], 'no episode'),
        ([good, episode(1, size=(32, 32))], 'episode 1 differs'),
        ([dataclasses.replace(good, fps=3.75)], 'whole ones'),
        ([dataclasses.replace(good, extras={'a/b': good.proprio})], 'extra a/b'),
    ):
        with pytest.raises(EpisodeError, match=reason):
            write_lerobot(wrong, tmp_path / 'set', 'reach')
        assert list(tmp_path.iterdir()) == []
    write_lerobot([good], tmp_path / 'set', 'reach')
    with pytest.raises(EpisodeError, match='is there already'):
        write_lerobot([good], tmp_path / 'set', 'reach')


def test_the_index_is_what_lerobot_looks_for(written):
    folder, _ = written
    index = pq.read_table(folder / layout.place(layout.EPISODES_PATH, 0)).to_pydict()
    ends = np.cumsum([length + 1 for length in LENGTHS])
    assert index['dataset_to_index'] == ends.tolist()
    assert index[f'videos/{layout.CAMERA}/to_timestamp'] == (ends / 4).tolist()
    assert index['tasks'] == [['reach']] * len(LENGTHS)


LEROBOT = os.environ.get('JEPA_WM_ROS_LEROBOT', '')  # a Python that has lerobot
READ = """
import sys
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset('some/name', root=sys.argv[1], video_backend='pyav')
for item in (data[number] for number in range(len(data))):
    print(int(item['episode_index']), float(item['action'][0]), item['task'],
          float(item['observation.images.camera'].mean()) * 255)
"""


@pytest.mark.slow
@pytest.mark.skipif(not LEROBOT, reason='set JEPA_WM_ROS_LEROBOT to a Python that has lerobot')
def test_lerobot_itself_reads_what_is_written(written):
    folder, episodes = written
    told = subprocess.run([LEROBOT, '-I', '-c', READ, str(folder)], capture_output=True, text=True)
    lines = [line.split() for line in told.stdout.splitlines()]
    truth = [
        (number, float(action), frame.mean())
        for number, each in enumerate(episodes)
        for action, frame in zip([*each.actions[:, 0], 0.0], each.frames, strict=True)
    ]
    assert len(lines) == len(truth), told.stderr[-2000:]
    for (number, action, task, mean), wanted in zip(lines, truth, strict=True):
        assert (int(number), float(action), task) == (wanted[0], pytest.approx(wanted[1]), 'reach')
        assert float(mean) == pytest.approx(wanted[2], abs=1.5)


def test_a_gap_is_named_with_its_time(written):
    folder, _ = written
    (data,) = folder.glob('data/*/*.parquet')
    table = pq.read_table(data)
    stamps = table['timestamp'].to_pylist()
    stamps[8:] = [stamp + 1.0 for stamp in stamps[8:]]
    column = table.schema.get_field_index('timestamp')
    field = table.schema.field(column)
    pq.write_table(table.set_column(column, field, pa.array(stamps, field.type)), data)
    with pytest.raises(EpisodeError, match=r'episode 1: after 0\.250 s comes 1\.500 s .*a gap'):
        open_episodes(folder)[1]


DATA, INDEX = 'data/*/*.parquet', 'meta/episodes/*/*.parquet'


@pytest.mark.parametrize(
    ('file', 'lost'),
    [
        *((DATA, lost) for lost in ('observation.state', 'timestamp', 'index', 'episode_index')),
        *((INDEX, lost) for lost in ('length', 'dataset_from_index', 'data/file_index')),
    ],
)
def test_a_column_that_is_lost_is_named(written, file, lost):
    folder, _ = written
    (table,) = folder.glob(file)
    pq.write_table(pq.read_table(table).drop_columns([lost]), table)
    with pytest.raises(EpisodeError, match=f'set, episode 1: cannot be read .*{lost}'):
        open_episodes(folder)[1]
