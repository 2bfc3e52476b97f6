# SPDX-License-Identifier: Apache-2.0
"""Push-T: where things are after they were put there, what a push does, and what is drawn of it."""

import numpy as np
import pytest

pytest.importorskip('pymunk')

from jepa_wm_ros.tasks.pusht import NEAR, PushT  # noqa: E402
from jepa_wm_ros.tasks.world import random_actions  # noqa: E402
from jepa_wm_ros.world_model.files.statistics import STATISTICS  # noqa: E402


@pytest.fixture(scope='module')
def world():
    return PushT()


def state(agent=(100, 100), block=(300, 300), angle=0.0, velocity=(0, 0)):
    return np.array([*agent, *block, angle, *velocity], float)


def test_what_nobody_touches_stays_where_it_was_put(world):
    put = state(angle=0.7)
    after = world.step(put[None], np.zeros((1, 2)))[0]
    np.testing.assert_allclose(after, put, atol=1e-6)


def test_the_agent_is_drawn_to_where_an_action_leads(world):
    here = state()
    for _ in range(10):
        here = world.step(here[None], ((np.array([150, 80]) - here[:2]) / 100)[None])[0]
    np.testing.assert_allclose(here[:2], [150, 80], atol=2.0)


def test_a_push_on_the_bars_middle_moves_the_t_and_does_not_turn_it(world):
    here = state(agent=(300, 260), block=(300, 300))  # the bar's upper edge is at y = 300
    for _ in range(8):
        here = world.step(here[None], np.array([[0.0, 0.2]]))[0]
    assert here[3] > 305 and abs(here[2] - 300) < 2 and abs(here[4]) < 0.02


def test_a_push_on_its_end_turns_it(world):
    here = state(agent=(245, 260), block=(300, 300))
    for _ in range(8):
        here = world.step(here[None], np.array([[0.0, 0.2]]))[0]
    assert here[4] < -0.05  # y goes down: the left end goes down


def test_an_episode_is_the_same_whatever_was_set_before(world):
    rng = np.random.default_rng(3)
    start, _ = world.sample(rng)
    actions = rng.normal(0, 0.2, (10, 2))

    def run():
        here = start
        for action in actions:
            here = world.step(here[None], action[None])[0]
        return here

    first = run()
    touching = state(agent=(290, 270))
    world.step(touching[None], np.array([[0.2, 0.4]]))  # contacts, which pymunk remembers
    np.testing.assert_array_equal(run(), first)


def test_a_task_is_the_same_whichever_were_drawn_before(world):
    first = [world.sample(np.random.default_rng(seed)) for seed in range(8)]
    for seed in (5, 2, 7, 0):
        np.testing.assert_array_equal(world.sample(np.random.default_rng(seed)), first[seed])


def test_success_is_the_published_one(world):
    goal = state()
    near = state(agent=(100 + 0.99 * NEAR, 100))
    assert world.distance(near[None], goal)[0] < 1
    both = state(agent=(100 + 0.8 * NEAR, 100), block=(300, 300 + 0.8 * NEAR))
    assert world.distance(both[None], goal)[0] > 1
    assert world.distance(state(angle=np.pi / 9 + 0.01)[None], goal)[0] > 1
    assert world.distance(state(angle=2 * np.pi + 0.1)[None], goal)[0] < 1


def test_the_picture_shows_t_and_agent(world):
    frame = world.render(state(agent=(100, 400), block=(300, 100))[None])[0].astype(int)
    assert frame[round(400 / 8), round(100 / 8)].tolist() == [65, 105, 225]
    assert frame[round(115 / 8), round(300 / 8)].tolist() == [119, 136, 153]
    assert frame[round(200 / 8), round(300 / 8)].tolist() == [119, 136, 153], 'the stem'
    assert frame[5, 5].tolist() == [255] * 3


def test_the_scripted_pusher_moves_the_t_and_acts_about_as_the_published_one(world):
    actions = random_actions(world, episodes=60)
    assert actions.std(axis=0) == pytest.approx(STATISTICS['pusht'].action_std, rel=0.3)
    moved = []
    for seed in range(20):
        start, goal = world.sample(np.random.default_rng([seed, 4]))
        moved.append(np.linalg.norm(goal[2:4] - start[2:4]))
        assert (goal[:4] > 0).all() and (goal[:4] < 512).all()
    assert np.mean(np.array(moved) > 10) > 0.4
