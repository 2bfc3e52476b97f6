# SPDX-License-Identifier: Apache-2.0
"""Chains of legs: across to above a place, down to it, a stroke of the gripper, and on.

Six numbers say where (`PLACES`); a chain writes them out as the steps that the model was trained
on, and says how many of them are to be carried out at once. Metres and radians, base frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from jepa_wm_ros.actions import DIM, GRIPPER, POSITION, ROTATION, wrapped
from jepa_wm_ros.planning.settings import is_number, require

# What is searched, each from -1 to 1 of its range: the place and turn of a first stop, the place of
# a second, and how high the hand ends there.
PLACES = ('x', 'y', 'turn', 'to_x', 'to_y', 'to_z')
TURN = ROTATION.stop - 1  # about the vertical
LAID = 0.003  # m above where it was taken up: what is put down
AT_ONCE = 0.04  # m across, and
ABOVE = 0.045  # m above `clear`: so near a place nothing is searched again before the stroke there
LONGEST = 0.2  # m: further than this a push is imagined that is not made
Pose = np.ndarray  # (4,): x, y, z, turn


@dataclass(frozen=True, kw_only=True)
class LegsSettings:
    """low, high: (3,) the box that the places lie in [m]; low[2] is the height at which the hand
    grasps and puts down, or pushes. turn: the most of it to either side, none where the hand is not
    to turn [rad]. clear: height above what lies about, for going across [m]. step: the longest
    step across, up or down [m] and turning [rad]. again: settings of the planner for every plan but
    the first for a goal, which begins from nothing.
    """

    low: Sequence[float]
    high: Sequence[float]
    clear: float
    turn: float = 0.0
    step: Sequence[float] = (0.066, 0.035, 0.15)
    again: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ('low', 'high', 'step'):
            value = getattr(self, name)
            valid = isinstance(value, list | tuple) and len(value) == 3
            require(
                valid and all(map(is_number, value)), f'legs.{name}', value, 'a list of 3 numbers'
            )
        require(
            all(low < high for low, high in zip(self.low, self.high, strict=True)),
            'legs.low',
            self.low,
            'below legs.high in every number',
        )
        require(min(self.step) > 0, 'legs.step', self.step, 'numbers > 0')
        require(is_number(self.clear), 'legs.clear', self.clear, 'a number')
        require(is_number(self.turn) and self.turn >= 0, 'legs.turn', self.turn, 'a number >= 0')


def places_of(settings: LegsSettings, found: Tensor) -> np.ndarray:
    """The numbers of PLACES in metres and radians, of what a planner found (6,) for them."""
    low = [*settings.low[:2], -settings.turn, *settings.low]
    high = [*settings.high[:2], settings.turn, *settings.high]
    share = (found.cpu().double().clamp(-1, 1).numpy() + 1) / 2
    return np.asarray(low) + share * np.subtract(high, low)


# The steps (7,) from a start (4,) for places (6,), and how many of them are to be carried out at
# once; 0 leaves that open.
Chain = Callable[[LegsSettings, Pose, np.ndarray], tuple[list[np.ndarray], int]]


def carry(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """To the thing, close, to its place, open, and up."""
    x, y, turn = places[:3]
    at = np.array([x, y, s.low[2], turn if s.turn else start[3]])
    steps = [*_across(s, start, at), stroke(1.0)]
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + put(s, at, places)[0], at_once


def put(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """What is held to its place, open, and up."""
    x, y, z = places[3:]
    at = np.array([x, y, s.low[2] + LAID, start[3]])
    steps = [*_across(s, start, at), stroke(-1.0)]
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + _straight(s, at, np.array([x, y, z, start[3]])), at_once


def go(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """To where the hand is to end."""
    turn = places[2] if s.turn else start[3]
    return _across(s, start, np.array([*places[3:], turn])), 0


def push(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Down behind the thing, then straight through where it lies."""
    at = np.array([*begin_of(places), s.low[2], start[3]])
    steps = _across(s, start, at)
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + slide(s, at, places)[0], at_once


def begin_of(places: np.ndarray) -> np.ndarray:
    """Where a push begins (2,), no further back than `LONGEST`."""
    back = places[:2] - places[3:5]
    return np.asarray(places[3:5] + back * min(1.0, LONGEST / max(np.hypot(*back), 1e-6)))


def slide(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Straight on, as low as the hand is to be."""
    return _straight(s, start, np.array([*places[3:5], s.low[2], start[3]])), 0


def _near(s: LegsSettings, start: Pose, at: Pose) -> bool:
    return bool(np.hypot(*(at - start)[:2]) < AT_ONCE and start[2] < s.clear + ABOVE)


def _across(s: LegsSettings, start: Pose, to: Pose) -> list[np.ndarray]:
    """Up to where nothing is in the way, across, and down; a little way across on the way down."""
    away, turned = np.hypot(*(to - start)[:2]), abs(wrapped(to[3] - start[3]))
    if away < 0.004 and turned < 0.05:
        return _straight(s, start, to)
    high = s.clear
    if away > AT_ONCE or start[2] < s.clear - 0.005:
        high = max(start[2], s.clear, to[2])
    stops = [np.array([*to[:2], max(high, to[2]), to[3]]), to]
    if start[2] < high:
        stops.insert(0, np.array([*start[:2], high, start[3]]))
    steps: list[np.ndarray] = []
    for stop in stops:
        steps += _straight(s, start, stop)
        start = stop
    return steps


def _straight(s: LegsSettings, start: Pose, to: Pose) -> list[np.ndarray]:
    way = to - start
    way[3] = wrapped(way[3])
    across, up, turn = s.step
    parts = max(np.hypot(*way[:2]) / across, abs(way[2]) / up, abs(way[3]) / turn)
    count = math.ceil(parts - 1e-6)
    step = np.zeros(DIM)
    step[POSITION], step[TURN] = way[:3] / max(count, 1), way[3] / max(count, 1)
    return [step] * count


def stroke(change: float) -> np.ndarray:
    """A step (7,) of the gripper alone."""
    step = np.zeros(DIM)
    step[GRIPPER] = change
    return step
