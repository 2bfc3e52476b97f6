# SPDX-License-Identifier: Apache-2.0
"""evaluate_bag from end to end with a small random model: the same rows however it is run."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from jepa_wm_ros.actions import DIM, GRIPPER
from jepa_wm_ros.evaluation.metrics import action_errors
from jepa_wm_ros.evaluation.offline.command import PARTIAL, main
from jepa_wm_ros.evaluation.offline.rows import read_rows
from jepa_wm_ros.evaluation.offline.trial import ClipTrial, PlannerChoice, random_bounds
from jepa_wm_ros.recordings.bags.recording import read_recording
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.topics import TopicSpec
from jepa_wm_ros.world_model import build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.latents import cat_time
from support.bags import make_bag

PROFILE = """
planner: cem
mode: exact
settings: {horizon: 3, iterations: 2, num_samples: 8, num_elites: 3, var_scale: 0.05,
           max_norms: [0.075], max_norm_dims: [[0, 1, 2]], frozen_dims: [3, 4, 5], seed: 1}
"""
TIMES = {'seconds'}

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a bag, a model and a profile."""
    folder = tmp_path_factory.mktemp('evaluation')
    make_bag(folder / 'bag', seconds=5.0)
    model = build(cell_spec(depth=1, predictor_width=32, heads=2), seed=3)
    save_world_model(model, folder / 'small.safetensors')
    (folder / 'tiny.yaml').write_text(PROFILE)
    return folder


def arguments(place, out, *more):
    return [
        str(place / 'bag'),
        '--model',
        str(place / 'small.safetensors'),
        '--planner',
        str(place / 'tiny.yaml'),
        '--out',
        str(out),
        *more,
    ]


def table(out):
    """Rows of clips.csv without what a clock measured."""
    with (out / 'clips.csv').open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope='module')
def single(place):
    """The results of one plain run."""
    assert main(arguments(place, place / 'single', '--seed', '1', '2')) == 0
    return place / 'single'


def test_every_clip_has_its_planner_and_all_baselines(single):
    rows = read_rows(single / 'clips.csv')
    clips = {row.clip for row in rows}
    assert clips == set(range(6))
    for clip in clips:
        mine = [(row.planner.split('/')[-1], row.seed) for row in rows if row.clip == clip]
        assert sorted(mine) == [
            ('expert', 1),
            ('random', 1),
            ('random', 2),
            ('tiny.yaml', 1),
            ('tiny.yaml', 2),
            ('zero', 1),
        ]
    assert all(row.ok for row in rows)


def test_rows_hold_what_they_say(place, single):
    recording = read_recording(place / 'bag', TopicSpec(), ClipSettings(4.0, 3, 3))
    for row in read_rows(single / 'clips.csv'):
        expert = recording.clips[row.clip].actions
        planned = np.array(row.planned).reshape(-1, DIM)
        np.testing.assert_array_equal(np.array(row.expert).reshape(-1, DIM), expert)
        assert row.e_xyz == pytest.approx(action_errors(planned, expert).xyz, abs=1e-12)
        assert row.cost == row.costs[-1] and row.cost_start == row.costs[0]
        assert len(row.costs) == 4
        if row.planner == 'zero':
            assert not planned.any()
        if row.planner == 'expert':
            assert row.e_xyz == 0.0
            assert len(row.latent_errors) == len(row.still_errors) == 3
            assert len(row.pose_errors) == 9
            # the last imagined frame against the goal frame is the cost itself
            assert row.latent_errors[-1] == pytest.approx(row.cost, rel=1e-6)
            assert row.still_errors[-1] == pytest.approx(row.cost_start, rel=1e-6)
        if row.planner.endswith('tiny.yaml'):
            assert row.evaluations > 0 and row.seconds > 0
            assert np.abs(planned[:, :3]).max() <= 0.075
            assert not planned[:, 3:6].any()


def test_metrics_and_report_stand_on_their_own(single):
    metrics = json.loads((single / 'metrics.json').read_text())
    by_planner = {r['planner'].split('/')[-1]: r for r in metrics['results']}
    assert by_planner['expert']['score']['value'] == 80.0
    rows = read_rows(single / 'clips.csv')
    mean = np.mean([r.e_xyz for r in rows if r.planner == 'random'])
    assert by_planner['random']['score']['value'] == pytest.approx(max(0, 800 * (0.1 - mean)))
    assert set(by_planner['tiny.yaml']['seed_scores']) == {'1', '2'}
    coverage = metrics['bags']['bag']['coverage']
    assert (coverage['frames'], coverage['steps']) == (50, 21)
    assert any('LPIPS is not computed' in line for line in metrics['remarks'])
    page = (single / 'report.html').read_text()
    assert 'src="http' not in page and '<link' not in page and '<script' not in page
    for heading in (
        'Action Score',
        'Paired differences',
        'Filmstrips',
        'Counterfactuals',
        'coverage',
        'nearest in latent space',
        'open and up',
        'close and up',
    ):
        assert heading in page, heading


def test_two_processes_give_the_same_rows(place, single):
    assert main(arguments(place, place / 'jobs', '--seed', '1', '2', '--jobs', '2')) == 0
    assert table(place / 'jobs') == table(single)


def test_an_interrupted_run_resumes_to_the_same_rows(place, single):
    out = place / 'resumed'
    out.mkdir()
    lines = (single / 'clips.csv').read_text().splitlines(keepends=True)
    (out / 'clips.csv').write_text(''.join(lines[:9]) + lines[9][:40])  # killed while writing
    (out / 'settings.json').write_bytes((single / 'settings.json').read_bytes())
    assert main(arguments(place, out, '--seed', '1', '2')) == 1  # not without being told to
    assert main(arguments(place, out, '--seed', '1', '2', '--resume')) == 0
    assert table(out) == table(single)
    kept = (out / 'clips.csv').read_text()
    assert all(line in kept for line in lines[1:9])  # with the seconds of the first run


def test_other_settings_do_not_mix_with_results_already_there(place, single, capsys):
    assert main(arguments(place, single, '--seed', '1', '--resume')) == 1
    assert 'other settings' in capsys.readouterr().err


def test_shards_give_the_same_rows_once_merged(place, single, monkeypatch):
    out = place / 'shards'
    monkeypatch.setenv('WORLD_SIZE', '2')
    for rank in '01':
        monkeypatch.setenv('RANK', rank)
        assert main(arguments(place, out, '--seed', '1', '2')) == 0
        assert not (out / 'metrics.json').exists()
    monkeypatch.setenv('WORLD_SIZE', '1')
    assert main(arguments(place, out, '--seed', '1', '2', '--merge')) == 0
    assert table(out) == table(single)
    assert (out / 'metrics.json').read_text() != ''


@pytest.mark.fault(33)
@pytest.mark.slow
def test_torchrun_gives_the_same_rows(place, single):
    out = place / 'torchrun'
    command = [
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--nproc-per-node',
        '2',
        '--master-port',
        str(20000 + os.getpid() % 20000),
        '-m',
        'jepa_wm_ros.evaluation',
        *arguments(place, out, '--seed', '1', '2'),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        timeout=900,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(p.name for p in out.glob('clips.*.csv')) == ['clips.0000.csv', 'clips.0001.csv']
    assert table(out) == table(single)


@pytest.mark.fault(33)
def test_a_partial_bag_is_evaluated_but_fails_unless_allowed(tmp_path, place, capsys):
    make_bag(tmp_path / 'bag', seconds=6.0, skip=lambda s: 2.0 < s < 3.0)
    more = arguments(place, tmp_path / 'out', '--clips', '2')[1:]
    assert main([str(tmp_path / 'bag'), *more]) == PARTIAL
    said = capsys.readouterr().out
    assert 'FAULT gap' in said and 'of 25 model steps usable' in said
    assert main([str(tmp_path / 'bag'), *more, '--resume', '--allow-partial']) == 0
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['results']


def test_clips_with_unreadable_pictures_are_named_and_counted(tmp_path, place, capsys):
    from jepa_wm_ros.recordings.bags.writer import CellBagWriter, known_types
    from support.bags import START, pose_at

    kinds = known_types().types
    with CellBagWriter(tmp_path / 'bag', images='jpeg') as writer:
        for i in range(60):
            stamp = START + i * 100_000_000
            writer.pose(stamp, pose_at(i / 10))
            writer.joints(stamp, pose_at(i / 10))
            if i < 30:
                writer.image(stamp, np.full((48, 64, 3), 90, np.uint8))
            else:
                writer.message(
                    'image',
                    kinds['sensor_msgs/msg/CompressedImage'](
                        header=writer._header(stamp, ''),
                        format='jpeg',
                        data=np.arange(50, dtype=np.uint8),
                    ),
                    stamp,
                )
    assert main([str(tmp_path / 'bag'), *arguments(place, tmp_path / 'out')[1:]]) == PARTIAL
    assert 'no whole jpeg or png' in capsys.readouterr().out
    rows = read_rows(tmp_path / 'out' / 'clips.csv')
    assert {row.ok for row in rows if row.clip < 3} == {True}
    assert {row.ok for row in rows if row.clip > 3} == {False}


@pytest.mark.parametrize(
    ('more', 'complaint'),
    [
        (['--image', '/nowhere'], 'no topic /nowhere'),
        (['--model', 'jepa_wm_droit'], 'did you mean jepa_wm_droid'),
        (['--planner', 'quick'], "no profile 'quick'"),
    ],
)
def test_wrong_input_is_one_line_and_status_1(tmp_path, place, capsys, more, complaint):
    assert main(arguments(place, tmp_path / 'out', *more)) == 1
    said = capsys.readouterr().err
    assert said.startswith('error: ') and complaint in said and said.count('\n') == 1


def test_random_actions_keep_the_planners_bounds_and_the_arms_where_it_has_none(place):
    profile = PlannerChoice.load(str(place / 'tiny.yaml'), 3).profile
    np.testing.assert_allclose(random_bounds(profile), [0.075] * 3 + [0.0] * 3 + [0.75])


def test_pose_errors_compare_what_the_latents_carry(place):
    recording = read_recording(place / 'bag', TopicSpec(), ClipSettings(4.0, 3, 3))
    trial = ClipTrial(load_world_model(place / 'small.safetensors'), 'm', [], [1])
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    poses = recording.clips[0].poses.copy()
    latents = [trial.encode(f, p) for f, p in zip(frames, poses, strict=True)]
    same = trial._pose_errors(cat_time(latents).transpose(), latents)
    np.testing.assert_allclose(same, 0.0, atol=1e-5)
    poses[2, :3] += (0.03, 0.04, 0.0)
    poses[3, 6] += 0.25
    moved = [trial.encode(f, p) for f, p in zip(frames, poses, strict=True)]
    errors = np.reshape(trial._pose_errors(cat_time(moved).transpose(), latents), (3, 3))
    np.testing.assert_allclose(errors, [[0, 0, 0], [0.05, 0, 0], [0, 0, 0.25]], atol=2e-4)


def test_a_model_of_other_actions_is_refused():
    spec = cell_spec(depth=1, predictor_width=32, heads=2)
    other = spec.replace(action_dim=2, action_mean=(0.0, 0.0), action_std=(1.0, 1.0))
    with pytest.raises(Exception, match='7-number'):
        ClipTrial(build(other), 'other', [], [1])


def test_the_expert_is_the_best_plan_of_a_model_that_knows_the_world(place):
    """A stand-in whose latent is the hand's position: CEM must find the expert's way."""
    recording = read_recording(place / 'bag', TopicSpec(), ClipSettings(4.0, 3, 3))
    clip = recording.clips[1]

    class Oracle:
        action_dim = DIM

        def __call__(self, actions):
            reached = torch.as_tensor(clip.poses[0, :3]) + actions[..., :3].sum(1)
            return ((reached - torch.as_tensor(clip.poses[-1, :3])) ** 2).sum(-1).float()

    choice = PlannerChoice.load('cell', 3)
    plan = choice.profile.make_planner().plan(Oracle())
    assert action_errors(plan.actions.double().numpy(), clip.actions).xyz < 0.02


def test_strokes_are_searched_that_the_hand_of_the_first_frame_can_make(place, tmp_path):
    (tmp_path / 'strokes.yaml').write_text(
        PROFILE.replace('seed: 1}', 'seed: 1, gripper: {dim: 6, size: 1.0}}')
    )
    words = ['--model', str(place / 'small.safetensors')]
    words += ['--planner', str(tmp_path / 'strokes.yaml'), '--out', str(tmp_path / 'out')]
    assert main([str(place / 'bag'), *words]) == 0
    recording = read_recording(place / 'bag', TopicSpec(), ClipSettings(4.0, 3, 3))
    seen = set()
    for row in read_rows(tmp_path / 'out' / 'clips.csv'):
        if not row.planner.endswith('strokes.yaml'):
            continue
        closed = recording.clips[row.clip].poses[0, GRIPPER] > 0.3
        strokes = np.array(row.planned).reshape(-1, DIM)[:, GRIPPER]
        assert set(strokes) <= ({0.0, -1.0} if closed else {0.0, 1.0})
        seen |= {(bool(closed), float(stroke)) for stroke in strokes if stroke}
    assert seen  # some plan strokes
