# SPDX-License-Identifier: Apache-2.0
"""Far goals, from one picture: a search over legs in place of single steps.

A planner that looks three steps ahead goes straight for where the hand stands in the goal picture
and leaves the thing behind. Here a plan is a chain of legs (chains.py), two dozen steps long, and
any planner of planning/ searches the six numbers that say where. The model imagines so far: of the
frame 20 steps away `jepa_wm_cell_grasp`, which learnt over three, leaves 0.22 of a latent distance
that standing still leaves at 1.48.

It is planned anew every few steps, from what is seen, since a place is seen the better the nearer
the hand is to it. What is near enough is carried out up to the stroke of the gripper, a step at a
time: searched for again there, it would never come. What the hand has met rules places out, and
they cost more from then on: where it closed on nothing the thing was not between its fingers, where
it was held up on its way down a finger met the thing beside it, and no push begins on top of it;
and where it pushed along a line, the thing is no longer there, or never was. Metres and radians,
base frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.actions import DIM, GRIPPER, OPEN, POSITION
from jepa_wm_ros.control.chains import (
    PLACES,
    TURN,
    Chain,
    LegsSettings,
    Pose,
    begin_of,
    carry,
    go,
    places_of,
    push,
    put,
    slide,
    stroke,
)
from jepa_wm_ros.control.gripper import EMPTY
from jepa_wm_ros.control.ports import Decider
from jepa_wm_ros.planning import Budget, Plan, Profile, SettingsError
from jepa_wm_ros.planning.mpc import Mpc
from jepa_wm_ros.planning.registry import PLANNERS, make_planner, refuse_unknown, settings_keys

EVERY = 3  # steps carried out of a plan
RISE = 3  # steps that a hand goes up from the wrong place
GENTLY = 0.01  # m of each step down that is carried out where something may be below
HELD_UP = 0.001  # m of a step down that were not made: something is below
LOW = 0.02  # m above `low[2]`: a hand so low pushes
# Where the middle of a thing is, from that of a hand, along the axis of its fingers and across
# it [m]: nearer than EMPTIED it would have been grasped by a hand that closed on nothing; a finger
# that lands on it has it between BESIDE along, and at most BESIDE_ACROSS.
EMPTIED = (0.03, 0.015)
BESIDE, BESIDE_ACROSS = (0.012, 0.055), 0.03
LANDED = 0.05  # m from where a hand has landed on a thing: it may land on it again
SAME, FURTHER = 0.015, 0.01  # m beside the ends of a push, and beyond its last: another push


def decider_of(profile: Profile) -> Decider:
    """Who decides by a profile: over legs where it has them, else step by step."""
    return Mpc(profile) if profile.legs is None else Legs(profile)


@dataclass(frozen=True)
class Tried:
    """A hand (4,) that was `held_up` by a thing on its way down, or else closed on nothing."""

    hand: Pose
    held_up: bool

    def rules_out(self, chain: Chain, places: np.ndarray) -> bool:
        """Whether the thing cannot be where a chain takes it up, if it has stayed where it was, or
        a push would begin on top of it.
        """
        if chain is push:
            near = np.hypot(*(begin_of(places) - self.hand[:2])) < LANDED
            return self.held_up and bool(near)
        if chain is not carry:
            return False
        sine, cosine = np.sin(self.hand[3]), np.cos(self.hand[3])
        x, y = places[:2] - self.hand[:2]
        along, across = abs(cosine * y - sine * x), abs(cosine * x + sine * y)
        if self.held_up:
            return not (BESIDE[0] < along < BESIDE[1] and across < BESIDE_ACROSS)
        return bool(along < EMPTIED[0] and across < EMPTIED[1])


@dataclass(frozen=True)
class Pushed:
    """A push from (2,) on to (2,) that has left the thing short of its place."""

    begin: np.ndarray
    end: np.ndarray

    def rules_out(self, chain: Chain, places: np.ndarray) -> bool:
        """Whether a push goes along the same line from its first half on, and not further."""
        if chain is not push:
            return False
        way = self.end - self.begin
        length = max(float(np.hypot(*way)), 1e-6)
        first, last = begin_of(places) - self.begin, places[3:5] - self.begin
        begins, ends = way @ first / length, way @ last / length
        beside = max(abs(way[0] * p[1] - way[1] * p[0]) / length for p in (first, last))
        again = begins < length / 2 and begins < ends < length + FURTHER
        return bool(again and beside < SAME)


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
        self._tried: list[Tried | Pushed] = []
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
        opening = [stroke(-1.0)] if strokes == (-1,) else []
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
        places = places_of(self.settings, plan.actions[0])
        steps, at_once = chain(self.settings, start, places)
        self.steps_executed = 1 if at_once else max(1, min(EVERY, len(steps)))
        if chain is slide:
            self._tried.append(Pushed(start[:2], places[3:5]))
        self._rest = self._gently(steps[:at_once], start[2])
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
            if height > self.settings.low[2] + LOW:
                return [push, go]
            return [slide] if self._behind else [push, go, slide]
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
        tried: Sequence[Tried | Pushed] = (),
    ) -> None:
        self._cost, self._settings, self._chain, self._start = cost, settings, chain, start
        self._tried = tried
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
        against = [sum(tried.rules_out(self._chain, p) for tried in self._tried) for p in meant]
        return costs * (1 + torch.tensor(against).to(costs))

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """None: a chain's number of steps jumps."""
        raise SettingsError('legs are searched by a planner that samples: cem, mppi or nevergrad')
