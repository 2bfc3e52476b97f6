# SPDX-License-Identifier: Apache-2.0
"""A toy cell for the reach loop: a hand in space whose cost is its distance to the goal."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from jepa_wm_ros import actions
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.ports import Motion, MotionOutcome, Observation
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.planning import Plan

DONE, MOVED = MotionOutcome.DONE, MotionOutcome.MOVED
S = 1_000_000_000
STEP = 0.05


@dataclass
class ToyCell:
    """Ports of a hand that goes where it is told; `outcomes` overrides how motions end, with an
    exception to be raised or a code to be told.
    """

    goals: list = field(default_factory=lambda: [np.array([0.5, 0.2, 0.3])])
    pose: np.ndarray = field(default_factory=lambda: np.array([0.5, 0, 0.3, math.pi, 0, 0, 0.0]))
    outcomes: list = field(default_factory=list)
    clips: bool = False
    clock: int = 0
    stops: int = 0
    stands: bool = True
    targets: list = field(default_factory=list)
    grippers: list = field(default_factory=list)
    frozen_after: list = field(default_factory=list)

    def now(self):
        self.clock += S // 100
        return self.clock

    def observe(self, goal_id, not_before):
        self.frozen_after.append(not_before)
        distance = np.linalg.norm(self.pose[:3] - self.goals[goal_id])
        self.goal = self.goals[goal_id]
        return Observation(7, self.now(), self.pose.copy(), float(distance))

    def score(self, seen):
        return self

    def waypoints(self, seen, planned):
        return actions.waypoints(seen.pose, np.array([9, 9, 9, 3.0, 0.1, 0.2, 0.0]), planned)

    def move(self, target, planned_from, gripper):
        outcome = self.outcomes.pop(0) if self.outcomes else DONE
        if isinstance(outcome, Exception):
            raise outcome
        code = FaultCode.SUCCEEDED
        if isinstance(outcome, tuple):
            outcome, code = outcome
        if outcome is DONE:
            self.pose = target.copy()
            self.targets.append(target)
            self.grippers.append(gripper)
        return Motion(outcome, self.clips, code, f'it was {outcome.name}')

    def stand(self):
        self.stops += 1
        return self.stands


@dataclass
class StraightPlanner:
    """Goes straight for the goal; `action` overrides what it answers."""

    cell: ToyCell
    action: object = None
    steps_executed: int = 1
    detours: bool = False
    shifts: int = 0
    resets: int = 0

    def executed(self, steps):
        self.shifts += steps

    def reset(self):
        self.resets += 1

    def plan(self, cost, **_):
        way = self.cell.goal - self.cell.pose[:3]
        way = way * min(1.0, STEP / max(np.linalg.norm(way), 1e-9))
        action = np.array([*way, 0, 0, 0, 0]) if self.action is None else self.action
        if isinstance(action, Exception):
            raise action
        return Plan(torch.tensor(np.array([action, action])), 0.1, 10, 1, 0.01)


def reach(cell, *, action=None, steps_executed=1, **options):
    return run(cell, StraightPlanner(cell, action, steps_executed), **options)


def run(
    cell,
    planner,
    *,
    steps=20,
    seconds=1e6,
    patience=0,
    cancelled=lambda: False,
    sequence=None,
    gripper=None,
    said=None,
):
    loop = Reach(
        ports=cell,
        decider=planner,
        gripper=gripper,
        goals=sequence or GoalSequence(len(cell.goals), 'cost', 0.01),
        limits=Limits(steps, seconds, patience),
        reached_distance=0.01,
        say=(said.append if said is not None else lambda _: None),
        cancelled=cancelled,
    )
    return loop.run(list(range(len(cell.goals))))
