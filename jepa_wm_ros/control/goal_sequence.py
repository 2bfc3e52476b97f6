# SPDX-License-Identifier: Apache-2.0
"""Sequences of goal pictures: when to go on to the next one.

V-JEPA-2-AC (arXiv 2506.09985) picks and places with three pictures, each pursued for a set number
of steps; here the switch can also come when the latent distance is small enough, on either, or when
the plan itself promises nothing better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jepa_wm_ros.planning.settings import is_count, is_number, require

NEVER_REACHED = 1e-12  # tolerance of a model without a calibrated one: the limits end the goal
SWITCHES = ('cost', 'steps', 'either', 'plan')  # in the order of ReachGoal's constants
LEAST_GAIN = 0.05  # share of the cost of standing still that a plan has to save to be worth a step
# Share of the first distance of a goal that is left where it was missed. Seen: a lifted cube leaves
# 0.03, a cube pushed to its place 0.01, one that slid away on the way there 0.07 and more.
MISSED = 0.05


class GoalSequence:
    """Which goal counts now.

    Call `update` with each new latent distance and `step` after each executed step; a switch on
    'plan' also asks `exhausted` of each plan. `index` is the goal to plan for, `finished` says that
    the last one is done, `missed` how. `cost` is the newest distance to the present goal, `first`
    its first one, and `reached` tells whether `cost` is within the threshold, which a switch on
    steps does not imply.
    """

    def __init__(
        self,
        count: int,
        switch_on: str = 'cost',
        cost_threshold: float = 0.0,
        steps_per_goal: int | Sequence[int] | None = None,
        goes_back: bool = False,
    ):
        """count: goals; cost_threshold: latent distance that counts as reached; steps_per_goal:
        one number, or one per goal; goes_back: begin again from the goal before when a goal's
        steps are over and it was missed, and tell of the last one whether it was. Raises
        SettingsError for a switch that could never happen.
        """
        require(is_count(count, 1), 'goals', count, 'at least one')
        require(switch_on in SWITCHES, 'switch_on', switch_on, f'one of {", ".join(SWITCHES)}')
        self.count, self.cost_threshold = count, cost_threshold
        self._on_cost, self._on_steps = switch_on != 'steps', switch_on != 'cost'
        self.on_plan = switch_on == 'plan'
        if self._on_cost:
            require(
                is_number(cost_threshold) and cost_threshold > 0,
                'cost_threshold',
                cost_threshold,
                '> 0 to switch on cost',
            )
        self.steps_per_goal = self._schedule(steps_per_goal) if self._on_steps else ()
        self._judges = self._goes_back = goes_back
        self.finished, self._foremost = False, 0
        self.cost = self.first = math.nan
        self._farthest = [0.0] * count  # first distances, the greatest of every goal
        self._begin(0)

    def update(self, cost: float) -> bool:
        """Take the distance of the newest frame to the present goal; True when the goal changed
        or the sequence finished. A distance that is not a number never switches on cost.
        """
        if self.finished:
            return False
        self.cost, self.reached = cost, not math.isnan(cost) and cost <= self.cost_threshold
        if math.isnan(self.first):
            self.first = cost
            self._farthest[self.index] = max(self._farthest[self.index], cost)
        out_of_steps = self._on_steps and self.steps_on_goal >= self.steps_per_goal[self.index]
        if not (self._on_cost and self.reached or out_of_steps):
            return False
        return self._goes_back and self.missed and self.back() or self._go_on()

    @property
    def missed(self) -> bool:
        """Whether the newest distance to the present goal is beyond `limit`. Never without
        `goes_back`: then a goal is given its steps, as published, and they are all that is asked.
        """
        return self._judges and self.cost > self.limit

    @property
    def limit(self) -> float:
        """Latent distance beyond which the present goal was missed: a twentieth of that at which
        it was begun, or the threshold if that is more.
        """
        return max(self.cost_threshold, MISSED * self._farthest[self.index])

    def exhausted(self, gain: float) -> bool:
        """Take the gain of the newest plan, the share of the cost of standing still that it saves;
        True when that is too little, and the goal changed or the sequence finished.
        """
        return self.on_plan and self.steps_on_goal > 0 and gain < LEAST_GAIN and self._go_on()

    def back(self) -> bool:
        """Go back to the goal before, for all its steps again; False at the first."""
        if self.index == self._foremost:
            return False
        self._begin(self.index - 1)
        return True

    def last_alone(self, steps: int) -> None:
        """Give all the others up: the last goal counts until it is reached, or a plan promises
        nothing better, for so many steps at most.
        """
        self._on_cost, self._on_steps, self.on_plan = self.cost_threshold > 0, True, True
        self.steps_per_goal = (steps,) * self.count
        self._goes_back, self._foremost = False, self.count - 1
        self._begin(self._foremost)

    def _go_on(self) -> bool:
        if self.index + 1 == self.count:
            self.finished = True
        else:
            self._begin(self.index + 1)
        return True

    def _begin(self, index: int) -> None:
        self.index, self.steps_on_goal, self.reached = index, 0, False
        self.cost = self.first = math.nan

    @property
    def steps_left(self) -> float:
        """Steps until the present goal is given up for the next; infinite if only cost counts."""
        if not self._on_steps:
            return math.inf
        return self.steps_per_goal[self.index] - self.steps_on_goal

    def step(self, steps: int = 1) -> None:
        """Count steps carried out towards the present goal."""
        self.steps_on_goal += steps

    def _schedule(self, steps: int | Sequence[int] | None) -> tuple[int, ...]:
        schedule = (steps,) * self.count if isinstance(steps, int) else tuple(steps or ())
        require(
            len(schedule) == self.count and all(is_count(n, 1) for n in schedule),
            'steps_per_goal',
            steps,
            f'>= 1, one number or one for each of {self.count} goals, to switch on steps',
        )
        return schedule
