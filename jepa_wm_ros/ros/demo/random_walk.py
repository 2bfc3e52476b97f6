# SPDX-License-Identifier: Apache-2.0
"""Random steps through the real controller, by the planner's own loop: the demo's floor."""

from __future__ import annotations

from rclpy.node import Node

from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.evaluation.closed_loop.baselines import RandomActions
from jepa_wm_ros.ros.arm_alone import BlindPorts
from jepa_wm_ros.ros.commander import CommanderError

MAX_SECONDS = 600.0


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
