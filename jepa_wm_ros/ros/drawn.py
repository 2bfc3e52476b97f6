# SPDX-License-Identifier: Apache-2.0
"""Plans that people can see: what is imagined of each is drawn while the arm carries it out."""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.control.ports import Decider
from jepa_wm_ros.planning import Budget, Plan
from jepa_wm_ros.ros.ports import ServiceScore


class Drawn:
    """A `control.ports.Decider` whose every plan the world-model node is asked to draw."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    @property
    def steps_executed(self) -> int:
        """As of who decides."""
        return self._decider.steps_executed

    @property
    def detours(self) -> bool:
        """As of who decides."""
        return self._decider.detours

    def plan(
        self,
        cost: ServiceScore,
        *,
        steps_left: int | None,
        budget: Budget,
        strokes: tuple[int, ...] | None,
        pose: np.ndarray,
    ) -> Plan:
        """The plan of who decides; that it is drawn is not waited for."""
        plan = self._decider.plan(
            cost, steps_left=steps_left, budget=budget, strokes=strokes, pose=pose
        )
        cost.imagine(plan.actions)
        return plan

    def executed(self, steps: int) -> None:
        """As of who decides."""
        self._decider.executed(steps)

    def reset(self) -> None:
        """As of who decides."""
        self._decider.reset()
