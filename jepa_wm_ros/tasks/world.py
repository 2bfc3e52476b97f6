# SPDX-License-Identifier: Apache-2.0
"""`World`: a simulated world whose state can be set, and advanced for many at once.

A planner can so be tried with the true dynamics, a model trained on what is collected in it, and
both be judged on the same tasks: `WorldTask` is a world as the control loop sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Policy = Callable[[np.ndarray], np.ndarray]  # a state (S,) to an action (A,)


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What is fixed about a world.

    action_dim  of one step of the world; a model's step is `frameskip` of them
    img_size    side of the square picture [px]
    tolerance   distance from the goal that counts as success, in the world's unit
    horizon     model steps of one plan, as published
    steps       of the world until the judge looks, as published
    data        name of the published data's statistics
    profile     of the published planner, in config/profiles
    knower      what a table calls who acts by `World.oracle`
    hand        elements of what is measured that are the hand's place, where it is also
                published whether that is within the tolerance of the goal's; else none
    """

    name: str
    action_dim: int
    img_size: int
    tolerance: float
    horizon: int
    steps: int
    data: str
    profile: str = 'tasks/paper'
    frameskip: int = 5
    knower: str = 'oracle'
    hand: tuple[int, ...] = ()

    @property
    def model_steps(self) -> int:
        """Until the judge looks."""
        return self.steps // self.frameskip

    @property
    def model_action_dim(self) -> int:
        return self.frameskip * self.action_dim


class World(Protocol):
    """States (N, S) say everything, also what differs from one episode to the next."""

    spec: WorldSpec

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A start and a goal state (S,), drawn as published."""

    def in_the_same_place(self, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """A goal state (S,), in the surroundings of another state."""

    def behaviour(self, rng: np.random.Generator) -> Policy:
        """The published data's policy, for one episode."""

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States (N, S) after one step of the world with actions (N, A)."""

    def render(self, states: np.ndarray) -> np.ndarray:
        """Pictures uint8 (N, img_size, img_size, 3)."""

    def proprio(self, states: np.ndarray) -> np.ndarray:
        """What is measured (N, P)."""

    def distance(self, states: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The judge's distance (N,) from a goal state (S,)."""

    def oracle(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The next action (A,) of somebody who knows the world."""

    def straight(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The next action (A,) of somebody who knows where the goal is and nothing else."""


def roll(world: World, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """States (N, S) after model steps (N, H, frameskip x A)."""
    steps = actions.reshape(len(actions), -1, world.spec.action_dim)
    for index in range(steps.shape[1]):
        states = world.step(states, steps[:, index])
    return states


def random_actions(world: World, seed: int = 0, episodes: int = 40) -> np.ndarray:
    """Actions (n, A) of the published data's policy in so many episodes."""
    found = []
    for index in range(episodes):
        rng = np.random.default_rng([seed, 7, index])
        state, policy = world.sample(rng)[0], world.behaviour(rng)
        for _ in range(world.spec.steps):
            found.append(policy(state))
            state = world.step(state[None], found[-1][None])[0]
    return np.stack(found)


class WorldTask:
    """A world as the control loop sees it (task.Task). A waypoint is an action: what is commanded
    is a step, wherever it leads.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def reset(self, seed: int) -> None:
        """Stand at the start of `seed`."""
        self.state, self.goal = self.world.sample(np.random.default_rng([seed, 4]))

    def goals(self) -> list[np.ndarray]:
        """The picture of the goal state."""
        return [self.world.render(self.goal[None])[0]]

    def goal_states(self) -> list[np.ndarray]:
        """What is measured in the goal state, which published goals say too."""
        return [self.world.proprio(self.goal[None])[0]]

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Picture and measured numbers."""
        here = self.state[None]
        return self.world.render(here)[0], self.world.proprio(here)[0]

    def waypoints(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Nothing, then one action after the other (H + 1, A)."""
        return np.concatenate([np.zeros_like(actions[:1]), actions])

    def act(self, target: np.ndarray, gripper: float) -> bool:
        """Make one model step; none is ever shortened."""
        self.state = roll(self.world, self.state[None], target[None, None])[0]
        return False

    def error(self) -> float:
        """The judge's distance."""
        return float(self.world.distance(self.state[None], self.goal)[0])

    def success(self) -> bool:
        """Whether that is within the world's tolerance."""
        return self.error() < self.world.spec.tolerance
