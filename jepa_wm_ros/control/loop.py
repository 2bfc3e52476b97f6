# SPDX-License-Identifier: Apache-2.0
"""Reaching goal pictures by model-predictive control: observe, plan, move one small step, check.

The one loop of the planner node, the demo's baselines and the offline trials. It knows the world
only through `Ports` and never sees a picture or a latent, only costs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.jump import cost_bound
from jepa_wm_ros.control.ports import Decider, Motion, MotionOutcome, Observation, Ports
from jepa_wm_ros.control.progress import Limits, Outcome, Phase, Progress
from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.planning import Budget

MAX_REPLANS = 5  # times in a row that a moved arm discards a plan
MOST_MISSED = 4  # grasps in a row that close on nothing
MOST_INVALID = 0.5  # share of candidates without a finite cost that a plan may have
CODES = {  # of a motion that did not say its own
    MotionOutcome.STOPPED: FaultCode.STOPPED,
    MotionOutcome.REFUSED: FaultCode.COMMAND_REFUSED,
    MotionOutcome.WORKSPACE: FaultCode.WORKSPACE_LIMIT,
    MotionOutcome.FAILED: FaultCode.ROBOT_REFLEX,
}


@dataclass
class Reach:
    """One goal of the action, from its prepared pictures to its outcome."""

    ports: Ports
    decider: Decider
    gripper: GripperPolicy | None  # None leaves the gripper as it is
    goals: GoalSequence
    limits: Limits
    reached_distance: float = math.nan  # of the model, whatever the goal asks for; NaN: unknown
    say: Callable[[Progress], None] = lambda _: None
    cancelled: Callable[[], bool] = lambda: False
    # Makes ready and gives who pursues the last picture alone once one was missed, from wherever
    # the thing lies then; without it the picture before is begun again.
    recovery: Callable[[], Decider] | None = None
    progress: Progress = field(default_factory=Progress)
    _commanded: bool = False  # whether the arm was ever told to move
    _best_step: int = 0  # steps taken when the lowest cost was seen
    _bound: float = math.inf  # the highest cost that may be seen next
    _gain: float = math.inf  # share of the cost of standing still that the newest plan saves

    def run(self, goal_ids: list[int]) -> Outcome:
        """Move until the last goal is reached, a limit is met, a fault occurs or a cancel comes.

        However it ends, the arm stands: unless the goal was reached, an arm that has been told to
        move is told to stop, and waited for, before anybody hears of the end.
        """
        try:
            self._pursue(goal_ids)
        except JepaWmError as error:
            doubt = '' if self._stand() else '; it is not known whether the arm stands'
            return Outcome(error.code, f'{error}{doubt}', self.progress)
        except BaseException:
            self._stand()
            raise
        return Outcome(FaultCode.SUCCEEDED, '', self.progress)

    def _pursue(self, goal_ids: list[int]) -> None:
        begun = not_before = self.ports.now()
        replans = 0
        while True:
            self._check_cancel()
            self._check_time(begun)
            seen = self._observe(goal_ids[self.goals.index], not_before)
            if self.goals.update(seen.distance):
                if self._finished():
                    return
                continue
            self._check_limits()
            path = self._plan(seen)
            if self.goals.exhausted(self._gain):
                if self._finished():
                    return
                continue
            if self._act(seen, path):
                self._expect(seen.distance)
                replans, not_before = 0, self.ports.now()
                continue
            replans, not_before = replans + 1, seen.stamp
            if replans > MAX_REPLANS:
                raise Fault(
                    FaultCode.ARM_MOVED,
                    'the arm keeps moving between observation and '
                    'execution: is someone guiding it?',
                )

    # Observe

    def _observe(self, goal_id: int, not_before: int) -> Observation:
        seen = self.ports.observe(goal_id, not_before)
        if seen.distance > self._bound:
            raise Fault(
                FaultCode.UNFAMILIAR_VIEW,
                f'the cost rose to {seen.distance:.3g}, where a step as planned leaves it below '
                f'{self._bound:.3g}: does the camera still show this cell?',
            )
        self._bound = math.inf
        best = self.progress.best_cost
        if seen.distance < best:
            best, self._best_step = seen.distance, self.progress.step
        self._say(phase=Phase.WAITING, cost=seen.distance, best_cost=best)
        return seen

    def _finished(self) -> bool:
        """Whether that was the last goal; the next one is begun otherwise."""
        if not self.goals.finished:
            self._begin_next_goal()
            return False
        if self.goals.missed:
            raise Fault(
                FaultCode.NO_PROGRESS,
                f'the last picture was missed: the cost is {self.progress.cost:.3g}, where '
                f'{self.goals.limit:.3g} counts as there',
            )
        self._say(phase=Phase.REACHED)
        return True

    def _begin_next_goal(self) -> None:
        if self.recovery is not None and self.goals.index < self.progress.goal_index:
            self.decider, self.recovery = self.recovery(), None
            self.goals.last_alone(self.limits.max_steps)
        self._say(goal_index=self.goals.index, cost=math.nan, best_cost=math.inf)
        self._best_step = self.progress.step
        self._bound = math.inf
        self.decider.reset()

    def _expect(self, before: float) -> None:
        """Bound the next cost after steps planned from `before`, unless someone moved the arm."""
        if self.progress.phase is not Phase.REPLAN and not self.decider.detours:
            predicted = self.progress.predicted_cost
            self._bound = cost_bound(before, predicted, self.goals.first, self.reached_distance)

    # Plan

    def _plan(self, seen: Observation) -> np.ndarray:
        """The path (H + 1, P) of a plan from what was seen."""
        plan = self.decider.plan(
            self.ports.score(seen),
            # What a goal is ended by must be what a whole plan promises, to the last step.
            steps_left=None if self.goals.on_plan else self.limits.max_steps - self.progress.step,
            budget=Budget(seconds=self.limits.planning_seconds, cancelled=self.cancelled),
            strokes=None if self.gripper is None else self.gripper.strokes,
            pose=seen.pose,
        )
        self._check_cancel()
        self._say(
            phase=Phase.PLANNING,
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
        self._gain = math.inf
        if self.goals.on_plan and plan.iterations:  # else nothing better was looked for
            still = float(self.ports.score(seen)(torch.zeros_like(plan.actions)[None]))
            self._gain = 1.0 - plan.cost / still if still > 0 else 0.0
        actions = plan.actions.cpu().numpy().astype(np.float64)
        if not np.isfinite(actions).all():
            raise Fault(
                FaultCode.MODEL_OUTPUT_INVALID, 'the plan holds numbers that are not finite'
            )
        return self.ports.waypoints(seen, actions)

    # Act

    def _act(self, seen: Observation, path: np.ndarray) -> bool:
        """Take the first steps of a path, until one was clipped, the gripper has made a stroke (for
        which the hand stands) or the arm has been moved: what follows was planned for elsewhere.
        False when it had been moved before the first.
        """
        allowed = min(
            self.decider.steps_executed,
            self.limits.max_steps - self.progress.step,
            self.goals.steps_left,
        )
        for number, (start, target) in enumerate(itertools.pairwise(path[: 1 + allowed])):
            latency = (self.ports.now() - seen.stamp) / 1e9
            self.progress = replace(
                self.progress,
                phase=Phase.MOVING,
                waypoint=target,
                path=path,
                latency_seconds=latency,
            )
            self.say(replace(self.progress, step=self.progress.step + 1))
            self._commanded = True
            closure = self._closure(target, seen)
            strokes = self.gripper is not None and self.gripper.switched
            waypoint = target
            if strokes:
                # With the turn that was commanded: taken as measured it tips over by and by.
                here = self.ports.waypoints(seen, np.zeros((1, path.shape[1])))[-1]
                waypoint = held(start if number else here, target)
            motion = self.ports.move(waypoint, start, closure)
            if motion.outcome is MotionOutcome.MOVED:
                self._say(phase=Phase.REPLAN)
                self.decider.reset()
                return number > 0
            self._check_motion(motion)
            self._count_step(motion)
            self._check_cancel()
            if motion.clipped or strokes:
                break
        self._grasp_anew()
        return True

    def _grasp_anew(self) -> None:
        """Go back to the picture before when the hand has closed on nothing; not for ever."""
        if self.gripper is None or not self.gripper.missed:
            return
        if self.gripper.misses >= MOST_MISSED:
            raise Fault(
                FaultCode.NO_PROGRESS,
                f'the hand has closed on nothing {MOST_MISSED} times in a row: is the thing where '
                'the pictures show it?',
            )
        if self.goals.back():
            self._begin_next_goal()

    def _closure(self, target: np.ndarray, seen: Observation) -> float:
        if self.gripper is None:
            return math.nan
        return self.gripper.update(float(target[-1]), float(seen.pose[-1]))

    def _count_step(self, motion: Motion) -> None:
        self.progress = replace(self.progress, step=self.progress.step + 1, clipped=motion.clipped)
        self.goals.step()
        self.decider.executed(1)

    # Check

    def _check_motion(self, motion: Motion) -> None:
        if motion.outcome is MotionOutcome.DONE:
            return
        if motion.outcome is MotionOutcome.STOPPED:
            self._check_cancel()
        raise Fault(motion.code or CODES[motion.outcome], motion.message)

    def _check_limits(self) -> None:
        steps, patience = self.progress.step, self.limits.no_progress_steps
        if steps >= self.limits.max_steps:
            raise Fault(FaultCode.MAX_STEPS, f'not reached in {steps} steps')
        fruitless = steps - self._best_step
        if patience and fruitless >= patience:
            raise Fault(
                FaultCode.NO_PROGRESS,
                f'no lower cost for {fruitless} steps; best {self.progress.best_cost:.4g}',
            )

    def _check_time(self, begun: int) -> None:
        if self.ports.now() - begun > self.limits.max_seconds * 1e9:
            raise Fault(FaultCode.MAX_DURATION, f'not reached within {self.limits.max_seconds} s')

    def _check_cancel(self) -> None:
        if self.cancelled():
            raise Fault(FaultCode.CANCELED, 'cancelled')

    def _stand(self) -> bool:
        return not self._commanded or self.ports.stand()

    def _say(self, **changes) -> None:
        self.progress = replace(self.progress, **changes)
        self.say(self.progress)


def held(start: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A waypoint (P,) where the hand stays and only its gripper, the last number, goes on."""
    return np.array([*start[:-1], target[-1]])
