# SPDX-License-Identifier: Apache-2.0
"""The control loop's world of an arm without a model: the arm moves, and nothing has a distance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.node import Node

from jepa_wm_ros import actions as convention
from jepa_wm_ros.control.ports import Motion, Observation
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.ros.arm_port import ArmPort

SETTINGS = {'controller_timeout': 1.0, 'motion_timeout': 20.0, 'base_frame': FR3.base_frame}


class BlindPorts:
    """`control.ports.Ports` of an arm alone: nothing is looked at."""

    def __init__(self, node: Node, settings: Mapping[str, Any] = SETTINGS) -> None:
        self._node, self.arm = node, ArmPort(node, settings.__getitem__)

    def begin(self) -> None:
        """A walk begins."""
        self.arm.begin()

    def now(self) -> int:
        """Node clock [ns]."""
        return self._node.get_clock().now().nanoseconds

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Where the hand is, at no known distance from anything."""
        return Observation(0, self.now(), self.arm.measured(), math.nan)

    def score(self, seen: Observation) -> Any:
        """Nothing to decide by."""

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, 7) of actions (H, 7) from the pose7 seen."""
        return convention.waypoints(seen.pose, self.arm.commanded(), actions)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Command one waypoint and wait for its end."""
        return self.arm.move(target, planned_from, gripper)

    def stand(self) -> bool:
        """Stop and wait until the arm stands."""
        return self.arm.stand()
