# SPDX-License-Identifier: Apache-2.0
"""Deciding without a search: one action at a time, with a cost that nobody knows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch

from jepa_wm_ros.planning import Plan


class OneStep(ABC):
    """A `control.ports.Decider`; subclasses say which action."""

    steps_executed, detours = 1, False

    @abstractmethod
    def action(self, cost: Any) -> np.ndarray:
        """The next action (A,), from whatever the ports' `score` gives."""

    def plan(self, cost: Any, **_: Any) -> Plan:
        """A plan of one step."""
        action = torch.from_numpy(self.action(cost)[None])
        return Plan(action, math.nan, 0, 0, math.nan)

    def executed(self, steps: int) -> None:
        """Nothing is left of a plan of one step."""
        return

    def reset(self) -> None:
        """Nothing is remembered."""
        return
