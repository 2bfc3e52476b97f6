# SPDX-License-Identifier: Apache-2.0
"""The gripper dimension: how it is explored, and when the hand really opens or closes.

A gripper action is a change of closure in [-1, 1] (positive closes). CEM with standard deviation
0.1 hardly ever proposes a whole closing move, so `GripperSampling` mixes in candidates that open,
keep or close outright; `GripperPolicy` keeps a wavering plan from chattering the hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.planning.settings import is_count, is_number, require


@dataclass(frozen=True, kw_only=True)
class GripperSampling:
    """Candidates whose gripper opens, keeps or closes at one random step.

    dim: the gripper's action dimension; fraction: share of the candidates treated so (candidate
    0, the mean, never is); size: change of closure of an opening or closing move, 0 ... 1.
    """

    dim: int = 6
    fraction: float = 0.5
    size: float = 1.0

    def __post_init__(self):
        require(is_count(self.dim, 0), 'gripper.dim', self.dim, 'an action dimension >= 0')
        require(
            is_number(self.fraction) and 0 < self.fraction < 1,
            'gripper.fraction',
            self.fraction,
            'a number strictly between 0 and 1',
        )
        require(
            is_number(self.size) and 0 < self.size <= 1,
            'gripper.size',
            self.size,
            'a number in (0, 1]',
        )

    def mix_into(self, actions: Tensor, generator: torch.Generator) -> None:
        """Overwrite the gripper column of the last candidates of actions (N, H, A) in place."""
        count = min(int(self.fraction * len(actions)), len(actions) - 1)
        if count < 1:
            return
        kwargs = {'generator': generator, 'device': actions.device}
        move = torch.randint(-1, 2, (count, 1), **kwargs) * self.size
        step = torch.randint(actions.shape[1], (count, 1), **kwargs)
        column = torch.zeros_like(actions[-count:, :, self.dim])
        actions[-count:, :, self.dim] = column.scatter(1, step, move.to(column.dtype))


class GripperPolicy:
    """Two-threshold switch with a minimum hold: planned closure in, open (0) or closed (1) out.

    close_above, open_below: planned closures [0 ... 1] that switch; between them the hand keeps
    what it has. min_hold_steps: steps a command lasts at least.
    """

    def __init__(
        self,
        open_below: float = 0.35,
        close_above: float = 0.65,
        min_hold_steps: int = 2,
        closed: bool = False,
    ):
        require(
            is_number(open_below) and is_number(close_above) and 0 <= open_below < close_above <= 1,
            'gripper open_below, close_above',
            (open_below, close_above),
            'two numbers 0 <= open_below < close_above <= 1',
        )
        require(is_count(min_hold_steps, 0), 'min_hold_steps', min_hold_steps, 'an integer >= 0')
        self.open_below, self.close_above = open_below, close_above
        self.min_hold_steps = min_hold_steps
        self.closed = closed
        self._held = min_hold_steps

    def update(self, planned_closure: float) -> float:
        """Commanded closure, 0.0 or 1.0, for the closure the plan asks for. Call once per step."""
        wanted = self.closed
        if planned_closure >= self.close_above:
            wanted = True
        elif planned_closure <= self.open_below:
            wanted = False
        if wanted != self.closed and self._held >= self.min_hold_steps:
            self.closed, self._held = wanted, 0
        self._held += 1
        return float(self.closed)
