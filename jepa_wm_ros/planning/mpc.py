# SPDX-License-Identifier: Apache-2.0
"""Model-predictive control: plan, carry out the first steps, plan again from where they led."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from jepa_wm_ros.planning.profiles import Profile
from jepa_wm_ros.planning.protocol import Budget, CostFunction, IterationReport, Plan, SettingsError
from jepa_wm_ros.planning.settings import PROPOSAL


class Mpc:
    """Remembers the last plan for the next one's warm start and counts plans for their seeds.

    Where the profile's warm_start is off each plan begins from zero, as published, and with
    'proposal' at what the model proposes; the count still gives every plan its own random numbers.
    """

    def __init__(self, profile: Profile):
        self.profile = profile
        self.planner = profile.make_planner()
        self.steps_executed = profile.steps_executed
        self.detours = False
        self.plans = 0
        self._start: Tensor | None = None

    def plan(
        self,
        cost: CostFunction,
        steps_left: int | None = None,
        budget: Budget | None = None,
        on_iteration: Callable[[IterationReport], None] | None = None,
        strokes: Sequence[int] | None = None,
        pose: object = None,
    ) -> Plan:
        """The next plan, of at most `steps_left` steps, within the profile's time where `budget`
        names none.

        Its first `steps_executed` actions are to be carried out; tell so with `executed`. `pose`,
        where it begins, is for deciders that plan in space: to a model it is part of the context.
        """
        proposes = self.profile.settings.warm_start == PROPOSAL
        start = proposed(cost) if proposes else self._start
        budget = budget or Budget()
        if budget.seconds is None:
            budget = replace(budget, seconds=self.profile.budget_seconds)
        plan = self.planner.plan(
            cost,
            warm_start=start,
            steps_left=steps_left,
            budget=budget,
            on_iteration=on_iteration,
            index=self.plans,
            strokes=strokes,
        )
        self.plans += 1
        if self.profile.settings.warm_start and not proposes and plan.evaluations:
            self._start = candidates(plan)
        return plan

    def executed(self, steps: int | None = None) -> None:
        """The first `steps` (default steps_executed) of the last plan have been carried out."""
        if self._start is not None:
            self._start = shifted(self._start, self.steps_executed if steps is None else steps)

    def reset(self) -> None:
        """Drop the last plan: a new goal, or an arm that was moved by someone else."""
        self._start = None


def proposed(cost: CostFunction) -> Tensor:
    """What the model behind a cost proposes (H, A); a SettingsError where it has no such head."""
    proposal = getattr(cost, 'proposal', None)
    if proposal is None:
        raise SettingsError(
            f'warm_start: {PROPOSAL} needs a model that proposes actions: give it that head with '
            '`train --stage proposal --from MODEL`, or plan with warm_start: false'
        )
    return proposal


def candidates(plan: Plan) -> Tensor:
    """What a plan leaves to the next one (M, H, A): its actions, then its elites."""
    first = plan.actions[None]
    return first if plan.elites is None else torch.cat([first, plan.elites])


def shifted(actions: Tensor, steps: int) -> Tensor:
    """Sequences (..., H, A) without their first `steps`, filled up with standing still (zero)."""
    steps = min(max(steps, 0), actions.shape[-2])
    return torch.cat([actions[..., steps:, :], torch.zeros_like(actions[..., :steps, :])], dim=-2)
