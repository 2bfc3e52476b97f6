# SPDX-License-Identifier: Apache-2.0
"""How far a goal has come, when it is given up, and how it ended."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.errors import Fault, FaultCode


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up: steps, seconds, steps without a new lowest cost (0: never); and the longest
    a plan may take [s]. Raises a Fault with BAD_LIMITS for limits that make no sense.
    """

    max_steps: int
    max_seconds: float
    no_progress_steps: int = 0
    planning_seconds: float | None = None

    def __post_init__(self) -> None:
        seconds = [self.max_seconds]
        if self.planning_seconds is not None:
            seconds.append(self.planning_seconds)
        if not all(0 < s < math.inf for s in seconds):
            raise Fault(
                FaultCode.BAD_LIMITS, f'a limit of time must be finite and above 0 s, got {seconds}'
            )
        if self.max_steps < 1 or self.no_progress_steps < 0:
            raise Fault(
                FaultCode.BAD_LIMITS,
                f'max_steps {self.max_steps} must be at least 1 and no_progress_steps '
                f'{self.no_progress_steps} at least 0',
            )


class Phase(enum.IntEnum):
    """What the loop is about; the values are those of ReachGoal's feedback."""

    WAITING = 0
    PLANNING = 1
    MOVING = 2
    REPLAN = 3
    REACHED = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """What the loop says in each phase; the fields of ReachGoal's feedback.

    `step` counts steps that were taken; while MOVING it is the number of the one under way.
    """

    phase: Phase = Phase.WAITING
    step: int = 0
    goal_index: int = 0
    cost: float = math.nan
    best_cost: float = math.inf
    predicted_cost: float = math.nan
    planning_seconds: float = 0.0
    latency_seconds: float = 0.0
    evaluations: int = 0
    invalid_costs: int = 0
    budget_exhausted: bool = False
    clipped: bool = False
    waypoint: np.ndarray | None = None
    path: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a goal: its code, one line of why, and how far it had come."""

    code: FaultCode
    message: str
    progress: Progress
