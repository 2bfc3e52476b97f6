# SPDX-License-Identifier: Apache-2.0
"""Push-T: a round agent pushes a T on a table, in pymunk; 512 units a side.

Source: Chi et al., arXiv 2303.04137 (Diffusion Policy, MIT), as in arXiv 2411.04983 and
2512.24497: an action, times 100, is added to where the agent is, and a damped spring draws it there
for 0.1 s. A state is the agent's x and y, the T's x, y and angle, and the agent's velocity.
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.tasks.world import Policy, WorldSpec

SIDE = 512.0
GAIN = 100.0  # units for an action of 1
SPRING, DAMPER = 100.0, 20.0
TIME_STEP, STEPS_PER_ACTION = 0.01, 10
AGENT_RADIUS, SCALE = 15.0, 30.0
WALLS = (((5, 506), (5, 5)), ((5, 5), (506, 5)), ((506, 5), (506, 506)), ((5, 506), (506, 506)))
BAR = np.array([(-2, 1), (2, 1), (2, 0), (-2, 0)]) * SCALE  # the T's, around where it is told to be
STEM = np.array([(-0.5, 1), (-0.5, 4), (0.5, 4), (0.5, 1)]) * SCALE
LOW_AGENT, HIGH_AGENT, LOW_BLOCK, HIGH_BLOCK = 50.0, 450.0, 100.0, 400.0
NEAR, TURNED = 20.0, np.pi / 9  # of the goal: agent and block together, and the block's angle
SIZE = 64  # px
FINER = 4  # times, drawn before it is reduced: for smooth edges
BACKGROUND, BLOCK, AGENT = (255, 255, 255), (119, 136, 153), (65, 105, 225)


class PushT:
    """`World`; not for several threads at once."""

    spec = WorldSpec(
        'pusht',
        action_dim=2,
        img_size=SIZE,
        tolerance=1.0,
        horizon=6,
        steps=30,
        data='pusht',
        knower='scripted pusher',
    )

    def __init__(self) -> None:
        import pymunk

        self._pymunk = pymunk
        self._parts = [part.tolist() for part in (BAR, STEM)]
        self._inertia = sum(pymunk.moment_for_poly(1.0, part) for part in self._parts)
        self._build()

    def _build(self) -> None:
        """A table on which nothing has touched anything yet."""
        pymunk = self._pymunk
        self._space = space = pymunk.Space()
        space.damping = 0
        for ends in WALLS:
            space.add(pymunk.Segment(space.static_body, *ends, 2))
        self._agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        circle = pymunk.Circle(self._agent, AGENT_RADIUS)
        self._block = pymunk.Body(1.0, self._inertia)
        shapes = [pymunk.Poly(self._block, part) for part in self._parts]
        self._block.center_of_gravity = (
            shapes[0].center_of_gravity + shapes[1].center_of_gravity
        ) / 2
        self._block.friction = 1
        space.add(self._agent, circle, self._block, *shapes)

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A start, and where it has come to after 30 steps of the scripted pusher."""
        agent = rng.uniform(LOW_AGENT, HIGH_AGENT, 2)
        block = rng.uniform(LOW_BLOCK, HIGH_BLOCK, 2)
        start = self._settled(np.array([*agent, *block, rng.uniform(-np.pi, np.pi), 0.0, 0.0]))
        act, goal = self.behaviour(rng), start
        for _ in range(self.spec.steps):
            goal = self.step(goal[None], act(goal)[None])[0]
        return start, goal

    def _settled(self, state: np.ndarray) -> np.ndarray:
        """A state in which nothing overlaps: what does is pushed apart."""
        return self.step(state[None], np.zeros((1, 2)))[0]

    def in_the_same_place(self, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """There is only one table."""
        return goal

    def behaviour(self, rng: np.random.Generator) -> Policy:
        """A scripted pusher: to a place beside the T, through it, and again."""
        way: list[np.ndarray] = []

        def act(state: np.ndarray) -> np.ndarray:
            while way and np.linalg.norm(way[0] - state[:2]) < 20.0:
                way.pop(0)
            if not way:
                middle = state[2:4] + _turned(np.array([0.0, 1.5 * SCALE]), state[4])
                side = _turned(np.array([1.0, 0.0]), rng.uniform(-np.pi, np.pi))
                shift = rng.normal(0, 25, 2)
                way.extend(
                    [middle + 110 * side + shift, middle - rng.uniform(0, 90) * side + shift]
                )
            target = np.clip(way[0], 20, SIDE - 20)
            step = (target - state[:2]) / GAIN
            step *= min(1.0, rng.uniform(0.15, 0.45) / max(float(np.linalg.norm(step)), 1e-9))
            return step + rng.normal(0, 0.05, 2)

        return act

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """A tenth of a second with one action each."""
        after = np.empty_like(states)
        for index, (state, action) in enumerate(zip(states, actions, strict=True)):
            self._set(state)
            agent, block = self._agent, self._block
            (x, y), (vx, vy) = state[:2].tolist(), state[5:7].tolist()
            to_x, to_y = np.clip(state[:2] + GAIN * action, 0, SIDE).tolist()
            for _ in range(STEPS_PER_ACTION):  # in plain numbers: arrays would take most of it
                vx += (SPRING * (to_x - x) - DAMPER * vx) * TIME_STEP
                vy += (SPRING * (to_y - y) - DAMPER * vy) * TIME_STEP
                agent.velocity = vx, vy
                self._space.step(TIME_STEP)
                x, y = agent.position
            after[index] = [x, y, *block.position, block.angle, vx, vy]
        return after

    def _set(self, state: np.ndarray) -> None:
        self._build()  # a space remembers contacts, which are in no state
        agent, block = self._agent, self._block
        agent.velocity = tuple(state[5:7])
        agent.position = tuple(state[:2])
        # The angle first: it turns the T about its centre of gravity, and moves where it is.
        block.angle = float(state[4])
        block.position = tuple(state[2:4])
        block.velocity, block.angular_velocity = (0.0, 0.0), 0.0
        self._space.reindex_shapes_for_body(block)
        self._space.reindex_shapes_for_body(agent)

    def render(self, states: np.ndarray) -> np.ndarray:
        """Table, T and agent from above, with smooth edges; y goes down."""
        from PIL import Image, ImageDraw

        frames = np.empty((len(states), SIZE, SIZE, 3), np.uint8)
        side, scale = FINER * SIZE, FINER * SIZE / SIDE
        for frame, state in zip(frames, states, strict=True):
            canvas = Image.new('RGB', (side, side), BACKGROUND)
            draw = ImageDraw.Draw(canvas)
            for part in (BAR, STEM):
                corners = state[2:4] + _turned(part, state[4])
                draw.polygon([tuple(corner) for corner in corners * scale], fill=BLOCK)
            draw.circle(tuple(state[:2] * scale), AGENT_RADIUS * scale, fill=AGENT)
            frame[:] = np.asarray(canvas.reduce(FINER))
        return frames

    def proprio(self, states: np.ndarray) -> np.ndarray:
        """The agent's place and velocity (N, 4)."""
        return states[:, [0, 1, 5, 6]]

    def distance(self, states: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """1 is the published limit: agent and T within 20 units, the T's angle within 20 degrees;
        the larger of the two shares counts.
        """
        away = np.linalg.norm(states[:, :4] - goal[:4], axis=-1) / NEAR
        turned = np.abs(np.angle(np.exp(1j * (states[:, 4] - goal[4])))) / TURNED
        return np.maximum(away, turned)

    def oracle(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Nobody is known to know this world; pushes the T's middle where it belongs."""
        return self._push(state, goal)

    def straight(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """The agent straight to its place, whatever becomes of the T."""
        return _limited((goal[:2] - state[:2]) / GAIN)

    def _push(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        here = state[2:4] + _turned(np.array([0.0, 1.5 * SCALE]), state[4])
        there = goal[2:4] + _turned(np.array([0.0, 1.5 * SCALE]), goal[4])
        way = there - here
        if np.linalg.norm(way) < 10:
            return self.straight(state, goal)
        along = way / np.linalg.norm(way)
        behind = here - 90 * along
        beside = state[:2] - here
        if beside @ along > -40 and np.linalg.norm(state[:2] - behind) > 25:
            across = np.array([-along[1], along[0]])
            around = here + 110 * across * np.sign(beside @ across or 1.0)
            target = behind if abs(beside @ across) > 80 else around
        else:
            target = here + 0.5 * way
        return _limited((target - state[:2]) / GAIN)


def _limited(step: np.ndarray) -> np.ndarray:
    return step * min(1.0, 0.45 / max(float(np.linalg.norm(step)), 1e-9))


def _turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Vectors (..., 2), turned by an angle [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])
