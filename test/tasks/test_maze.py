# SPDX-License-Identifier: Apache-2.0
"""PointMaze: the U, its physics against numbers worked out by hand, and what is drawn of it."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')

from jepa_wm_ros.tasks.maze import MAP, PointMaze, cell_of, is_free, way_point  # noqa: E402
from jepa_wm_ros.tasks.world import random_actions  # noqa: E402
from jepa_wm_ros.world_model.files.statistics import STATISTICS  # noqa: E402


@pytest.fixture(scope='module')
def world():
    return PointMaze()


def test_the_u_has_seven_cells_and_its_ends_are_far_apart():
    assert cell_of(np.array([0.8, 0.8])) == (1, 1) and cell_of(np.array([2.8, 2.8])) == (3, 3)
    assert is_free(np.array([0.8, 0.8])) and not is_free(np.array([1.8, 0.8]))
    assert not is_free(np.array([1.25, 0.8])), 'the ball would be in the wall'
    here, goal = np.array([0.8, 0.8]), np.array([2.8, 0.8])
    way = []
    while cell_of(here) != cell_of(goal):
        here = way_point(here, goal)
        way.append(cell_of(here))
    assert way == [(1, 2), (1, 3), (2, 3), (3, 3), (3, 2), (3, 1)]


def test_a_ball_that_is_let_go_is_slowed_by_its_damper(world):
    mass = 4.19
    after = world.step(np.array([[0.8, 0.8, 0.0, 1.0]]), np.zeros((1, 2)))[0]
    assert after[3] == pytest.approx(np.exp(-0.05 / mass), rel=1e-3)
    assert after[1] == pytest.approx(0.8 + mass * (1 - np.exp(-0.05 / mass)), rel=1e-4)


def test_a_motor_pushes_as_hard_as_its_gear_and_no_action_more_than_one(world):
    at = np.array([[0.8, 0.8, 0.0, 0.0]] * 2)
    one, more = world.step(at, np.array([[0.0, 1.0], [0.0, 9.0]]))
    mass, force = 4.19, 100.0
    assert one[3] == pytest.approx(force * (1 - np.exp(-0.05 / mass)), rel=1e-3)
    np.testing.assert_array_equal(one, more)


def test_walls_hold_the_ball(world):
    rng = np.random.default_rng(0)
    states = np.stack([world.sample(rng)[0] for _ in range(20)])
    for _ in range(40):
        states = world.step(states, rng.uniform(-1, 1, (20, 2)))
        assert all(in_no_wall(state) for state in states)


def in_no_wall(state):
    """The ball's middle is in no wall."""
    row, column = cell_of(state[:2])
    return MAP[row][column] != '#'


def test_the_picture_shows_the_ball_where_it_is_and_the_u(world):
    frames = world.render(np.array([[0.8, 0.8, 0, 0], [2.8, 2.3, 0, 0]])).astype(int)
    places = []
    for frame in frames:
        red = (frame[..., 0] > 150) & (frame[..., 1] < 90)
        places.append(np.argwhere(red).mean(axis=0))
    down, right = places[1] - places[0]
    assert down > 0 and right > 0
    assert down / right == pytest.approx(2.0 / 1.5, rel=0.1)  # as far as the ball was moved
    middle = frames[0][32, 20]  # between the arms of the U
    assert middle[2] > middle[0] + 20


def test_who_knows_the_maze_arrives_and_the_straight_line_mostly_does_not(world):
    reached = {'oracle': 0, 'straight': 0}
    for seed in range(12):
        start, goal = world.sample(np.random.default_rng([seed, 4]))
        for name in reached:
            state = start
            for _ in range(120):
                state = world.step(state[None], getattr(world, name)(state, goal)[None])[0]
            reached[name] += bool(world.distance(state[None], goal)[0] < world.spec.tolerance)
    assert reached['oracle'] == 12 and reached['straight'] < 12


def test_actions_are_those_of_the_published_data(world):
    actions = random_actions(world, episodes=40)
    assert actions.std(axis=0) == pytest.approx(STATISTICS['pointmaze'].action_std, rel=0.05)
