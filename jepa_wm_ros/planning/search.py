# SPDX-License-Identifier: Apache-2.0
"""What all planners share, so that each file shows only its method: the bookkeeping of one plan."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_wm_ros.errors import FaultCode, Interrupted
from jepa_wm_ros.planning.protocol import (
    Budget,
    CostFunction,
    Draw,
    IterationReport,
    Plan,
    PlanningError,
)
from jepa_wm_ros.planning.settings import PlannerSettings, SamplingSettings

S = TypeVar('S', bound=PlannerSettings)  # the settings of one planner


class SearchPlanner(ABC, Generic[S]):
    """A planner of this room: settings, and a `_search` that shows the method."""

    def __init__(self, settings: S):
        self.settings = settings

    def plan(
        self,
        cost: CostFunction,
        warm_start: Tensor | None = None,
        steps_left: int | None = None,
        budget: Budget | None = None,
        on_iteration: Callable[[IterationReport], None] | None = None,
        index: int = 0,
        draw: Draw | None = None,
        strokes: Sequence[int] | None = None,
    ) -> Plan:
        """See protocol.Planner."""
        search = Search(
            self.settings, cost, warm_start, steps_left, budget, on_iteration, index, draw, strokes
        )
        try:
            return self._search(search)
        except Interrupted:
            search.cancelled = True
            return search.finish()

    @abstractmethod
    def _search(self, search: Search) -> Plan:
        """Carry the method out; may be left by Interrupted at any cost."""


class Search:
    """Counts, clock, bounds, random numbers and the best candidate of one plan.

    `evaluate` makes the only host synchronisation of an iteration: three numbers in one
    transfer.
    """

    def __init__(
        self,
        settings: PlannerSettings,
        cost: CostFunction,
        warm_start: Tensor | None,
        steps_left: int | None,
        budget: Budget | None,
        on_iteration: Callable[[IterationReport], None] | None,
        index: int,
        draw: Draw | None,
        strokes: Sequence[int] | None = None,
    ):
        self.settings, self.cost = settings, cost
        self.budget, self._on_iteration = budget or Budget(), on_iteration
        self._began = self._iteration_began = self.budget.clock()
        self.device = torch.device(getattr(cost, 'device', 'cpu'))
        self.dtype = getattr(cost, 'dtype', torch.float32)
        self.horizon = _plan_length(settings.horizon, steps_left)
        self.action_dim = cost.action_dim
        self.bounds = settings.bounds(self.action_dim).to(self.device, self.dtype)
        self.seed = settings.seed + index
        self.generator = torch.Generator(self.device).manual_seed(self.seed)
        self.draw, self.strokes = draw, strokes
        self._warm_start = self._checked_warm_start(warm_start)
        self.best_actions: Tensor | None = None
        self.best_cost = math.inf
        self.iterations = self.evaluations = self.gradients = self.invalid_costs = 0
        self.iteration_cost = math.inf  # lowest finite cost of the newest batch
        self._slowest = 0.0
        self.budget_exhausted = self.cancelled = False

    # -- where a search starts ------------------------------------------------------------------

    def start(self) -> Tensor:
        """First point (H, A): the warm start, else zero."""
        if self._warm_start is None:
            return torch.zeros(self.horizon, self.action_dim, device=self.device, dtype=self.dtype)
        return self.clip(self._warm_start[0])

    def warm_candidates(self) -> Tensor:
        """Further good candidates (M >= 0, H, A) that came with the warm start."""
        if self._warm_start is None:
            return torch.empty(
                0, self.horizon, self.action_dim, device=self.device, dtype=self.dtype
            )
        return self.clip(self._warm_start[1:])

    @property
    def warm(self) -> bool:
        """True when the search starts from a previous plan."""
        return self._warm_start is not None

    def first_std(self) -> Tensor:
        """Standard deviation (H, A) of the first proposal."""
        assert isinstance(self.settings, SamplingSettings)
        std = self.settings.first_std(self.action_dim).to(self.device, self.dtype)
        return std.expand(self.horizon, -1).clone()

    # -- one iteration --------------------------------------------------------------------------

    def proceed(self) -> bool:
        """True when another iteration is wanted, allowed and fits; starts its clock."""
        now = self.budget.clock()
        if self.iterations:
            self._slowest = max(self._slowest, now - self._iteration_began)
        if self.iterations >= self.settings.planned_iterations:
            return False
        if self.budget.cancelled is not None and self.budget.cancelled():
            self.cancelled = True
            return False
        if self.budget.seconds is not None:
            left = self.budget.seconds - (now - self._began)
            if left <= 0 or left < self._slowest:
                self.budget_exhausted = True
                return False
        self._iteration_began = now
        self.iterations += 1
        return True

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of `shape`, from the plan's own generator."""
        if self.draw is not None:
            return self.draw(shape).to(self.device)
        return torch.randn(shape, generator=self.generator, device=self.device, dtype=self.dtype)

    def clip(self, actions: Tensor) -> Tensor:
        """Actions (..., A) within the bounds of the settings."""
        return actions.clamp(-self.bounds, self.bounds)

    def evaluate(self, actions: Tensor, need: bool = True) -> Tensor:
        """Costs (N,) of actions (N, H, A); infinite where the model gave no finite cost.

        With `need`, raises PlanningError MODEL_OUTPUT_INVALID when none is finite.
        """
        return self._account(actions, self.cost(actions), need)

    def gradient(self, actions: Tensor, need: bool = True) -> tuple[Tensor, Tensor]:
        """Costs (N,) and their gradient (N, H, A), zero where one of them is not finite: there the
        cost is infinite. With `need`, raises as `evaluate` does.
        """
        costs, gradient = self.cost.gradient(actions)
        self.gradients += len(actions)
        if gradient.shape != actions.shape:
            raise PlanningError(
                f'cost function returned a gradient of shape {tuple(gradient.shape)} for actions '
                f'{tuple(actions.shape)}; the shapes must be equal',
                FaultCode.MODEL_OUTPUT_INVALID,
            )
        usable = gradient.isfinite().flatten(1).all(1)
        costs = self._account(actions, torch.where(usable, costs, math.inf), need)
        return costs, torch.where(costs.isfinite()[:, None, None], gradient, 0.0)

    def finite_elites(self, actions: Tensor, costs: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The `count` cheapest candidates (K, H, A) and their costs (K,), best first; fewer where
        fewer are finite. `actions` holds what `evaluate` saw last, perhaps with kept ones after.
        """
        elites = costs.topk(min(count, len(costs) - self._invalid_now), largest=False)
        return actions[elites.indices], elites.values

    def report(
        self, actions: Tensor, costs: Tensor, mean: Tensor | None, std: Tensor | None
    ) -> None:
        """Tell the listener, if any, what this iteration did."""
        if self._on_iteration is None:
            return
        self._on_iteration(
            IterationReport(
                iteration=self.iterations,
                iterations=self.settings.planned_iterations,
                best_cost=self.best_cost,
                iteration_cost=self.iteration_cost,
                evaluations=self.evaluations,
                gradients=self.gradients,
                invalid_costs=self.invalid_costs,
                seconds=self.budget.clock() - self._began,
                actions=actions,
                costs=costs,
                mean=mean,
                std=std,
            )
        )

    # -- the answer -----------------------------------------------------------------------------

    def finish(self, actions: Tensor | None = None, elites: Tensor | None = None) -> Plan:
        """The plan: `actions` (H, A), scored once more; the best candidate seen where the search
        was cut short, where `actions` is None or where its cost is not finite.
        """
        if self.best_actions is None:
            return self._plan_without_candidate()
        cost = self.best_cost
        if actions is None or self.cancelled or self.budget_exhausted:
            actions = self.best_actions
        else:
            cost = float(self.cost(actions[None]))
            self.evaluations += 1
            if not math.isfinite(cost):
                self.invalid_costs += 1
                actions, cost = self.best_actions, self.best_cost
        return self._plan(actions, cost, elites)

    # -- inside ---------------------------------------------------------------------------------

    def _account(self, actions: Tensor, costs: Tensor, need: bool = True) -> Tensor:
        if costs.shape != actions.shape[:1]:
            raise PlanningError(
                f'cost function returned shape {tuple(costs.shape)} for {len(actions)} '
                'candidates; one cost per candidate is needed',
                FaultCode.MODEL_OUTPUT_INVALID,
            )
        finite = costs.isfinite()
        costs = torch.where(finite, costs, math.inf)
        lowest, where = costs.min(dim=0)
        valid, lowest, where = torch.stack(
            [finite.sum().to(costs.dtype), lowest, where.to(costs.dtype)]
        ).tolist()
        self._invalid_now = len(actions) - int(valid)
        self.evaluations += len(actions)
        self.invalid_costs += self._invalid_now
        self.iteration_cost = lowest
        if need and not valid:
            raise PlanningError(
                f'none of {len(actions)} candidates has a finite cost in iteration '
                f'{self.iterations}: check the model and its input',
                FaultCode.MODEL_OUTPUT_INVALID,
            )
        if lowest < self.best_cost:
            self.best_cost = lowest
            self.best_actions = actions[int(where)].clone()
        return costs

    def _plan_without_candidate(self) -> Plan:
        if self.budget_exhausted:
            raise PlanningError(
                f'the planning budget of {self.budget.seconds:g} s ended before the first '
                'iteration: allow more time',
                FaultCode.PLANNING_TIMEOUT,
            )
        return self._plan(self.start(), math.inf, None)

    def _plan(self, actions: Tensor, cost: float, elites: Tensor | None) -> Plan:
        return Plan(
            actions=actions,
            cost=cost,
            evaluations=self.evaluations,
            iterations=self.iterations,
            seconds=self.budget.clock() - self._began,
            gradients=self.gradients,
            invalid_costs=self.invalid_costs,
            budget_exhausted=self.budget_exhausted,
            cancelled=self.cancelled,
            elites=elites,
        )

    def _checked_warm_start(self, warm_start: Tensor | None) -> Tensor | None:
        if warm_start is None:
            return None
        warm = warm_start if warm_start.ndim == 3 else warm_start[None]
        if (
            warm.ndim != 3
            or 0 in warm.shape
            or warm.shape[2] != self.action_dim
            or not bool(warm.isfinite().all())
        ):
            raise PlanningError(
                f'warm start of shape {tuple(warm_start.shape)} is refused: it must be finite and '
                f'(H, {self.action_dim}) or (M, H, {self.action_dim})'
            )
        missing = max(self.horizon - warm.shape[1], 0)  # standing still where it ends early
        warm = F.pad(warm[:, : self.horizon], (0, 0, 0, missing))
        return warm.to(self.device, self.dtype)


def _plan_length(horizon: int, steps_left: int | None) -> int:
    if steps_left is None:
        return horizon
    if steps_left < 1:
        raise PlanningError(f'steps_left={steps_left} leaves nothing to plan')
    return min(horizon, steps_left)
