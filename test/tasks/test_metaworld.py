# SPDX-License-Identifier: Apache-2.0
"""Metaworld's Reach and Reach-Wall: the package's own step and judge as the truth."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('metaworld')

from jepa_wm_ros.tasks.metaworld import Reach, ReachWall  # noqa: E402
from jepa_wm_ros.tasks.world import WorldTask  # noqa: E402


@pytest.fixture(scope='module', params=[Reach, ReachWall])
def world(request):
    return request.param()


@pytest.fixture(scope='module')
def reach():
    return Reach()


def after(world, start, goal, act):
    state = start
    for _ in range(world.spec.steps):
        state = world.step(state[None], act(state, goal)[None])[0]
    return state


def test_the_expert_arrives_and_a_straight_line_does_not_pass_the_wall(world):
    reached = {'oracle': 0, 'straight': 0, 'nobody': 0}
    for seed in range(6):
        start, goal = world.sample(np.random.default_rng([seed, 4]))
        ways = {
            'oracle': world.oracle,
            'straight': world.straight,
            'nobody': lambda *_: np.zeros(4),
        }
        for name, act in ways.items():
            end = after(world, start, goal, act)
            reached[name] += bool(world.distance(end[None], goal)[0] < world.spec.tolerance)
    assert reached['oracle'] == 6 and reached['nobody'] == 0
    assert reached['straight'] == 6 if world.name == 'metaworld_reach' else reached['straight'] < 6


def test_a_step_is_the_packages_own(reach):
    start, goal = reach.sample(np.random.default_rng(0))
    env, actions = reach._env, np.random.default_rng(1).uniform(-1, 1, (5, 4))
    reach._set(start)
    env.set_xyz_action(np.zeros(3))
    state = start
    for action in actions:
        state = reach.step(state[None], action[None])[0]
    reach._set(start)
    env._target_pos, env.curr_path_length = goal[-3:], 0
    for action in actions:
        seen, _, _, _, info = env.step(action)
    np.testing.assert_allclose(reach.proprio(state[None])[0], seen[:4], atol=2e-4)
    assert reach.distance(state[None], goal)[0] == pytest.approx(info['near_object'], abs=2e-4)


def test_a_state_says_everything(reach):
    """Also after other states were set in between."""
    start, goal = reach.sample(np.random.default_rng(2))
    action = np.array([[0.5, -0.2, 0.3, 1.0]])
    first = reach.step(start[None], action)
    reach.step(goal[None], -action)
    np.testing.assert_array_equal(reach.step(start[None], action), first)


def test_in_the_goals_picture_the_hand_is_at_the_goal_and_the_fingers_hang_below(reach):
    """Which is why two successes are published: few millimetres lower, the fingers miss."""
    _, goal = reach.sample(np.random.default_rng(4))
    assert np.linalg.norm(reach.proprio(goal[None])[0, :3] - goal[-3:]) < 0.01
    assert 0.04 < reach.distance(goal[None], goal)[0] < reach.spec.tolerance


def test_pictures_show_the_arm_and_not_where_the_goal_is(reach):
    start, goal = reach.sample(np.random.default_rng(3))
    elsewhere = start.copy()
    elsewhere[-3:] += 0.1
    pictures = reach.render(np.stack([start, goal, elsewhere]))
    assert pictures.shape == (3, 64, 64, 3)
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 50
    np.testing.assert_array_equal(pictures[0], pictures[2])
    floor, ceiling = pictures[0][-8:].mean(), pictures[0][:8].mean()
    assert floor != pytest.approx(ceiling, abs=5)


def test_the_control_loop_sees_it_as_any_task(reach):
    task = WorldTask(reach)
    task.reset(7)
    before = task.error()
    for _ in range(reach.spec.steps // reach.spec.frameskip):
        steps, state = [], task.state
        for _ in range(reach.spec.frameskip):
            steps.append(reach.oracle(state, task.goal))
            state = reach.step(state[None], steps[-1][None])[0]
        task.act(np.concatenate(steps), 0.0)
    assert before > reach.spec.tolerance and task.success()
