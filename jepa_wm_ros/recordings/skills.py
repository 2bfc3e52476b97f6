# SPDX-License-Identifier: Apache-2.0
"""How the arm is moved while it is recorded what a gripper can do: grasp, carry, put down, push.

An episode is a chain of skills about one thing on the table, whose place anybody can point at, made
with errors: it is grasped beside its middle and now and then missed, dropped, carried, pushed.
Between them the hand reaches, hovers and wanders as in exploration.py. Metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION, wrapped
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.exploration import LEGS, Explorer, Room

GRASP_LOW = 0.025  # m, the lowest a hand that grasps from a table has to come
TABLE = Room(np.array([*FR3.workspace_low[:2], GRASP_LOW]), FR3.workspace_high, FR3.max_step)

SKILLS = ('grasp', *LEGS, 'snap')
SKILL_SHARES = (0.50, 0.09, 0.25, 0.06, 0.06, 0.04)
FISTS = 0.7  # share of the pushes with a closed hand: a cube slips between open fingers
CARRY_SHARES = {'put': 0.70, 'drop': 0.15, 'keep': 0.15}  # how a carrying ends
CLOSES = 0.85  # share of the descents after which the hand closes
MISSES = 0.30  # share of the grasps that may be beside the thing
ALIGNED = 0.7  # share of the grasps with the fingers along the thing's sides
CLOSED = 0.5  # commanded closure above which the hand was told to close
NEAR = 0.06  # m, between a closed hand and a thing in it
STROKES = 0.03  # share of the other steps that move the gripper
RESTS = (0.5, 0.3, 0.2)  # shares of strokes with so many steps of standing before, and after them
MIDST, MOST_BEFORE = 0.6, 24  # share of episodes that begin in the midst of things, and how deep


@dataclass(frozen=True, slots=True)
class Move:
    """A part of a skill: go to `place` (3,) and turn to `yaw`, or, with a `closure`, move the
    gripper where the hand is, or, with neither, stand there for a step.
    """

    place: np.ndarray | None = None
    yaw: float | None = None
    closure: float | None = None


class SkilledExplorer(Explorer):
    """One episode's worth of skills, drawn from `rng`; things are (4,): place (3,) and yaw."""

    def __init__(self, rng: np.random.Generator, room: Room = TABLE):
        super().__init__(rng, room, rotating=False, strokes=STROKES)
        self._moves: list[Move] = []

    def steps_before(self) -> int:
        """Steps to be made before the first that is kept: a chain of skills is longer than an
        episode, and its end, letting go, is to be seen as often as its beginning.
        """
        return int(self._rng.integers(0, MOST_BEFORE)) if self._rng.random() < MIDST else 0

    def action(
        self, pose: np.ndarray, commanded: np.ndarray, thing: np.ndarray | None
    ) -> np.ndarray:
        """The next action (7,) from measured pose7, commanded pose7 and the thing (4,)."""
        if thing is None:
            return super().action(pose, commanded, None)
        if not self._moves and self._left <= 0 and not self._waypoints:
            self._new_skill(pose, commanded, thing)
        if not self._moves:
            return super().action(pose, commanded, thing[:3])
        return self._part(self._moves[0], pose, commanded)

    # Which skill

    def _new_skill(self, pose: np.ndarray, commanded: np.ndarray, thing: np.ndarray) -> None:
        rng = self._rng
        self._speed = float(np.exp(rng.uniform(np.log(0.03), np.log(self._room.max_step))))
        closed = bool(commanded[GRIPPER] > CLOSED)
        held = closed and float(np.linalg.norm(pose[POSITION] - thing[:3])) < NEAR
        if held:
            self._moves = self._carry(pose)
            return
        kind = rng.choice(SKILLS, p=SKILL_SHARES)
        if kind == 'grasp':
            opened = self._stroke_at_rest(0.0) if closed else []
            self._moves = opened + self._grasp(pose, commanded, thing)
        elif kind == 'snap':
            closure = float(not closed)
            self._moves = [
                *self._stroke_at_rest(closure),
                Move(self._anywhere()),
                *self._stroke_at_rest(1 - closure),
            ]
        else:
            if kind == 'push' and not closed and rng.random() < FISTS:
                self._moves = self._stroke_at_rest(1.0)
            self._new_leg(kind, thing[:3])

    def _grasp(self, pose: np.ndarray, commanded: np.ndarray, thing: np.ndarray) -> list[Move]:
        rng = self._rng
        beside = rng.normal(0.0, 0.02 if rng.random() < MISSES else 0.005, 2)
        yaw = float(commanded[ROTATION][2])
        if rng.random() < ALIGNED:
            yaw = nearest_side(float(thing[3]), yaw) + rng.normal(0.0, 0.06)
        place = np.array([*thing[:2] + beside, rng.uniform(GRASP_LOW, 0.035)])
        above = np.array([*place[:2], place[2] + rng.uniform(0.05, 0.12)])
        moves = [Move(above, yaw), Move(place, yaw)]
        if rng.random() >= CLOSES:
            return [*moves, Move(above + [0, 0, rng.uniform(0.0, 0.1)])]
        return [*moves, *self._stroke_at_rest(1.0), *self._carry(place)]

    def _carry(self, start: np.ndarray) -> list[Move]:
        rng = self._rng
        moves = [Move(np.array([*start[:2], rng.uniform(0.08, 0.25)]))]
        for _ in range(int(rng.integers(0, 3))):
            place = self._anywhere()
            moves.append(Move(np.maximum(place, [-np.inf, -np.inf, 0.08]), rng.uniform(-0.8, 0.8)))
        end = rng.choice(list(CARRY_SHARES), p=list(CARRY_SHARES.values()))
        last = moves[-1].place
        assert last is not None
        if end == 'put':
            moves.append(Move(np.array([*last[:2], rng.uniform(GRASP_LOW, 0.035)])))
        if end != 'keep':
            moves += self._stroke_at_rest(0.0)
            moves.append(Move(np.array([*last[:2], rng.uniform(0.08, 0.2)])))
        return moves

    def _stroke_at_rest(self, closure: float) -> list[Move]:
        """A stroke, and now and then some steps of standing before and after it: what follows a
        stroke is to be imagined for a hand that stays, too.
        """
        before, after = self._rng.choice(len(RESTS), size=2, p=RESTS)
        return [Move()] * before + [Move(closure=closure)] + [Move()] * after

    def _anywhere(self) -> np.ndarray:
        return self._rng.uniform(self._room.low, self._room.high)

    # How it is done

    def _part(self, move: Move, pose: np.ndarray, commanded: np.ndarray) -> np.ndarray:
        action, rng = np.zeros(7), self._rng
        if move.place is None:
            self._moves.pop(0)
            action[POSITION] = rng.normal(0.0, 0.003, 3)
            if move.closure is not None:
                action[GRIPPER] = move.closure - commanded[GRIPPER]
            return action
        way = move.place - pose[POSITION]
        distance = float(np.linalg.norm(way))
        turn = 0.0 if move.yaw is None else wrapped(move.yaw - float(commanded[ROTATION][2]))
        if distance < self._speed and abs(turn) < FR3.max_turn:
            self._moves.pop(0)
        step = way * min(1.0, self._speed / max(distance, 1e-9))
        step = step + rng.normal(0.0, 0.001 + 0.06 * float(np.linalg.norm(step)), 3)
        action[POSITION] = step * min(1.0, self._room.max_step / float(np.linalg.norm(step)))
        action[ROTATION.stop - 1] = np.clip(turn, -FR3.max_turn, FR3.max_turn)
        return action


def nearest_side(yaw: float, near: float) -> float:
    """The yaw nearest to `near` of a hand whose fingers lie along two sides of a box at `yaw`."""
    quarter = np.pi / 2
    return near + (yaw - near + quarter / 2) % quarter - quarter / 2
