# SPDX-License-Identifier: Apache-2.0
"""How the arm is moved while data are recorded: varied enough that a planner finds no blind spot.

An episode is a chain of short legs of four kinds: to a point of the workspace, behind a thing and
through it, hovering in centimetre steps (the last centimetres of a reach are made of these), and
wandering (independent steps of any size, as a sampling planner proposes them). On top come
correlated noise, pauses, small rotations and gripper strokes. Lengths in metres, angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION
from jepa_wm_ros.fr3 import FR3

MAX_TILT = 0.30  # rad, of the commanded hand from pointing straight down
MAX_YAW = 0.50  # rad
ROTATING_EPISODES = 0.5  # share of the episodes with rotations
PAUSES = 0.05  # share of the steps that command nothing
GRIPPER_STROKES = 0.07  # share of the steps that move the gripper
LEGS = ('reach', 'push', 'hover', 'wander')
LEG_SHARES = (0.40, 0.20, 0.22, 0.18)


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Where the hand may be, from `low` (3,) to `high` (3,) [m], and the longest step [m]."""

    low: np.ndarray
    high: np.ndarray
    max_step: float

    def outside(self, place: np.ndarray) -> float:
        """How far a place (3,) lies outside [m], along the axis where it is farthest."""
        return float(np.maximum(0.0, np.maximum(self.low - place, place - self.high)).max())


CELL = Room(FR3.workspace_low, FR3.workspace_high, FR3.max_step)


class Explorer:
    """One episode's worth of actions, drawn from `rng`."""

    def __init__(
        self,
        rng: np.random.Generator,
        room: Room = CELL,
        *,
        rotating: bool | None = None,
        strokes: float = GRIPPER_STROKES,
    ):
        """rotating: whether the hand turns, by chance where it is None; strokes: share of the steps
        that move the gripper.
        """
        self._rng, self._room, self._strokes = rng, room, strokes
        drawn = rng.random() < ROTATING_EPISODES
        self._rotating = drawn if rotating is None else rotating
        self._noise = np.zeros(3)
        self._waypoints: list[np.ndarray] = []
        self._left = 0

    def start_pose(self) -> np.ndarray:
        """A pose7 with the hand uniform in the workspace; tilted a little in rotating episodes."""
        turn = self._rng.uniform(-0.15, 0.15, 3) if self._rotating else np.zeros(3)
        closed = float(self._rng.random() < 0.15)
        return np.concatenate(
            [self._rng.uniform(self._room.low, self._room.high), FR3.hand_down + turn, [closed]]
        )

    def posture(self) -> np.ndarray:
        """Where the null space rests (7,): the elbow a little to one side or the other."""
        return FR3.home + self._rng.normal(0.0, 0.08, 7) * [1, 0, 1, 0, 1, 0, 0]

    def steps_before(self) -> int:
        """Steps to be made before the first that is kept."""
        return 0

    def action(
        self, pose: np.ndarray, commanded: np.ndarray, thing: np.ndarray | None
    ) -> np.ndarray:
        """The next action (7,) from measured pose7, commanded pose7 and the place (3,), or place
        and yaw (4,), of what may be pushed; None: nothing is touched.
        """
        if self._left <= 0 and not self._waypoints:
            kind = self._rng.choice(LEGS, p=LEG_SHARES)
            while kind == 'push' and thing is None:
                kind = self._rng.choice(LEGS, p=LEG_SHARES)
            self._new_leg(kind, thing)
        action = np.zeros(7)
        if self._rng.random() >= PAUSES:
            action[POSITION] = self._translation(pose[POSITION])
            if self._rotating:
                action[ROTATION] = self._rotation(commanded[ROTATION])
        if self._rng.random() < self._strokes:
            action[GRIPPER] = self._stroke(commanded[GRIPPER])
        self._left -= 1
        return action

    def _new_leg(self, kind: str, thing: np.ndarray | None) -> None:
        self._kind = kind
        self._speed = float(np.exp(self._rng.uniform(np.log(0.012), np.log(self._room.max_step))))
        self._left = 0
        if self._kind == 'reach':
            # Beta(0.7, 0.7) leans outwards: straight lines between points crowd the middle.
            share = self._rng.beta(0.7, 0.7, 3)
            self._waypoints = [self._room.low + share * (self._room.high - self._room.low)]
        elif thing is not None and self._kind == 'push':
            self._speed = max(self._speed, 0.05)
            self._waypoints = self._through(thing)
        else:
            self._left = int(self._rng.integers(3, 7))

    def _through(self, thing: np.ndarray) -> list[np.ndarray]:
        heading = self._rng.uniform(-np.pi, np.pi)
        along = np.array([np.cos(heading), np.sin(heading), 0.0])
        height = np.array([0.0, 0.0, self._rng.uniform(0.045, 0.055)])
        spot = np.array([*thing[:2], 0.0])
        beside = spot - along * self._rng.uniform(0.07, 0.10)
        return [
            beside + [0, 0, 0.12],
            beside + height,
            spot + along * self._rng.uniform(0.02, 0.12) + height,
        ]

    def _translation(self, position: np.ndarray) -> np.ndarray:
        if self._kind == 'hover':
            return self._inside(position, self._direction() * self._rng.uniform(0.002, 0.02))
        if self._kind == 'wander':
            size = np.exp(self._rng.uniform(np.log(0.008), np.log(self._room.max_step)))
            return self._inside(position, self._direction() * size)
        way = np.clip(self._waypoints[0], self._room.low, self._room.high) - position
        distance = float(np.linalg.norm(way))
        if distance < self._speed:
            self._waypoints.pop(0)
        step = way * min(1.0, self._speed / max(distance, 1e-9))
        spread = 0.002 + 0.2 * self._speed
        self._noise = 0.6 * self._noise + self._rng.normal(0.0, spread, 3) * 0.8
        step = step + self._noise
        return step * min(1.0, self._room.max_step / max(float(np.linalg.norm(step)), 1e-9))

    def _inside(self, position: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The step, mostly turned back where it would leave the workspace; some still push on."""
        there = position + step
        outside = (there < self._room.low) | (there > self._room.high)
        return np.where(outside & (self._rng.random(3) < 0.8), -step, step)

    def _direction(self) -> np.ndarray:
        vector = self._rng.normal(size=3)
        return vector / np.linalg.norm(vector)

    def _rotation(self, euler: np.ndarray) -> np.ndarray:
        """A small turn that leads back towards straight down when the hand is far from it."""
        away = np.angle(np.exp(1j * (euler - FR3.hand_down)))
        limit = np.array([MAX_TILT, MAX_TILT, MAX_YAW])
        back = away / limit
        turn = self._rng.normal(0.0, 0.05, 3) - 0.06 * back * np.abs(back)
        return turn * min(1.0, FR3.max_turn / max(float(np.linalg.norm(turn)), 1e-9))

    def _stroke(self, closure: float) -> float:
        if self._rng.random() < 0.7:
            return 1.0 if closure < 0.5 else -1.0
        return float(self._rng.uniform(0.0, 1.0) - closure)
