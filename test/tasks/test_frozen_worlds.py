# SPDX-License-Identifier: Apache-2.0
"""Frozen tasks of the paper's worlds: states say everything, and seeds nothing that is hidden."""

import json

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')
pytest.importorskip('pymunk')

from jepa_wm_ros.tasks import freeze, frozen, frozen_worlds, task_file  # noqa: E402
from jepa_wm_ros.tasks.frozen_worlds import FrozenTask  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.tasks.world import WorldTask  # noqa: E402
from jepa_wm_ros.tasks.worlds import WORLDS  # noqa: E402

FIRST, EPISODES = 50000, 96


def made(name):
    if name.startswith('metaworld'):
        pytest.importorskip('metaworld')
    return WORLDS[name]()


def driven(task, seed, steps=4):
    """Distances, pictures and numbers of an episode of the world's own data."""
    task.reset(seed)
    act, rng = task.world.behaviour(np.random.default_rng(seed)), task.world.spec.frameskip
    errors, seen = [task.error()], [task.observe()]
    for _ in range(steps):
        task.act(np.concatenate([act(task.state) for _ in range(rng)]), 0.0)
        errors.append(task.error())
        seen.append(task.observe())
    return errors, seen, task.goals()[0]


@pytest.mark.parametrize('name', WORLDS)
def test_states_alone_say_all_there_is_to_a_task(name, tmp_path):
    """In a world that has never sampled anything, as in the one that drew them."""
    path = tmp_path / 'mine.json'
    task_file.write(frozen_worlds.draw(made(name), range(7, 9)), path)
    fresh = made(name)
    there = driven(FrozenTask(fresh, frozen_worlds.read(path, fresh)), 8)
    drew = made(name)
    here = driven(WorldTask(drew), 8)
    np.testing.assert_allclose(there[0], here[0], atol=1e-5)
    for (picture, numbers), (other, others) in zip(there[1], here[1], strict=True):
        assert np.abs(picture.astype(int) - other).max() <= 2
        np.testing.assert_allclose(numbers, others, atol=1e-4)
    assert np.abs(there[2].astype(int) - here[2]).max() <= 2
    # To the last bit where the states are the same ones.
    again = FrozenTask(drew, frozen_worlds.read(path, drew))
    np.testing.assert_array_equal(driven(again, 8)[0], there[0])


@pytest.mark.parametrize('name', WORLDS)
def test_a_shipped_file_has_the_tasks_of_seeds_that_nobody_chooses_by(name):
    world = made(name)
    tasks = frozen_worlds.read(name, world)
    assert list(tasks.tasks) == list(range(FIRST, FIRST + EPISODES))
    spec = world.spec
    assert (tasks.steps, tasks.tolerance) == (spec.steps, spec.tolerance)
    assert f'96 tasks of {name} (SHA-256 {tasks.sha256[:12]})' == tasks.summary()
    again = frozen_worlds.draw(world, list(tasks.tasks)[:2])
    for seed, states in again.tasks.items():
        for drawn, kept in zip(states, tasks.tasks[seed], strict=True):
            np.testing.assert_allclose(drawn, kept, atol=1e-4)


def test_a_file_is_read_as_it_was_written_and_its_first_tasks_keep_its_hash(tmp_path):
    path = tmp_path / 'mine.json'
    words = [str(path), '--world', 'wall', '--seed', '5', '--episodes', '3']
    assert freeze.main(words) == 0
    drawn, read = frozen_worlds.draw(Wall(), range(5, 8)), frozen_worlds.read(path, Wall())
    assert read.sha256 == drawn.sha256 == json.loads(path.read_text())['sha256']
    for seed in (5, 6, 7):
        np.testing.assert_array_equal(read.tasks[seed], drawn.tasks[seed])
    two = read.first(2)
    assert list(two.tasks) == [5, 6] and two.sha256 == read.sha256
    for count in (0, 4):
        said = f'{count} episodes are asked for.* 3 tasks of wall: ask for 1 to 3'
        with pytest.raises(task_file.TaskFileError, match=said):
            read.first(count)


def _goal_moved(content):
    content['tasks'][0]['goal'][0] += 0.001


def _nearer(content):
    content['tolerance'] = 60.0


@pytest.mark.parametrize('change', [_goal_moved, _nearer])
def test_a_changed_file_is_refused(tmp_path, change):
    path = tmp_path / 'mine.json'
    task_file.write(frozen_worlds.draw(Wall(), range(2)), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(task_file.TaskFileError, match='has been changed'):
        frozen_worlds.read(path, Wall())


def _with(**changes):
    """A file of these contents, with the hash that is theirs."""
    tasks = frozen_worlds.draw(Wall(), range(2))
    content = tasks.content() | changes
    return content | {'sha256': task_file.digest(content)}


TASK = {'seed': 1, 'start': [1.0, 2.0], 'goal': [1.0, 2.0]}


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (_with(tasks=[]), 'no tasks'),
        (_with(tasks=[TASK, TASK]), 'two of one seed'),
        (_with(tasks=[TASK | {'goal': [1.0]}]), 'several lengths'),
        (_with(tasks=[TASK | {'start': [1.0, float('nan')]}]), 'no finite numbers'),
        (_with(tasks=[TASK | {'start': 7.0, 'goal': 7.0}]), 'no finite numbers'),
        (_with(tolerance=9.0), '30 steps of wall to within 9, not 30 of wall to within 4.5'),
        (_with(world='pusht'), '30 steps of pusht'),
        ({'sha256': 1}, 'no file of tasks'),
    ],
)
def test_what_is_no_file_of_tasks_of_this_world_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / 'mine.json'
    path.write_text(json.dumps(content))
    with pytest.raises(task_file.TaskFileError, match=said) as refused:
        frozen_worlds.read(path, Wall())
    assert len(str(refused.value).splitlines()) == 1


def test_the_cells_tasks_and_a_worlds_are_told_apart():
    with pytest.raises(task_file.TaskFileError, match='tasks of the simulated cell'):
        frozen_worlds.read('reach', Wall())
    with pytest.raises(task_file.TaskFileError, match="tasks of 'wall', not of the simulated cell"):
        frozen.read('wall')


def test_a_worlds_steps_are_not_to_be_chosen(tmp_path, capsys):
    with pytest.raises(SystemExit):
        freeze.main([str(tmp_path / 'a.json'), '--world', 'wall', '--steps', '5'])
    assert 'published ones' in capsys.readouterr().err and not list(tmp_path.iterdir())
