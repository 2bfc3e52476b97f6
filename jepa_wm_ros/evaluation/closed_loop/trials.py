# SPDX-License-Identifier: Apache-2.0
"""One decider on one task: the control loop until it stops, and on until all steps are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from jepa_wm_ros.control.goal_sequence import NEVER_REACHED, GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.legs import decider_of
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.ports import Decider
from jepa_wm_ros.control.progress import Limits, Outcome, Phase, Progress
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.evaluation.closed_loop.ports import TaskPorts
from jepa_wm_ros.planning import Profile
from jepa_wm_ros.tasks.task import Task

DAY = 86400.0  # s: trials are limited by steps alone


@dataclass(frozen=True, slots=True)
class Policy:
    """A row of the table: how to make a decider for a task and seed, and what it sees through.

    recovery: plans to the last picture alone once one of several was missed.
    """

    name: str
    decider: Callable[[Task, int], Decider]
    session: ModelSession | None = None
    profile: Profile | None = None
    recovery: Profile | None = None

    @classmethod
    def planned(
        cls, name: str, session: ModelSession, profile: Profile, recovery: Profile | None = None
    ) -> Policy:
        """Model-predictive control, as the planner and world-model nodes do it."""
        return cls(name, lambda task, seed: decider_of(profile), session, profile, recovery)

    @property
    def tolerance(self) -> float:
        """Latent distance that counts as reached."""
        return NEVER_REACHED if math.isnan(self.reached_distance) else self.reached_distance

    @property
    def reached_distance(self) -> float:
        """What the model knows as reached; NaN without one."""
        return math.nan if self.session is None else self.session.reached_distance


@dataclass(frozen=True, slots=True)
class Trial:
    """One task: true distance to the goal [m] at the start and after each step."""

    seed: int
    errors: tuple[float, ...]
    stop: int  # steps taken when the loop ended by itself
    code: FaultCode  # how: SUCCEEDED is the stopping rule, that the latent distance is small
    success: bool  # by the judge, after all steps
    plan_seconds: tuple[float, ...]
    plan_evaluations: tuple[int, ...]  # candidates scored for each plan

    @property
    def final(self) -> float:
        """Distance after all steps."""
        return self.errors[-1]

    @property
    def at_stop(self) -> float:
        """Distance where the loop ended."""
        return self.errors[self.stop]


def per_plan(trials: Sequence[Trial]) -> tuple[float, float]:
    """Medians of all plans: candidates scored, a gradient counted as one, and milliseconds; NaN
    where nothing was searched.
    """
    scored = [n for trial in trials for n in trial.plan_evaluations if n]
    took = [1000 * s for trial in trials for s in trial.plan_seconds if not math.isnan(s)]
    return median(scored) if scored else math.nan, median(took) if took else math.nan


def run_trial(
    task: Task,
    policy: Policy,
    seed: int,
    steps: int,
    *,
    no_progress_steps: int = 0,
    gripper: GripperPolicy | None = None,
) -> Trial:
    """Reach the goals of a task by at most `steps` steps.

    Where the loop ends before, it is begun again and again without the stopping rule, until all
    steps are taken or no more can be: one trial gives the figures with that rule and without.
    """
    task.reset(seed)
    ports = TaskPorts(task, policy.session, policy.profile)
    goals, decider, plans = ports.prepare(), policy.decider(task, seed), []

    def note(said: Progress) -> None:
        if said.phase is Phase.PLANNING:
            plans.append(said)

    def reach(ids: list[int], sequence: GoalSequence, left: int, patience: int) -> Outcome:
        limits = Limits(left, DAY, patience)
        known = policy.reached_distance
        return Reach(ports, decider, gripper, sequence, limits, known, note).run(ids)

    first = reach(
        goals, GoalSequence(len(goals), 'cost', policy.tolerance), steps, no_progress_steps
    )
    latest, left = first, steps - first.progress.step
    while left and (latest is first or latest.progress.step):
        latest = reach(goals[-1:], GoalSequence(1, 'steps', steps_per_goal=left), left, 0)
        left -= latest.progress.step
    return Trial(
        seed,
        tuple(ports.errors),
        first.progress.step,
        first.code,
        task.success(),
        tuple(said.planning_seconds for said in plans),
        tuple(said.evaluations for said in plans),
    )
