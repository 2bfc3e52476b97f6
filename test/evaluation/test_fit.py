# SPDX-License-Identifier: Apache-2.0
"""check_camera and diagnose: the right verdict in the simulated cell, where faults are known."""

import dataclasses

import numpy as np
import pytest
import torch

from jepa_wm_ros.actions import actions_between, euler_to_matrix, integrate
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.camera import DIRECTIONS, judge_camera
from jepa_wm_ros.evaluation.fit.diagnosis import (
    Grade,
    ask_the_camera,
    ask_the_model,
    ask_the_planner,
)
from jepa_wm_ros.evaluation.fit.jogs import COUNT, JOG, jog_actions
from jepa_wm_ros.evaluation.fit.report import camera_report, diagnosis_report
from jepa_wm_ros.evaluation.fit.views import Cause, View, crop, simple_views
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.planning import load_profile
from jepa_wm_ros.sim.design import NOMINAL
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.world_model import load_world_model
from support.jogged_cell import jogged, seen_through, with_camera

LOW, HIGH = FR3.workspace_low, FR3.workspace_high
SEEDS = (0, 1, 2)


def turned(quarters):
    """Pictures of a camera that was mounted turned to the left."""
    return lambda frames: np.rot90(frames, quarters, axes=(1, 2))


def mirrored(frames):
    return frames[:, :, ::-1]


@pytest.fixture(scope='module')
def model():
    return load_world_model('jepa_wm_cell')


@pytest.fixture(scope='module')
def cell():
    with DirectCell() as cell:
        yield cell


@pytest.fixture(scope='module')
def episode(cell):
    """A round of steps under the camera that the model knows."""
    return jogged(cell, SEEDS[0], 8)


# The steps


@pytest.mark.parametrize('at', [(0.36, -0.2, 0.06), (0.5, 0.0, 0.2), (0.65, 0.25, 0.41)])
def test_steps_go_along_every_axis_both_ways_stay_in_the_workspace_and_come_back(at):
    actions = jog_actions(np.array(at), LOW, HIGH)
    path = np.array(at) + np.cumsum(actions[:, :3], axis=0)
    assert ((path >= LOW) & (path <= HIGH)).all()
    np.testing.assert_allclose(path[-1], at)
    for axis in range(3):
        along = actions[:, axis][actions[:, axis] != 0]
        np.testing.assert_allclose(np.sort(along), np.repeat([-JOG, JOG], COUNT // 6))
    for ahead in (1, 2, 3):
        ways = [actions[k : k + ahead, :3].sum(0) for k in range(COUNT - ahead + 1)]
        assert np.linalg.norm(ways, axis=1).min() > 0.9 * JOG


def test_steps_are_refused_where_the_hand_is_outside():
    with pytest.raises(JepaWmError, match='middle of the workspace'):
        jog_actions(np.array([0.3, 0.0, 0.2]), LOW, HIGH)


# The guesses undo what they say


def test_each_guess_undoes_the_turn_or_mirror_it_is_called_after():
    square = np.random.default_rng(0).integers(0, 255, (2, 48, 48, 3), np.uint8)
    changes = {
        **{f'turned by {90 * k} degrees to the left': turned(k) for k in (1, 2, 3)},
        'left and right exchanged': mirrored,
        'up and down exchanged': lambda frames: frames[:, ::-1],
    }
    views = {view.name: view for view in simple_views()}
    for name, change in changes.items():
        np.testing.assert_array_equal(views[name].pictures(change(square)), square)


def test_a_crop_is_the_square_at_its_place_and_goes_on_beyond_the_edge():
    picture = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(1, 40, 60, 3)
    np.testing.assert_array_equal(crop(0, 0, 1).pictures(picture), picture[:, :, 10:50])
    np.testing.assert_array_equal(crop(0.25, -0.25, 0.5).pictures(picture), picture[:, :20, 30:50])
    beyond = crop(0, 0, 1.5).pictures(picture)
    assert beyond.shape == (1, 60, 60, 3)
    np.testing.assert_array_equal(beyond[:, 10:50], picture)
    np.testing.assert_array_equal(beyond[:, 5], picture[:, 0])


def test_a_turned_frame_turns_pose_and_action_alike():
    rng = np.random.default_rng(0)
    poses = np.concatenate([rng.uniform(-1, 1, (5, 6)), np.zeros((5, 1))], axis=1)
    view = View(Cause.FRAME, '', yaw=0.7)
    turn = euler_to_matrix(np.array([0.0, 0.0, 0.7]))
    np.testing.assert_allclose(view.poses(poses)[:, :3], poses[:, :3] @ turn.T)
    actions = actions_between(poses)
    moved = integrate(view.poses(poses)[:-1], view.actions(actions))
    np.testing.assert_allclose(moved[:, :3], view.poses(poses)[1:, :3], atol=1e-9)
    np.testing.assert_allclose(
        euler_to_matrix(moved[:, 3:6]), euler_to_matrix(view.poses(poses)[1:, 3:6]), atol=1e-9
    )


# Verdicts on the camera


def test_the_camera_that_the_model_knows_is_right_and_every_axis_looks_like_itself(model, episode):
    verdict = judge_camera(model, [episode])
    assert verdict.cause is Cause.NOTHING
    assert [verdict.confusion.seen_as(d) for d in DIRECTIONS] == list(DIRECTIONS)
    said = camera_report(verdict)
    assert 'camera and frame are as the model expects them' in said and ' looks like +' not in said


@pytest.mark.parametrize(
    ('change', 'cause', 'name'),
    [
        (turned(1), Cause.ROTATED, 'turned by 90 degrees to the left'),
        (turned(2), Cause.ROTATED, 'turned by 180 degrees to the left'),
        (mirrored, Cause.MIRRORED, 'left and right exchanged'),
    ],
)
def test_turned_and_mirrored_pictures_are_told(model, episode, change, cause, name):
    verdict = judge_camera(model, [seen_through(episode, change)])
    assert (verdict.cause, verdict.view.name) == (cause, name)
    assert f'({name})' in camera_report(verdict)


def test_a_frame_that_is_turned_against_the_base_is_told(model, episode):
    (view,) = (v for v in simple_views() if v.name == 'frame turned by 90 degrees about z')
    back = dataclasses.replace(view, yaw=-view.yaw)
    wrong = dataclasses.replace(
        episode, proprio=back.poses(episode.proprio), actions=back.actions(episode.actions)
    )
    verdict = judge_camera(model, [wrong])
    assert (verdict.cause, verdict.view.name) == (Cause.FRAME, view.name)


def test_a_picture_that_stands_still_is_told(model, episode):
    frozen = seen_through(episode, lambda frames: np.repeat(frames[:1], len(frames), axis=0))
    assert judge_camera(model, [frozen]).cause is Cause.STILL


def test_too_few_steps_are_refused(model, episode):
    with pytest.raises(JepaWmError, match='5 steps of at least 1 cm are too few'):
        judge_camera(model, [episode.cut(0, 5)])


CAMERAS = {
    'beside': ((0.5, 1.1, 0.6), (0.5, 0.0, 0.2)),
    'in front': ((1.3, 0.0, 0.5), (0.45, 0.0, 0.2)),
    'behind': ((-0.4, 0.7, 0.9), (0.5, 0.0, 0.2)),
}


@pytest.mark.slow
@pytest.mark.parametrize('seed', SEEDS)
def test_seven_of_seven_faults_of_a_camera_are_told(model, cell, seed):
    known = jogged(cell, seed)
    verdicts = {
        'right': judge_camera(model, [known]),
        **{k: judge_camera(model, [seen_through(known, turned(k))]) for k in (1, 2, 3)},
        'mirrored': judge_camera(model, [seen_through(known, mirrored)]),
    }
    for name, design in (
        ('swapped', with_camera(*CAMERAS[tuple(CAMERAS)[seed]])),
        ('crop', with_camera(NOMINAL.camera_position, NOMINAL.camera_target, 60.0)),
    ):
        with DirectCell(design=design) as other:
            verdicts[name] = judge_camera(model, [jogged(other, seed)])
    assert {name: verdict.cause for name, verdict in verdicts.items()} == {
        'right': Cause.NOTHING,
        1: Cause.ROTATED,
        2: Cause.ROTATED,
        3: Cause.ROTATED,
        'mirrored': Cause.MIRRORED,
        'swapped': Cause.CAMERA,
        'crop': Cause.CROPPED,
    }
    assert [verdicts[k].view.turn for k in (1, 2, 3)] == [1, 2, 3]
    left, top, side = verdicts['crop'].view.box
    assert side == pytest.approx(np.tan(np.pi / 8) / np.tan(np.pi / 6), abs=0.08)
    assert max(abs(left), abs(top)) < 0.08


# Diagnosis


def grades(answers):
    return [answer.grade for answer in answers]


def test_a_trained_model_a_random_one_and_one_that_is_deaf_to_actions_are_told_apart(
    model, episode
):
    trained = ask_the_model(model, [episode], horizon=3)
    assert grades(trained) == [Grade.GOOD] * 5

    untrained = load_world_model('jepa_wm_cell')
    torch.manual_seed(0)
    untrained.predictor.reset_parameters()
    answers = ask_the_model(untrained, [episode], horizon=3)
    assert Grade.GOOD not in grades(answers)
    assert answers[1].value == pytest.approx(0.5, abs=0.2)

    deaf = load_world_model('jepa_wm_cell')
    for parameter in deaf.predictor.action_encoder.parameters():
        torch.nn.init.zeros_(parameter)
    answers = ask_the_model(deaf, [episode], horizon=3)
    assert (answers[0].value, answers[1].value) == (0.0, 0.5)
    assert grades(answers[:2]) == [Grade.BAD, Grade.BAD]
    said = diagnosis_report(answers)
    assert 'hardly hears the action' in said and 'run check_camera' in said


def test_the_time_of_a_plan_is_measured_with_the_profile(model, episode):
    answer = ask_the_planner(model, [episode], load_profile('cell'))
    assert 0.0 < answer.value < 30.0 and 'cell' in answer.said


def test_old_pictures_and_those_of_another_clock_are_told():
    assert ask_the_camera(np.full(50, 0.03)).grade is Grade.GOOD
    assert ask_the_camera(np.full(50, 0.3)).grade is Grade.POOR
    assert ask_the_camera(np.full(50, 0.9)).grade is Grade.BAD
    ahead = ask_the_camera(np.full(50, -3.0))
    assert ahead.grade is Grade.BAD and 'clocks' in ahead.advice
    assert ask_the_camera(np.empty(0)).grade is Grade.BAD
