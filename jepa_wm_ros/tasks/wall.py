# SPDX-License-Identifier: Apache-2.0
"""Wall: a dot in two rooms with a door between them, 65 pixels a side.

Source: Zhou et al., arXiv 2411.04983 (DINO-WM), appendix on environments; arXiv 2512.24497, Wall.
Lengths in pixels. A state is the dot's x and y, and where the door is (y of its middle).
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.tasks.world import Policy, WorldSpec

SIZE = 65
LOW, HIGH = 4.0, 60.0  # border lines
WALL_X, HALF_WALL, HALF_DOOR = 32.0, 3.0, 4.0
MARGIN = 3.4  # of starts and goals from lines and wall: two sigmas of the dot
DOT_SIGMA = 1.7
GAIN = 2.0  # pixels for an action of 1
DOORS = 10.0, 54.0  # where the door may be
STEP_MEAN, STEP_SIGMA, STEP_LIMITS = 1.0, 0.4, (0.2, 1.8)
KAPPA = 5.0  # of the heading's von Mises distribution
BACKGROUND, LINES, DOT = (
    np.array(c, float) for c in ((255, 255, 255), (40, 60, 110), (210, 40, 40))
)


class Wall:
    """`World`, in arithmetic alone."""

    spec = WorldSpec(
        'wall', action_dim=2, img_size=SIZE, tolerance=4.5, horizon=6, steps=30, data='wall'
    )

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Start and goal in different rooms, and one door for both."""
        door = rng.uniform(*DOORS)
        left = rng.uniform(LOW + MARGIN, WALL_X - HALF_WALL - MARGIN)
        right = rng.uniform(WALL_X + HALF_WALL + MARGIN, HIGH - MARGIN)
        y = rng.uniform(LOW + MARGIN, HIGH - MARGIN, 2)
        ends = [np.array([x, one, door]) for x, one in zip((left, right), y, strict=True)]
        return (ends[0], ends[1]) if rng.random() < 0.5 else (ends[1], ends[0])

    def in_the_same_place(self, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """With the same door."""
        return np.array([goal[0], goal[1], state[2]])

    def behaviour(self, rng: np.random.Generator) -> Policy:
        """Steps of about one, headed about one way."""
        way = rng.uniform(-np.pi, np.pi)

        def act(_state: np.ndarray) -> np.ndarray:
            heading = rng.vonmises(way, KAPPA)
            size = np.clip(rng.normal(STEP_MEAN, STEP_SIGMA), *STEP_LIMITS)
            return size * np.array([np.cos(heading), np.sin(heading)])

        return act

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Move by twice the action; the border, the wall and the sides of the door stop the dot."""
        after = states.copy()
        after[:, :2] = np.clip(states[:, :2] + GAIN * actions, LOW, HIGH)
        was, x, y, door = states[:, 0], after[:, 0], after[:, 1], states[:, 2]
        low, high = WALL_X - HALF_WALL, WALL_X + HALF_WALL
        inside = (was > low) & (was < high)  # in the door
        after[:, 1] = np.where(inside, np.clip(y, door - HALF_DOOR, door + HALF_DOOR), y)
        # Where the way meets the wall, the door must be.
        face = np.where(was <= low, low, high)
        crosses = ~inside & ((was - face) * (x - face) < 0) | ~inside & (x > low) & (x < high)
        share = np.divide(face - was, x - was, out=np.zeros_like(x), where=x != was)
        at = states[:, 1] + share * (after[:, 1] - states[:, 1])
        stopped = crosses & (np.abs(at - door) > HALF_DOOR)
        after[:, 0] = np.where(stopped, face, x)
        in_door = (after[:, 0] > low) & (after[:, 0] < high)
        kept = np.clip(after[:, 1], door - HALF_DOOR, door + HALF_DOOR)
        after[:, 1] = np.where(in_door, kept, after[:, 1])
        return after

    def render(self, states: np.ndarray) -> np.ndarray:
        """A dot with soft edges on white; border and wall in blue."""
        x, y, door = states[:, 0, None, None], states[:, 1, None, None], states[:, 2, None, None]
        rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(float)
        lines = np.zeros((1, SIZE, SIZE), bool)
        for line in (int(LOW), int(HIGH)):
            lines |= (rows == line) | (columns == line)
        beside = np.abs(columns - WALL_X) <= HALF_WALL
        lines = lines | (beside & (np.abs(rows - door) > HALF_DOOR))
        dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * DOT_SIGMA**2))[..., None]
        behind = np.where(lines[..., None], LINES, BACKGROUND)
        return (behind * (1 - dot) + DOT * dot).round().astype(np.uint8)

    def proprio(self, states: np.ndarray) -> np.ndarray:
        """Where the dot is (N, 2)."""
        return states[:, :2]

    def distance(self, states: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Pixels between dot and goal."""
        return np.linalg.norm(states[:, :2] - goal[:2], axis=-1)

    def oracle(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """To the door first, where goal and dot are in different rooms."""
        side, wanted = np.sign(state[0] - WALL_X), np.sign(goal[0] - WALL_X)
        if side == wanted:
            return self._towards(state[:2], goal[:2])
        before_the_door = abs(state[1] - state[2]) > 1.0
        x = WALL_X + (side if before_the_door else wanted) * (HALF_WALL + 1.0)
        return self._towards(state[:2], np.array([x, state[2]]))

    def straight(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Straight for the goal."""
        return self._towards(state[:2], goal[:2])

    @staticmethod
    def _towards(here: np.ndarray, there: np.ndarray) -> np.ndarray:
        way = (there - here) / GAIN
        return way * min(1.0, STEP_LIMITS[1] / max(float(np.linalg.norm(way)), 1e-9))
