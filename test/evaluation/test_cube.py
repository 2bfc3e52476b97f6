# SPDX-License-Identifier: Apache-2.0
"""Tasks with the cube: the expert does them, who stands still does not, and the judge is strict."""

import json

import numpy as np
import pytest

from jepa_wm_ros.actions import GRIPPER, POSITION
from jepa_wm_ros.evaluation.closed_loop import cube
from jepa_wm_ros.evaluation.closed_loop.baselines import NoMotion
from jepa_wm_ros.evaluation.closed_loop.trials import Policy
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.skills import TABLE
from jepa_wm_ros.sim import changes
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.manipulation import CARRIED, PUSHED, expert, sample_task
from jepa_wm_ros.tasks.cell import CubeCell
from jepa_wm_ros.world_model import build, save_world_model
from jepa_wm_ros.world_model.files.registry import cell_spec


@pytest.fixture(scope='module')
def cell():
    with DirectCell(low=TABLE.low) as cell:
        yield cell


def trial(cell, kind, decider, seed=3000):
    policy = Policy('', lambda task, seed: decider(task))
    return cube.run_cube_trial(CubeCell(cell, kind), policy, seed, 'steps', cube.STEPS[kind])


@pytest.mark.parametrize('kind', cube.STEPS)
def test_the_expert_does_it_through_the_loop_and_who_stands_still_does_not(cell, kind):
    done = trial(cell, kind, cube.Expert)
    assert done.placed and done.error < 0.01 and done.code == 'SUCCEEDED'
    assert done.grasped == done.carried == (kind == 'pick_place')
    left = trial(cell, kind, lambda task: NoMotion())
    assert not (left.placed or left.grasped) and left.error > 0.06


def test_a_cube_that_is_held_above_its_place_is_not_placed(cell):
    task = CubeCell(cell, 'pick_place')
    task.reset(3001)
    for move in expert(task.task)[:6]:
        cell.move_to(move.pose)
    assert task.error() < 0.01 and not task.success()  # not let go of yet
    cell.move_to(expert(task.task)[6].pose)
    assert task.success()


@pytest.mark.parametrize(('kind', 'pictures'), [('pick_place', 3), ('push', 2)])
def test_goals_are_what_the_expert_leaves_and_the_scene_is_put_back(cell, kind, pictures):
    task = CubeCell(cell, kind)
    task.reset(3002)
    assert len(task.goals()) == pictures
    assert np.linalg.norm(cell.cube[:2] - task.task.cell.cube[:2]) < 1e-3
    assert np.allclose(cell.pose[POSITION], task.task.start[POSITION], atol=2e-3)
    last = CubeCell(cell, kind, pictures=1)
    last.reset(3002)
    assert len(last.goals()) == 1 and np.array_equal(last.goals()[0], task.goals()[-1])


def test_the_last_picture_of_a_cube_that_is_placed_shows_no_fingers_about_it():
    at, lifted, placed = (m.pose for m in expert(sample_task('pick_place', 3002)) if m.goal)
    assert at[GRIPPER] == 0.0 and lifted[GRIPPER] == 1.0 and placed[GRIPPER] == 0.0
    assert at[2] < 0.05 < placed[2] < lifted[2]


@pytest.mark.parametrize(('kind', 'far'), [('pick_place', CARRIED), ('push', PUSHED)])
def test_tasks_are_those_of_their_seed_and_within_reach(kind, far):
    in_a_corner = 33017  # there is hardly a way to push it
    for seed in [*range(200), in_a_corner]:
        task, again = sample_task(kind, seed), sample_task(kind, seed)
        assert np.array_equal(task.start, again.start) and np.array_equal(task.place, again.place)
        assert far[0] <= np.linalg.norm(task.place - task.cell.cube[:2]) <= far[1]
        assert task.start[GRIPPER] == (kind == 'push')
        for move in expert(task):
            assert (move.pose[POSITION] >= TABLE.low - 1e-9).all()
            assert (move.pose[POSITION] <= FR3.workspace_high + 1e-9).all()


def changed(cell, change, seed=3002, steps=3):
    """The task of a seed before and after so many steps in which nobody moves."""
    task = CubeCell(cell, 'pick_place', change=change)
    task.reset(seed)
    before = task.observe()[0].copy(), cell.cube.copy()
    for _ in range(steps):
        task.act(cell.commanded, 0.0)
    return task, before, (task.observe()[0].copy(), cell.cube.copy())


@pytest.mark.parametrize('change', ['moved', 'taken'])
def test_what_happens_while_the_arm_approaches_is_seen_after_it_and_in_no_goal(cell, change):
    task, (picture, cube), (later, there) = changed(cell, change)
    plain = CubeCell(cell, 'pick_place')
    plain.reset(3002)
    assert all(map(np.array_equal, task.goals(), plain.goals()))
    away = np.linalg.norm(there[:2] - cube[:2])
    assert (
        changes.MOVED[0] - 0.01 < away < changes.MOVED[1] + 0.01
        if change == 'moved'
        else (
            there[2] < -0.1  # it has fallen behind the table
        )
    )
    assert (np.abs(picture.astype(int) - later).max(axis=2) > 30).sum() > 200
    assert task.error() > 0.04


def test_other_colours_and_a_cube_out_of_reach_are_in_the_pictures(cell):
    plain, (usual, _), _ = changed(cell, '', steps=0)
    goals = plain.goals()
    _, (picture, _), _ = changed(cell, 'colour', steps=0)
    differs = np.abs(picture.astype(int) - usual).max(axis=2) > 30
    assert 200 < differs.sum() < 0.05 * differs.size  # the cube alone
    far, _, (_, cube) = changed(cell, 'far', steps=3)
    assert np.array_equal(far.goals()[0], goals[0])
    assert not np.array_equal(far.goals()[-1], goals[-1]) and far.error() > 0.1
    assert np.linalg.norm(cube[:2] - far.task.cell.cube[:2]) < 1e-3, 'the scene is put back'


def test_a_second_thing_is_seen_and_stays_where_it_is(cell):
    with DirectCell(design=changes.design_of('second'), low=TABLE.low) as two:
        _, (picture, _), _ = changed(two, 'second', steps=0)
    _, (usual, _), _ = changed(cell, '', steps=0)
    differs = np.abs(picture.astype(int) - usual).max(axis=2) > 30
    assert 200 < differs.sum() < 0.05 * differs.size


@pytest.mark.parametrize(('pictures', 'schedule'), [(3, (8, 10, 8)), (2, (18, 8)), (1, (26,))])
def test_a_picture_left_out_leaves_its_steps_to_the_next(pictures, schedule):
    assert cube.schedule_of((8, 10, 8), pictures) == schedule


def test_the_command_judges_a_model_that_knows_nothing(tmp_path, capsys):
    statistics = {
        f'{what}_{name}': (value,) * 7
        for what in ('action', 'proprio')
        for name, value in (('mean', 0.0), ('std', 0.5))
    }
    spec = cell_spec(depth=1, predictor_width=64, heads=4).replace(**statistics)
    path = tmp_path / 'blank.safetensors'
    save_world_model(build(spec, seed=0), path)
    words = ['push', '--model', str(path), '--episodes', '1', '--steps', '1', '1', '--recovery', '']
    assert cube.main([*words, '--out', str(tmp_path / 'told.json')]) == 0
    told = json.loads((tmp_path / 'told.json').read_text())['blank push'][0]
    assert told['steps'] == 2 and not told['placed']
    assert 'blank push' in capsys.readouterr().out
