# SPDX-License-Identifier: Apache-2.0
"""Frozen tasks: a file says all of them, its hash says which, and a changed one is refused."""

import json

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')

from jepa_wm_ros.sim.design import cell_design  # noqa: E402
from jepa_wm_ros.sim.variation import sample_reach_task  # noqa: E402
from jepa_wm_ros.tasks import freeze, frozen, task_file  # noqa: E402


def test_a_file_gives_back_the_tasks_that_its_seeds_meant(tmp_path):
    path = tmp_path / 'mine.json'
    assert freeze.main([str(path), '--cell', '5', '--seed', '70', '--episodes', '3']) == 0
    tasks = frozen.read(path)
    assert (tasks.cell, tasks.steps, tasks.tolerance) == (5, 15, 0.04)
    assert list(tasks.tasks) == [70, 71, 72]
    for seed, task in tasks.tasks.items():
        drawn = sample_reach_task(seed, cell_design(5))
        for name in ('start', 'goal'):
            np.testing.assert_allclose(getattr(task, name), getattr(drawn, name), atol=1e-8)
        np.testing.assert_allclose(task.cell.cube_pose, drawn.cell.cube_pose, atol=1e-8)
        np.testing.assert_allclose(
            task.cell.appearance.light, drawn.cell.appearance.light, atol=1e-8
        )
    assert tasks.sha256 == frozen.draw(5, range(70, 73)).sha256
    assert '3 tasks of cell 5' in tasks.summary() and tasks.sha256[:12] in tasks.summary()


def test_a_file_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / 'mine.json'
    assert freeze.main([str(path), '--episodes', '1']) == 0
    before = path.read_text()
    assert freeze.main([str(path), '--episodes', '2']) == 1
    assert path.read_text() == before and str(path) in capsys.readouterr().err


def _goal_moved(content):
    content['tasks'][0]['goal'][0] += 0.001


def _more_steps(content):
    content['steps'] += 1


@pytest.mark.parametrize('change', [_goal_moved, _more_steps])
def test_a_changed_file_is_refused(tmp_path, change):
    path = tmp_path / 'mine.json'
    task_file.write(frozen.draw(0, range(1)), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(task_file.TaskFileError, match='has been changed'):
        frozen.read(path)


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[]',
        '{}',
        '[' * 100_000,
        '{"sha256": 1, "cell": 0, "steps": 5, "tolerance": 0.04, "tasks": []}',
        '{"sha256": 1, "cell": 0, "steps": 5, "tolerance": 0.04, "tasks": [{"seed": 1}]}',
        '{"sha256": 1, "cell": 0, "steps": 5, "tolerance": 0.04, "tasks": 7}',
    ],
)
def test_what_is_no_file_of_tasks_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / 'mine.json'
    path.write_text(text)
    with pytest.raises(task_file.TaskFileError, match='is no file of tasks') as refused:
        frozen.read(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_name_means_a_shipped_file():
    assert len(frozen.read('reach').tasks) == 40
