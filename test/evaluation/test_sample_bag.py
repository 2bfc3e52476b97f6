# SPDX-License-Identifier: Apache-2.0
"""The shipped model on a sample bag of the simulated cell: between the expert and doing nothing."""

from importlib.util import find_spec

import numpy as np
import pytest

from jepa_wm_ros.evaluation.metrics import action_score, mean_difference
from jepa_wm_ros.evaluation.offline.sample_bag import TOP_SPEED, main, wander
from jepa_wm_ros.evaluation.offline.trial import ClipTrial, PlannerChoice
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.bags.recording import read_frames, read_recording
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.topics import TopicSpec
from jepa_wm_ros.world_model import build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.registry import cell_spec
from support import examples

pytestmark = [
    pytest.mark.usefixtures('one_thread'),
    pytest.mark.skipif(
        not (find_spec('mujoco') and find_spec('franky_sim')), reason='needs mujoco and franky-sim'
    ),
]


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('sample') / 'bag'
    assert main([str(path), '--seconds', '6.5', '--seed', '3']) == 0
    return read_recording(path, TopicSpec(), ClipSettings(4.0, 3, 3))


def test_a_sample_bag_is_whole_and_moves_in_steps_the_planners_know(recording):
    assert not recording.findings.faults
    assert recording.coverage.fraction == 1.0 and len(recording.clips) >= 8
    steps = np.concatenate([clip.actions for clip in recording.clips])
    norms = np.linalg.norm(steps[:, :3], axis=1)
    assert norms.max() < 0.075 and norms.mean() > 0.015


def test_commands_of_a_sample_keep_their_speed():
    path = np.array(list(wander(np.random.default_rng(0), 30.0)))
    assert len(path) == 900
    assert (np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1) * 30).max() <= TOP_SPEED * 1.001


def test_the_shipped_model_lies_between_the_expert_and_doing_nothing(recording):
    trial = ClipTrial(
        load_world_model('jepa_wm_cell'), 'jepa_wm_cell', [PlannerChoice.load('cell', 3)], [1]
    )
    errors = {}
    with Bag(recording.path, Findings()) as bag:
        for number, clip in enumerate(recording.clips):
            pictures = read_frames(bag, recording, [int(f) for f in clip.frames])
            frames = [pictures[int(f)] for f in clip.frames]
            latents = [trial.encode(f, p) for f, p in zip(frames, clip.poses, strict=True)]
            for row in trial.rows('bag', number, 0, clip, latents, frames, set()):
                errors.setdefault(row.planner, []).append(row.e_xyz)
    errors = {planner: np.array(values) for planner, values in errors.items()}
    scores = {planner: action_score(values) for planner, values in errors.items()}
    assert scores['expert'] == 80.0
    assert scores['cell'] > 45.0
    for baseline in ('zero', 'random'):
        assert scores['cell'] > scores[baseline] + 15.0
        assert mean_difference(errors['cell'], errors[baseline]).high < 0.0


def test_the_example_lets_a_model_be_tried_that_knows_the_camera(recording, tmp_path, capsys):
    example = examples.load('evaluate_a_bag')
    told = example.main(str(recording.path), str(tmp_path / 'out'))
    assert told.startswith('jepa_wm_cell may be tried')
    with pytest.raises(SystemExit):
        example.main(str(tmp_path), str(tmp_path / 'none'))
    assert 'error: ' in capsys.readouterr().err


@pytest.mark.slow
def test_the_example_lets_no_stranger_be_tried(recording, tmp_path):
    stranger = tmp_path / 'stranger.safetensors'
    save_world_model(build(cell_spec(depth=1, predictor_width=32, heads=2), seed=3), stranger)
    example = examples.load('evaluate_a_bag')
    told = example.main(str(recording.path), str(tmp_path / 'out'), str(stranger))
    assert 'must not move this arm' in told
