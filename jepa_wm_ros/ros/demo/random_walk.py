# SPDX-License-Identifier: Apache-2.0
"""Random steps through the real controller, by the planner's own loop: the demo's floor."""

from __future__ import annotations

import math

import numpy as np
from rclpy.node import Node

from jepa_wm_ros import actions as convention
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.ports import Motion, Observation
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.evaluation.closed_loop.baselines import RandomActions
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.ros.arm_port import ArmPort
from jepa_wm_ros.ros.commander import CommanderError

SETTINGS = {'controller_timeout': 1.0, 'motion_timeout': 20.0, 'base_frame': FR3.base_frame}
MAX_SECONDS = 600.0


class BlindPorts:
    """`control.ports.Ports` of an arm alone: nothing is looked at."""

    def __init__(self, node: Node) -> None:
        self._node, self._arm = node, ArmPort(node, SETTINGS.__getitem__)

    def begin(self) -> None:
        """A walk begins."""
        self._arm.begin()

    def now(self) -> int:
        """Node clock [ns]."""
        return self._node.get_clock().now().nanoseconds

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Where the hand is, at no known distance from anything."""
        return Observation(0, self.now(), self._arm.measured(), math.nan)

    def score(self, context_id: int) -> None:
        """Nothing to decide by."""

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, 7) of actions (H, 7) from the pose7 seen."""
        return convention.waypoints(seen.pose, self._arm.commanded(), actions)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Command one waypoint and wait for its end."""
        return self._arm.move(target, planned_from, gripper)

    def stand(self) -> bool:
        """Stop and wait until the arm stands."""
        return self._arm.stand()


class RandomWalk:
    """Takes random steps with the arm of a node's namespace."""

    def __init__(self, node: Node) -> None:
        self._ports = BlindPorts(node)

    def take(self, seed: int, steps: int) -> None:
        """Take `steps` random steps, fewer where the arm stands at the wall of its workspace and
        the next two lead out of it. Raises CommanderError when the controller fails.
        """
        decider, left, taken = RandomActions(seed), steps, steps
        self._ports.begin()
        while left and taken:
            goals = GoalSequence(1, 'steps', steps_per_goal=left)
            outcome = Reach(self._ports, decider, None, goals, Limits(left, MAX_SECONDS)).run([0])
            if outcome.code not in (FaultCode.SUCCEEDED, FaultCode.WORKSPACE_LIMIT):
                raise CommanderError(outcome.message, outcome.code)
            taken = outcome.progress.step
            left -= taken
