# SPDX-License-Identifier: Apache-2.0
"""Who stands in a table of a world's tasks beside the models, and what a share is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from jepa_wm_ros.tasks.frozen_worlds import States
from jepa_wm_ros.tasks.world import Policy, World

# From a world, a start, a goal and a seed to the states of an episode (steps + 1, S): at the start
# and after each model step.
Walk = Callable[[World, np.ndarray, np.ndarray, int], np.ndarray]


def baselines(world: World) -> Iterator[tuple[str, Walk]]:
    """Who is in the table without a plan."""

    def stepwise(policy: Callable[[np.random.Generator, np.ndarray], Policy]) -> Walk:
        """policy: from random numbers and a goal to what acts in an episode."""

        def walk(world: World, state: np.ndarray, goal: np.ndarray, seed: int) -> np.ndarray:
            act = policy(np.random.default_rng([seed, 5]), goal)
            states = [state]
            for _ in range(world.spec.model_steps):
                for _ in range(world.spec.frameskip):
                    state = world.step(state[None], act(state)[None])[0]
                states.append(state)
            return np.stack(states)

        return walk

    yield 'no motion', stepwise(lambda rng, goal: lambda s: np.zeros(world.spec.action_dim))
    yield 'random actions', stepwise(lambda rng, goal: world.behaviour(rng))
    yield 'straight line', stepwise(lambda rng, goal: lambda s: world.straight(s, goal))
    yield world.spec.knower, stepwise(lambda rng, goal: lambda s: world.oracle(s, goal))


def walked(world: World, walk: Walk, task: States, seed: int) -> tuple[np.ndarray, list[float]]:
    """The state (S,) that an episode ends in, and the judge's distances at its start and after each
    model step.

    seed: of who acts at random.
    """
    start, goal = task
    states = walk(world, start, goal, seed)
    return states[-1], world.distance(states, goal).tolist()


def interval(successes: int, episodes: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, which says something of none and of all too."""
    from scipy.stats import binomtest

    found = binomtest(successes, episodes).proportion_ci(0.95, method='wilson')
    return float(found.low), float(found.high)


def half_width(reached: float, episodes: int) -> float:
    """Of the interval of a share."""
    low, high = interval(round(reached * episodes), episodes)
    return (high - low) / 2
