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


@pytest.mark.parametrize(('kind', 'far'), [('pick_place', CARRIED), ('push', PUSHED)])
def test_tasks_are_those_of_their_seed_and_within_reach(kind, far):
    for seed in range(200):
        task, again = sample_task(kind, seed), sample_task(kind, seed)
        assert np.array_equal(task.start, again.start) and np.array_equal(task.place, again.place)
        assert far[0] <= np.linalg.norm(task.place - task.cell.cube[:2]) <= far[1]
        assert task.start[GRIPPER] == (kind == 'push')
        for move in expert(task):
            assert (move.pose[POSITION] >= TABLE.low - 1e-9).all()
            assert (move.pose[POSITION] <= FR3.workspace_high + 1e-9).all()


@pytest.mark.parametrize(
    ('goals', 'pictures', 'schedule'),
    [(3, 3, (8, 10, 8)), (2, 2, (18, 8)), (1, 1, (26,)), (4, 1, (6, 6, 6, 8))],
)
def test_a_picture_left_out_leaves_its_steps_to_the_next(goals, pictures, schedule):
    assert cube.schedule_of((8, 10, 8), goals, pictures) == schedule


def test_the_command_judges_a_model_that_knows_nothing(tmp_path, capsys):
    statistics = {
        f'{what}_{name}': (value,) * 7
        for what in ('action', 'proprio')
        for name, value in (('mean', 0.0), ('std', 0.5))
    }
    spec = cell_spec(depth=1, predictor_width=64, heads=4).replace(**statistics)
    path = tmp_path / 'blank.safetensors'
    save_world_model(build(spec, seed=0), path)
    words = ['push', '--model', str(path), '--episodes', '1', '--steps', '1', '1']
    assert cube.main([*words, '--out', str(tmp_path / 'told.json')]) == 0
    told = json.loads((tmp_path / 'told.json').read_text())['blank grasp'][0]
    assert told['steps'] == 2 and not told['placed']
    assert 'blank grasp' in capsys.readouterr().out
