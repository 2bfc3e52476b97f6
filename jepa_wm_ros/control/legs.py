# SPDX-License-Identifier: Apache-2.0
"""Far goals, from one picture: a search over legs in place of single steps.

A planner that looks three steps ahead goes straight for where the hand stands in the goal picture
and leaves the thing behind. Here a plan is a chain of legs: across to above a place, down to it, a
stroke of the gripper, and on. Six numbers say where (`PLACES`), the chain is written out as the
steps that the model was trained on, two dozen of them, and any planner of planning/ searches the
six numbers. The model imagines so far: of the frame 20 steps away `jepa_wm_cell_grasp`, which
learnt over three, leaves 0.22 of a latent distance that standing still leaves at 1.48.

It is planned anew every few steps, from what is seen, since a place is seen the better the nearer
the hand is to it. What is near enough is carried out up to the stroke of the gripper, a step at a
time: searched for again there, it would never come. Where the hand has closed on nothing the thing
was not between its fingers, and where it was held up on its way down a finger met the thing beside
it: places that this rules out cost more from then on. Metres and radians, base frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.actions import DIM, GRIPPER, OPEN, POSITION, ROTATION, wrapped
from jepa_wm_ros.control.gripper import EMPTY
from jepa_wm_ros.control.ports import Decider
from jepa_wm_ros.planning import Budget, Plan, Profile, SettingsError
from jepa_wm_ros.planning.mpc import Mpc
from jepa_wm_ros.planning.registry import PLANNERS, make_planner, refuse_unknown, settings_keys
from jepa_wm_ros.planning.settings import is_number, require

# What is searched, each from -1 to 1 of its range: the place and turn of a first stop, the place of
# a second, and how high the hand ends there.
PLACES = ('x', 'y', 'turn', 'to_x', 'to_y', 'to_z')
TURN = ROTATION.stop - 1  # about the vertical
EVERY = 3  # steps carried out of a plan
RISE = 3  # steps that a hand goes up from the wrong place
GENTLY = 0.01  # m of each step down that is carried out where something may be below
LAID = 0.003  # m above where it was taken up: what is put down
HELD_UP = 0.001  # m of a step down that were not made: something is below
AT_ONCE = 0.04  # m across, and
ABOVE = 0.045  # m above `clear`: so near a place nothing is searched again before the stroke there
LOW = 0.02  # m above `low[2]`: a hand so low pushes
LONGEST = 0.2  # m: further than this a push is imagined that is not made
# Where the middle of a thing is, from that of a hand, along the axis of its fingers and across
# it [m]: nearer than EMPTIED it would have been grasped by a hand that closed on nothing; a finger
# that lands on it has it between BESIDE along, and at most BESIDE_ACROSS.
EMPTIED = (0.03, 0.015)
BESIDE, BESIDE_ACROSS = (0.012, 0.055), 0.03
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


def decider_of(profile: Profile) -> Decider:
    """Who decides by a profile: over legs where it has them, else step by step."""
    return Mpc(profile) if profile.legs is None else Legs(profile)


@dataclass(frozen=True)
class Tried:
    """A hand (4,) that was `held_up` by a thing on its way down, or else closed on nothing."""

    hand: Pose
    held_up: bool

    def rules_out(self, place: np.ndarray) -> bool:
        """Whether the thing cannot be at (2,), if it has stayed where it was."""
        sine, cosine = np.sin(self.hand[3]), np.cos(self.hand[3])
        x, y = place - self.hand[:2]
        along, across = abs(cosine * y - sine * x), abs(cosine * x + sine * y)
        if self.held_up:
            return not (BESIDE[0] < along < BESIDE[1] and across < BESIDE_ACROSS)
        return bool(along < EMPTIED[0] and across < EMPTIED[1])


class Legs:
    """A `control.ports.Decider` that searches chains of legs; see the top of the file."""

    def __init__(self, profile: Profile) -> None:
        given = dict(profile.legs or {})
        refuse_unknown(given, [f.name for f in fields(LegsSettings)], 'legs')
        missing = {'low', 'high', 'clear'} - set(given)
        if missing:
            raise SettingsError(f'legs: {", ".join(sorted(missing))} missing')
        self.settings = LegsSettings(**given)
        self.profile = profile
        again = dict(self.settings.again or {})
        refuse_unknown(again, sorted(set().union(*map(settings_keys, PLANNERS))), 'legs.again')
        known = set(settings_keys(profile.planner))  # as load_profile, for another planner
        again = {name: value for name, value in again.items() if name in known}
        first = replace(profile.settings, horizon=1)
        self._first, self._again = (
            make_planner(profile.planner, settings) for settings in (first, replace(first, **again))
        )
        self.steps_executed, self.detours = 1, True
        self.plans = 0
        self._up = np.zeros(DIM)
        self._up[POSITION.stop - 1] = self.settings.step[1]
        self._start: Tensor | None = None  # what was found last
        self._rest: list[np.ndarray] = []  # to be carried out at once
        self._height, self._down = 0.0, 0.0  # before its last step, and what that was to change
        self._tried: list[Tried] = []
        self._behind = False  # the thing, as low as it is to be pushed from

    def plan(
        self,
        cost: Any,
        *,
        steps_left: int | None,
        budget: Budget,
        strokes: tuple[int, ...] | None,
        pose: np.ndarray,
    ) -> Plan:
        """The best chain found, and in `steps_executed` how much of it is to be carried out."""
        start = np.array([*pose[POSITION], pose[TURN]])
        held_up = self._down < 0 and start[2] - self._height - self._down > HELD_UP
        self._height, self._down = float(start[2]), 0.0
        empty = strokes == (-1,) and pose[GRIPPER] > EMPTY
        opening = [_stroke(-1.0)] if strokes == (-1,) else []
        if empty or held_up:
            if empty or not opening:  # else what is held lies on something, where it is let go of
                self._tried.append(Tried(start, held_up=not empty))
                self._start = None
            self._rest = [*opening, *[self._up] * RISE]
        elif opening:  # something is held: it is no longer where it was looked for
            self._tried.clear()
        if self._rest:
            return self._as_is(cost, self._rest)
        plan, chain = self._search(cost, start, self._chains(strokes, pose, start[2]), budget)
        self._start, self._behind = plan.actions, chain is push
        steps, at_once = chain(self.settings, start, places_of(self.settings, plan.actions[0]))
        self._rest = self._gently(steps[:at_once], start[2])
        self.steps_executed = 1 if at_once else max(1, min(EVERY, len(steps)))
        actions = np.array([*self._rest, *steps[at_once:]][:steps_left] or [np.zeros(DIM)])
        return replace(plan, actions=torch.as_tensor(actions, dtype=torch.float32), elites=None)

    def executed(self, steps: int) -> None:
        """So much of what is carried out at once is done; places stay where they are."""
        self._down = float(sum(step[POSITION.stop - 1] for step in self._rest[:steps]))
        self._rest = self._rest[steps:]

    def reset(self) -> None:
        """Nothing is known of where to go."""
        self._start, self._behind, self._down = None, False, 0.0
        self._rest, self._tried = [], []

    def _search(
        self, cost: Any, start: Pose, chains: list[Chain], budget: Budget
    ) -> tuple[Plan, Chain]:
        """The better of the best of each kind of chain; the time is shared among them."""
        seconds = self.profile.budget_seconds if budget.seconds is None else budget.seconds
        budget = replace(budget, seconds=None if seconds is None else seconds / len(chains))
        planner = self._first if self._start is None else self._again
        found: list[tuple[Plan, Chain]] = []
        for chain in chains:
            searched = LegsCost(cost, self.settings, chain, start, self._tried)
            begins = found[0][0].actions if found else self._start
            plan = planner.plan(searched, warm_start=begins, budget=budget, index=self.plans)
            found.append((plan, chain))
            self.plans, planner = self.plans + 1, self._again
        best, chain = min(found, key=lambda each: each[0].cost)
        return replace(
            best,
            seconds=sum(plan.seconds for plan, _ in found),
            evaluations=sum(plan.evaluations for plan, _ in found),
            invalid_costs=sum(plan.invalid_costs for plan, _ in found),
            cancelled=any(plan.cancelled for plan, _ in found),
        ), chain

    def _chains(
        self, strokes: tuple[int, ...] | None, pose: np.ndarray, height: float
    ) -> list[Chain]:
        if strokes is None:
            low = height < self.settings.low[2] + LOW
            return [slide] if low and self._behind else [push, go]
        closed = strokes == (-1,) or not strokes and pose[GRIPPER] > OPEN
        return [put] if closed else [carry, go]

    def _gently(self, steps: list[np.ndarray], height: float) -> list[np.ndarray]:
        """The same in smaller steps down, which the model need not imagine: what is below is met
        softly.
        """
        found = []
        for step in steps:
            height += step[POSITION.stop - 1]
            down = -step[POSITION.stop - 1] if height < self.settings.clear - 0.005 else 0.0
            parts = max(1, math.ceil(down / GENTLY - 1e-6))
            found += [step / parts] * parts
        return found

    def _as_is(self, cost: Any, steps: list[np.ndarray]) -> Plan:
        """A plan that nothing was searched for."""
        actions = torch.as_tensor(np.array(steps), dtype=torch.float32)
        self.steps_executed = 1
        return Plan(actions, float(cost(actions[None])[0]), 1, 0, 0.0)


class LegsCost:
    """A cost over places (N, 1, 6): that of the chains of steps they stand for. What is shorter
    than the longest ends with standing still.
    """

    action_dim = len(PLACES)

    def __init__(
        self,
        cost: Any,
        settings: LegsSettings,
        chain: Chain,
        start: Pose,
        tried: Sequence[Tried] = (),
    ) -> None:
        self._cost, self._settings, self._chain, self._start = cost, settings, chain, start
        self._tried = tried if chain is carry else ()
        self.device = getattr(cost, 'device', 'cpu')
        self.dtype = getattr(cost, 'dtype', torch.float32)

    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,) of what takes the place of actions."""
        meant = [places_of(self._settings, found) for found in actions[:, 0]]
        chains = [self._chain(self._settings, self._start, p)[0] for p in meant]
        written = np.zeros((len(chains), max(1, *map(len, chains)), DIM), np.float32)
        for row, steps in zip(written, chains, strict=True):
            row[: len(steps)] = np.reshape(steps, (-1, DIM))
        costs = self._cost(torch.as_tensor(written, device=self.device, dtype=self.dtype))
        against = [sum(tried.rules_out(p[:2]) for tried in self._tried) for p in meant]
        return costs * (1 + torch.tensor(against).to(costs))

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """None: a chain's number of steps jumps."""
        raise SettingsError('legs are searched by a planner that samples: cem, mppi or nevergrad')


def places_of(settings: LegsSettings, found: Tensor) -> np.ndarray:
    """The numbers of PLACES in metres and radians, of what a planner found (6,) for them."""
    low = [*settings.low[:2], -settings.turn, *settings.low]
    high = [*settings.high[:2], settings.turn, *settings.high]
    share = (found.cpu().double().clamp(-1, 1).numpy() + 1) / 2
    return np.asarray(low) + share * np.subtract(high, low)


# Chains: the steps (7,) from a start (4,) for places (6,), and how many of them are to be carried
# out at once; 0 leaves that open.

Chain = Callable[[LegsSettings, Pose, np.ndarray], tuple[list[np.ndarray], int]]


def carry(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """To the thing, close, to its place, open, and up."""
    x, y, turn = places[:3]
    at = np.array([x, y, s.low[2], turn if s.turn else start[3]])
    steps = [*_across(s, start, at), _stroke(1.0)]
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + put(s, at, places)[0], at_once


def put(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """What is held to its place, open, and up."""
    x, y, z = places[3:]
    at = np.array([x, y, s.low[2] + LAID, start[3]])
    steps = [*_across(s, start, at), _stroke(-1.0)]
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + _straight(s, at, np.array([x, y, z, start[3]])), at_once


def go(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """To where the hand is to end."""
    turn = places[2] if s.turn else start[3]
    return _across(s, start, np.array([*places[3:], turn])), 0


def push(s: LegsSettings, start: Pose, places: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Down behind the thing, then straight through where it lies."""
    back = places[:2] - places[3:5]
    back = back * min(1.0, LONGEST / max(np.hypot(*back), 1e-6))
    at = np.array([*(places[3:5] + back), s.low[2], start[3]])
    steps = _across(s, start, at)
    at_once = len(steps) if _near(s, start, at) else 0
    return steps + slide(s, at, places)[0], at_once


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


def _stroke(change: float) -> np.ndarray:
    step = np.zeros(DIM)
    step[GRIPPER] = change
    return step
