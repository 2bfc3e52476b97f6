# SPDX-License-Identifier: Apache-2.0
"""The Action Score of stored episodes, as of bags: the same clips, the same rows."""

import csv
import json

import numpy as np
import pytest

from jepa_wm_ros.evaluation.offline.command import PARTIAL, main
from jepa_wm_ros.evaluation.offline.rows import read_rows
from jepa_wm_ros.learning import dataset
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.episode_clips import read_episodes
from jepa_wm_ros.recordings.formats.droid import TRAJECTORY
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import build, save_world_model
from jepa_wm_ros.world_model.files.registry import cell_spec
from support.bags import make_bag
from support.droid import write_droid

PROFILE = """
planner: cem
mode: exact
settings: {horizon: 3, iterations: 2, num_samples: 8, num_elites: 3, var_scale: 0.05,
           max_norms: [0.075], max_norm_dims: [[0, 1, 2]], frozen_dims: [3, 4, 5], seed: 1}
"""
SETTINGS = ClipSettings(4.0, 3, 3)

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a model and a profile."""
    folder = tmp_path_factory.mktemp('episode_clips')
    model = build(cell_spec(depth=1, predictor_width=32, heads=2), seed=3)
    save_world_model(model, folder / 'small.safetensors')
    (folder / 'tiny.yaml').write_text(PROFILE)
    return folder


def evaluated(place, recorded, *more):
    """Exit status, and rows of the table without what a clock measured."""
    out = place / f'out_{recorded.name}'
    words = ['--model', str(place / 'small.safetensors'), '--planner', str(place / 'tiny.yaml')]
    status = main([str(recorded), *words, '--out', str(out), *more])
    with (out / 'clips.csv').open() as file:
        return status, [
            {k: v for k, v in row.items() if k not in ('seconds', 'bag', 'stamp')}
            for row in csv.DictReader(file)
        ]


def test_a_bag_and_the_episodes_made_of_it_have_the_same_rows(place):
    make_bag(place / 'bag', seconds=5.0)
    assert dataset.main(['convert', str(place / 'bag'), str(place / 'set'), '--to', 'hdf5']) == 0
    (status, of_bag), (other, of_set) = (evaluated(place, place / n) for n in ('bag', 'set'))
    assert status == other == 0 and len(of_bag) == len(of_set) == 6 * 4
    for one, two in zip(of_bag, of_set, strict=True):
        assert (one['clip'], one['planner']) == (two['clip'], two['planner'])
        # Episodes keep poses in single precision, and pictures as the bag had them.
        assert float(one['e_xyz']) == pytest.approx(float(two['e_xyz']), abs=1e-4)
        assert float(one['cost_start']) == pytest.approx(float(two['cost_start']), rel=1e-4)
    page = (place / 'out_set' / 'report.html').read_text()
    assert 'episodes: 1' in page


def test_droid_as_it_is_published_with_a_broken_episode_named(place, capsys):
    root = place / 'droid'
    for name in ('a', 'b', 'c'):
        write_droid(root / name)
    (root / 'b' / TRAJECTORY).write_bytes(b'no hdf5')
    status, rows = evaluated(place, root)
    said = capsys.readouterr().out
    assert status == PARTIAL and 'no trajectory of DROID' in said
    assert "3.75 steps/s, the model's are 4: each step is taken" in said
    # Ten steps of the 40 pictures at 15/s: three clips of three steps in each, none across them.
    experts = [r for r in read_rows(place / 'out_droid' / 'clips.csv') if r.planner == 'expert']
    assert len(experts) == 2 * 3 and len(rows) == 6 * 4
    for row in experts:
        moved = np.array(row.expert).reshape(-1, 7)
        np.testing.assert_allclose(moved[:, 0], 0.004, atol=1e-6)  # four pictures, a mm each
    coverage = json.loads((place / 'out_droid' / 'metrics.json').read_text())['bags']['droid']
    assert coverage['coverage']['frames'] == 20


def test_pictures_and_poses_of_a_clip_belong_together(place):
    """Picture k is grey 4 k + 20 and the hand at x = 0.3 + k mm, in each episode."""
    recording = read_episodes(place / 'droid', SETTINGS)
    with recording.open() as pictures:
        for clip in recording.clips:
            found = pictures.read(clip.frames.tolist())
            for frame, pose in zip(clip.frames, clip.poses, strict=True):
                grey = 20 + 4 * 1000 * (pose[0] - 0.3)
                assert abs(found[int(frame)].mean() - grey) < 2


def test_another_rate_takes_the_nearest_steps(place):
    own = read_episodes(place / 'droid', SETTINGS)
    halved = read_episodes(place / 'droid', SETTINGS, rate=3.75 / 2)
    np.testing.assert_array_equal(np.diff(own.clips[0].frames), 1)
    np.testing.assert_array_equal(np.diff(halved.clips[0].frames), 2)


def test_episodes_of_two_rates_are_each_taken_at_their_own_where_a_rate_is_asked_for(tmp_path):
    for name, rate in (('fast', 15), ('slow', 3)):  # steps of 3.75 and 3 a second
        write_droid(tmp_path / name, rate)
    recording = read_episodes(tmp_path, SETTINGS, rate=1.5)
    apart = {0: set(), 1: set()}
    for clip in recording.clips:
        apart[int(recording.timeline.clock[clip.frames[0]])] |= set(np.diff(clip.frames))
    assert apart == {0: {2, 3}, 1: {2}}  # 3.75 / 1.5 = 2.5, 3 / 1.5 = 2
    every = read_episodes(tmp_path, SETTINGS)
    assert {step for clip in every.clips for step in np.diff(clip.frames)} == {1}


def test_what_no_arm_did_has_no_score(tmp_path):
    with EpisodeWriter(tmp_path / 'wall', 'a') as writer:
        frames = np.zeros((8, 16, 16, 3), np.uint8)
        writer.write(0, Episode(frames, np.zeros((8, 2)), np.zeros((7, 10)), 4.0))
    with pytest.raises(EpisodeError, match='2 numbers are measured a step'):
        read_episodes(tmp_path / 'wall', SETTINGS)
