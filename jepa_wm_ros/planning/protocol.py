# SPDX-License-Identifier: Apache-2.0
"""The planner seam: the few shapes that planners, scorers and nodes agree on.

A planner sees a cost over action sequences and nothing else: no picture, no latent, no robot.
Actions are (H, A) in the physical units of jepa_wm_ros/actions.py, candidates (N, H, A).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from jepa_wm_ros.errors import JepaWmError

Draw = Callable[[tuple[int, ...]], Tensor]


class PlanningError(JepaWmError):
    """A plan that cannot be made; INTERNAL where the caller asked for what no plan can be."""


class SettingsError(JepaWmError):
    """A planner setting or profile that is missing, unknown or out of range."""


class CostFunction(Protocol):
    """Costs of candidate action sequences from one frozen observation.

    Optional attributes: `device` (where actions are wanted, default cpu), `dtype` (default float32)
    and `proposal` (actions (H, A) that the model would try first, or None). `gradient` is optional
    too: planners that cannot do without it say so. Either call may raise Interrupted; the plan then
    ends as a cancelled one.
    """

    action_dim: int

    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,) of actions (N, H, A). NaN and infinity mean that the model failed there."""

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Costs (N,) and the gradient (N, H, A) of each cost by its own actions.

        Raises a JepaWmError where the model cannot be differentiated.
        """


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop early; looked at between iterations. (A cost function that is slow by itself
    may look for a cancel more often and raise Interrupted.)

    An iteration is not started when the slowest one so far would not fit into what is left of
    `seconds`. The first one always runs, unless nothing at all is left.
    """

    seconds: float | None = None
    cancelled: Callable[[], bool] | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class IterationReport:
    """What one iteration did. The tensors are the planner's own: read them, do not keep them."""

    iteration: int  # 1 for the first
    iterations: int  # planned, at most
    best_cost: float  # lowest finite cost since the plan began
    iteration_cost: float  # lowest finite cost of this iteration
    evaluations: int  # candidates scored since the plan began
    gradients: int  # of these, with the gradient of their cost
    invalid_costs: int  # of these, NaN or infinite
    seconds: float  # since the plan began
    actions: Tensor  # (N, H, A) candidates as scored
    costs: Tensor  # (N,), infinite where invalid
    mean: Tensor | None  # (H, A) after the update; None before any candidate had a finite cost
    std: Tensor | None  # (H, A) after the update, where the planner has one


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer of a planner.

    A plan that ran to its end holds what its method returns (CEM: the mean); one that was cut
    short holds the best candidate seen. `cost` is the cost of exactly these actions. A plan
    cancelled before its first iteration holds its starting point and an infinite cost.
    """

    actions: Tensor  # (H, A); H = min(horizon, steps_left)
    cost: float
    evaluations: int
    iterations: int
    seconds: float
    gradients: int = 0
    invalid_costs: int = 0
    budget_exhausted: bool = False
    cancelled: bool = False
    elites: Tensor | None = field(default=None, repr=False)  # (K, H, A), best first

    @property
    def invalid_fraction(self) -> float:
        """Share of the scored candidates whose cost was NaN or infinite, 0 ... 1."""
        return self.invalid_costs / self.evaluations if self.evaluations else 0.0


class Planner(Protocol):
    """A search over action sequences. Keeps no state between plans (see mpc.py).

    search.SearchPlanner gives all planners of this room their `plan`.
    """

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
        """Search from one frozen observation.

        warm_start: (H, A) start of the search, or (M, H, A) with further good candidates after
        the first; steps_left: the plan is not longer than this; index: number of the plan, its
        random numbers come from `seed + index`; draw: standard normal numbers of a given shape
        in place of the seeded generator (to replay recorded runs; nevergrad refuses it); strokes:
        those that a gripper can make, of 1 (closes) and -1 (opens), None where it is not known
        (CEM's setting gripper).

        Raises PlanningError: MODEL_OUTPUT_INVALID when no candidate of an iteration has a finite
        cost, PLANNING_TIMEOUT when the budget leaves no time for a single iteration.
        """
