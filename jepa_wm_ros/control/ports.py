# SPDX-License-Identifier: Apache-2.0
"""The loop's two seams: `Ports` to the world it acts in, `Decider` to what it decides with.

Poses (P,) and actions (A,) are numbers that the ports give a meaning (of an arm: pose7 and the
actions of jepa_wm_ros/actions.py); the loop only hands them on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.planning import Budget, Plan


@dataclass(frozen=True, slots=True)
class Observation:
    """A frozen context: its number, stamp [ns], measured pose (P,) and latent distance to the goal,
    NaN without a model; and the actions (H, A) that the model would try first, where it has any.
    """

    context_id: int
    stamp: int
    pose: np.ndarray
    distance: float
    proposal: np.ndarray | None = None


class MotionOutcome(enum.IntEnum):
    """How a command ended; the values are those of jepa_wm_msgs/ArmStatus."""

    DONE = 2
    STOPPED = 3
    REFUSED = 4
    WORKSPACE = 5
    FAILED = 6
    MOVED = 7  # the arm is not where the command was planned from: nothing moved


@dataclass(frozen=True, slots=True)
class Motion:
    """How a command ended, whether it was shortened, and for every outcome but DONE why."""

    outcome: MotionOutcome
    clipped: bool = False
    code: FaultCode = FaultCode.SUCCEEDED
    message: str = ''


class Ports(Protocol):
    """What the loop asks of the world; each call but `stand` may raise a `Fault`."""

    def now(self) -> int:
        """The clock [ns] that frames are stamped with."""

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Freeze the first frame after `not_before` [ns] as the context of a plan to a goal."""

    def score(self, seen: Observation) -> Any:
        """The cost function (planning.CostFunction) of a frozen context."""

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, P) of actions (H, A): the pose seen, then what each one leads to."""

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Go to a waypoint (P,) and wait until that has ended; `gripper` is the closure commanded,
        NaN to leave the hand as it is.
        """

    def stand(self) -> bool:
        """Stop whatever moves and wait, not for long; False when it is not known to stand."""


class Decider(Protocol):
    """What the loop decides with: planning.mpc.Mpc, legs.Legs, or a baseline."""

    @property
    def steps_executed(self) -> int:
        """How many of the last plan's steps are to be carried out."""

    @property
    def detours(self) -> bool:
        """Whether the cost may rise on the way, so that a rise says nothing."""

    def plan(
        self,
        cost: Any,
        *,
        steps_left: int | None,
        budget: Budget,
        strokes: tuple[int, ...] | None,
        pose: np.ndarray,
    ) -> Plan:
        """The next actions, at most `steps_left` where that is told; the first `steps_executed` are
        to be carried out. strokes: those that the gripper can make, of 1 (closes) and -1 (opens);
        None where no plan moves it. pose: what was measured (P,) of what the plan begins with.
        """

    def executed(self, steps: int) -> None:
        """So many of the last plan's steps have been taken."""

    def reset(self) -> None:
        """What was planned is of no use: a new goal, or an arm moved by someone else."""
