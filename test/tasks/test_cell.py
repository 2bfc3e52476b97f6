# SPDX-License-Identifier: Apache-2.0
"""The task of the simulated cell: the same for everyone, within the arm's own envelope."""

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.errors import Fault, FaultCode  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.sim.direct import DirectCell  # noqa: E402
from jepa_wm_ros.tasks import frozen  # noqa: E402
from jepa_wm_ros.tasks.cell import ReachCell  # noqa: E402


@pytest.fixture(scope='module')
def task():
    with DirectCell() as cell:
        yield ReachCell(cell)


def move(task, *translation, closure=math.nan):
    _, pose = task.observe()
    action = np.array([[*translation, 0, 0, 0, 0]])
    return task.act(task.waypoints(pose, action)[1], closure)


def test_frozen_tasks_say_where_and_how_near(task):
    tasks = frozen.draw(0, range(5, 6))
    stricter = ReachCell(task._cell, dataclasses.replace(tasks, tolerance=1e-6))
    wider = ReachCell(task._cell, dataclasses.replace(tasks, tolerance=0.3))
    for one, success in ((stricter, False), (wider, True)):
        one.reset(5)
        np.testing.assert_array_equal(one.goal, tasks.tasks[5].goal)
        assert one.success() is success
    with pytest.raises(KeyError):
        stricter.reset(6)


def test_start_goal_and_pictures_come_from_the_seed_alone(task):
    task.reset(3)
    picture, pose = task.observe()
    goal = task.goals()[0]
    move(task, 0.02, 0, 0)
    task.reset(3)
    np.testing.assert_array_equal(task.observe()[0], picture)
    np.testing.assert_array_equal(task.observe()[1], pose)
    np.testing.assert_array_equal(task.goals()[0], goal)
    assert 0.09 < task.error() < 0.26 and not task.success()


def test_the_hand_goes_where_it_is_told_but_one_step_at_most(task):
    task.reset(3)
    before = task.observe()[1]
    assert not move(task, 0, 0, 0.02)
    np.testing.assert_allclose(task.observe()[1][:3] - before[:3], [0, 0, 0.02], atol=1e-3)
    centre = (FR3.workspace_low + FR3.workspace_high) / 2
    before = task.observe()[1]
    way = centre - before[:3]
    assert move(task, *(way / np.linalg.norm(way) * 0.2))
    gone = np.linalg.norm(task.observe()[1][:3] - before[:3])
    assert gone == pytest.approx(FR3.max_step, abs=2e-3)


def test_the_picture_shows_the_goal_where_the_judge_has_it(task):
    task.reset(3)
    goal = task.goals()[0]
    for _ in range(6):
        move(task, *(task.goal - task.observe()[1])[:3])
    assert task.success() and task.error() < 0.002
    difference = np.abs(task.observe()[0].astype(int) - goal.astype(int))
    assert np.mean(difference) < 1.0


def test_a_step_of_which_nothing_is_left_moves_nothing_and_is_refused(task):
    task.reset(3)
    with pytest.raises(Fault) as told:
        for _ in range(20):
            before = task.observe()[1]
            move(task, 0.07, 0, 0)
    assert told.value.code is FaultCode.WORKSPACE_LIMIT
    assert before[0] > FR3.workspace_high[0] - 0.01
    np.testing.assert_array_equal(task.observe()[1], before)


def test_the_hand_closes_when_told_and_keeps_what_it_has_otherwise(task):
    task.reset(3)
    move(task, 0, 0, 0, closure=1.0)
    assert task.observe()[1][6] > 0.9
    move(task, 0, 0, 0.01)
    assert task.observe()[1][6] > 0.9
