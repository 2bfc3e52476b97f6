# SPDX-License-Identifier: Apache-2.0
"""Wall: where a dot may go, by hand; and that what is drawn is where it is."""

import numpy as np
import pytest

from jepa_wm_ros.tasks import wall
from jepa_wm_ros.tasks.wall import Wall
from jepa_wm_ros.tasks.world import WorldTask, random_actions, roll
from jepa_wm_ros.world_model.files.statistics import STATISTICS

WORLD = Wall()


def after(x, y, dx, dy, door=30.0):
    moved = WORLD.step(np.array([[x, y, door]]), np.array([[dx, dy]]) / wall.GAIN)[0]
    assert moved[2] == door
    return moved[:2].tolist()


@pytest.mark.parametrize(
    ('way', 'ends'),
    [
        ((10, 10, 3, -2), (13, 8)),  # free
        ((58, 10, 9, 0), (60, 10)),  # the border
        ((27, 10, 9, 0), (29, 10)),  # the wall, from the left
        ((38, 10, -9, 0), (35, 10)),  # and from the right
        ((27, 10, 20, 0), (29, 10)),  # nothing jumps it
        ((27, 30, 4, 0), (31, 30)),  # the door
        ((27, 30, 20, 0), (47, 30)),  # through it at once
        ((31, 30, 0, 9), (31, 34)),  # its side
        ((31, 30, 0, -9), (31, 26)),
        ((31, 30, 9, 0), (40, 30)),  # out of it
        ((29, 10, 0, 5), (29, 15)),  # along the wall
        ((29, 10, -5, 0), (24, 10)),  # away from it
    ],
)
def test_where_a_dot_may_go(way, ends):
    assert after(*way) == pytest.approx(ends)


def test_many_are_moved_as_each_alone():
    rng = np.random.default_rng(0)
    states = np.stack([WORLD.sample(rng)[0] for _ in range(200)])
    actions = rng.normal(0, 4, (200, 2))
    together = WORLD.step(states, actions)
    alone = [WORLD.step(s[None], a[None])[0] for s, a in zip(states, actions, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_nobody_is_ever_in_the_wall_or_outside():
    rng = np.random.default_rng(1)
    states = np.stack([WORLD.sample(rng)[0] for _ in range(300)])
    for _ in range(60):
        states = WORLD.step(states, rng.normal(0, 3, (300, 2)))
        x, y, door = states.T
        assert (x >= wall.LOW).all() and (x <= wall.HIGH).all() and (abs(y - 32) <= 28).all()
        inside = abs(x - wall.WALL_X) < wall.HALF_WALL - 1e-9
        assert (abs(y - door)[inside] <= wall.HALF_DOOR + 1e-9).all()


def test_the_dot_is_drawn_where_it_is_and_the_door_is_open():
    frame = WORLD.render(np.array([[20.0, 41.0, 30.0]]))[0].astype(int)
    assert frame.shape == (65, 65, 3)
    assert frame[41, 20].tolist() == [210, 40, 40]
    assert frame[10, 32].tolist() == [40, 60, 110] and frame[30, 32].tolist() == [255] * 3
    redness = frame[..., 0] - frame[..., 1] * 1.0
    redness[frame[..., 2] > 100] *= 0.5
    assert np.unravel_index(redness.argmax(), redness.shape) == (41, 20)


def test_start_and_goal_are_in_different_rooms_and_come_from_the_seed_alone():
    task = WorldTask(WORLD)
    for seed in range(50):
        task.reset(seed)
        first = task.state, task.goal
        assert np.sign(first[0][0] - 32) == -np.sign(first[1][0] - 32)
        assert first[0][2] == first[1][2] and not task.success()
        task.reset(seed)
        np.testing.assert_array_equal(task.state, first[0])


def test_who_knows_the_door_always_arrives_and_who_does_not_mostly_fails():
    reached = {'oracle': 0, 'straight': 0}
    for seed in range(60):
        rng = np.random.default_rng([seed, 4])
        start, goal = WORLD.sample(rng)
        for name in reached:
            state = start
            for _ in range(60):
                state = WORLD.step(state[None], getattr(WORLD, name)(state, goal)[None])[0]
            reached[name] += bool(WORLD.distance(state[None], goal)[0] < WORLD.spec.tolerance)
    assert reached['oracle'] == 60 and reached['straight'] < 30


def test_a_model_step_is_five_of_the_world():
    state = np.array([[10.0, 10.0, 30.0]])
    moved = roll(WORLD, state, np.tile([0.5, 0.0], 5)[None, None])
    assert moved[0].tolist() == [15.0, 10.0, 30.0]


def test_what_is_collected_has_the_published_statistics():
    actions = random_actions(WORLD, episodes=500)
    assert np.abs(actions.mean(axis=0)).max() < 0.06
    assert actions.std(axis=0) == pytest.approx(STATISTICS['wall'].action_std, rel=0.05)
