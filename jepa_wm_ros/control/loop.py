# SPDX-License-Identifier: Apache-2.0
"""Reaching goal pictures by model-predictive control: observe, plan, move one small step, repeat.

The loop runs in the planner node's worker thread and talks to the rest of the graph through
`Ports`, so it can be tested without ROS. It never sees a picture's latent, only costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from jepa_wm_ros import actions as convention
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.planning import Budget, PlanningError
from jepa_wm_ros.planning.mpc import Mpc

MAX_REPLANS = 5  # times in a row that a moved arm discards a plan
MOST_INVALID = 0.5  # share of candidates without a finite cost that a plan may have


@dataclass(frozen=True, slots=True)
class Observation:
    """A frozen context: its number, stamp [ns], measured pose7 and latent distance to the goal."""

    context_id: int
    stamp: int
    pose: np.ndarray
    distance: float


@dataclass(frozen=True, slots=True)
class Motion:
    """How a command ended: one of ArmStatus' outcomes, its end stamp [ns] and why."""

    outcome: str  # done, refused, moved, workspace, stopped or failed
    stamp: int
    clipped: bool
    message: str


class Ports(Protocol):
    """What the loop asks of the rest of the graph; each call may raise a `Fault`."""

    def now(self) -> int: ...
    def observe(self, goal_id: int, not_before: int) -> Observation: ...
    def score(self, context_id: int) -> Any: ...
    def commanded(self) -> np.ndarray: ...
    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion: ...
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up: steps, seconds, steps without a new best cost (0: never)."""

    max_steps: int
    max_seconds: float
    no_progress_steps: int
    planning_seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What the loop says after each phase; the fields of ReachGoal's feedback."""

    phase: str = 'waiting'
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
    """The end of a goal: ReachGoal's error code and message, steps and costs."""

    code: int
    message: str
    progress: Progress


@dataclass
class Reach:
    """One goal of the action, from its prepared pictures to its outcome."""

    ports: Ports
    mpc: Mpc
    gripper: GripperPolicy | None  # None leaves the gripper as it is
    goals: GoalSequence
    limits: Limits
    say: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    progress: Progress = field(default_factory=Progress)

    def run(self, goal_ids: list[int]) -> Outcome:
        """Move until the last goal is reached, a limit is met, a fault occurs or a cancel comes."""
        try:
            self._run(goal_ids)
        except Fault as fault:
            return Outcome(fault.code, str(fault), self.progress)
        except PlanningError as error:
            return Outcome(error.code, str(error), self.progress)
        return Outcome(FaultCode.SUCCEEDED, '', self.progress)

    def _run(self, goal_ids: list[int]) -> None:
        begun = not_before = self.ports.now()
        replans = since_best = 0
        while True:
            self._check_cancel()
            if self.ports.now() - begun > self.limits.max_seconds * 1e9:
                raise Fault(
                    FaultCode.MAX_DURATION, f'not reached within {self.limits.max_seconds} s'
                )
            seen = self.ports.observe(goal_ids[self.goals.index], not_before)
            improved = seen.distance < self.progress.best_cost
            since_best = 0 if improved else since_best + 1
            self._say(
                phase='waiting',
                cost=seen.distance,
                best_cost=min(seen.distance, self.progress.best_cost),
            )
            if self.goals.update(seen.distance):
                if self.goals.finished:
                    self._say(phase='reached')
                    return
                self._say(goal_index=self.goals.index, best_cost=math.inf)
                self.mpc.reset()
                continue
            self._check_limits(since_best)
            if self._step(seen):
                replans, not_before = 0, self.ports.now()
                continue
            replans += 1
            not_before = seen.stamp
            if replans > MAX_REPLANS:
                raise Fault(
                    FaultCode.COMMAND_REFUSED,
                    'the arm keeps moving between observation and '
                    'execution: is someone guiding it?',
                )

    def _step(self, seen: Observation) -> bool:
        """Plan once and execute the first actions, until one was clipped or the arm has been moved:
        what follows was planned for elsewhere. False when that was so before the first.
        """
        plan = self.mpc.plan(
            self.ports.score(seen.context_id),
            budget=Budget(seconds=self.limits.planning_seconds, cancelled=self.cancelled),
        )
        self._check_cancel()
        self._say(
            phase='planning',
            predicted_cost=plan.cost,
            planning_seconds=plan.seconds,
            evaluations=plan.evaluations,
            invalid_costs=plan.invalid_costs,
            budget_exhausted=plan.budget_exhausted,
        )
        if plan.invalid_fraction > MOST_INVALID:
            raise Fault(
                FaultCode.MODEL_OUTPUT_INVALID,
                f'{plan.invalid_fraction:.0%} of the candidates '
                'have no finite cost: check the model and its input',
            )
        planned = plan.actions.cpu().numpy().astype(np.float64)
        if not np.isfinite(planned).all():
            raise Fault(
                FaultCode.MODEL_OUTPUT_INVALID, 'the plan holds numbers that are not finite'
            )
        # Position from the measured hand, orientation from the commanded one: an orientation
        # taken from the measured hand would accumulate the tracking error of every step.
        commanded = self.ports.commanded()
        pose = np.concatenate([seen.pose[:3], commanded[3:6], seen.pose[6:]])
        path = [pose]
        for action in planned:
            path.append(convention.integrate(path[-1], action))
        allowed = min(
            self.mpc.steps_executed,
            self.limits.max_steps - self.progress.step,
            self.goals.steps_left,
        )
        for number, target in enumerate(path[1 : 1 + allowed]):
            start = seen.pose if number == 0 else path[number]
            self._say(
                phase='moving',
                step=self.progress.step + 1,
                waypoint=target,
                path=np.array(path),
                latency_seconds=(self.ports.now() - seen.stamp) / 1e9,
            )
            motion = self.ports.move(target, start, self._closure(target))
            if motion.outcome == 'moved':
                self._say(phase='replan', step=self.progress.step - 1)
                self.mpc.reset()
                return number > 0
            self._check_motion(motion)
            self.progress = replace(self.progress, clipped=motion.clipped)
            self.goals.step()
            self.mpc.executed(1)
            self._check_cancel()
            if motion.clipped:
                break
        return True

    def _closure(self, target: np.ndarray) -> float:
        return math.nan if self.gripper is None else self.gripper.update(float(target[6]))

    def _check_motion(self, motion: Motion) -> None:
        if motion.outcome == 'stopped':
            self._check_cancel()
        code = {
            'done': None,
            'workspace': FaultCode.WORKSPACE_LIMIT,
            'failed': FaultCode.ROBOT_REFLEX,
            'stopped': FaultCode.COMMAND_REFUSED,
            'refused': FaultCode.COMMAND_REFUSED,
        }[motion.outcome]
        if code is not None:
            raise Fault(code, motion.message)

    def _check_limits(self, since_best: int) -> None:
        steps, patience = self.progress.step, self.limits.no_progress_steps
        if steps >= self.limits.max_steps:
            raise Fault(FaultCode.MAX_STEPS, f'not reached in {steps} steps')
        if patience and since_best >= patience:
            raise Fault(
                FaultCode.NO_PROGRESS,
                f'no lower cost for {since_best} steps; best {self.progress.best_cost:.4g}',
            )

    def _check_cancel(self) -> None:
        if self.cancelled():
            self.ports.stop()
            raise Fault(FaultCode.CANCELED, 'cancelled')

    def _say(self, **changes) -> None:
        self.progress = replace(self.progress, **changes)
        self.say(self.progress)
