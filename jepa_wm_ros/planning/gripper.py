# SPDX-License-Identifier: Apache-2.0
"""The gripper dimension: how it is explored, and when the hand really opens or closes.

A gripper action is a change of closure in [-1, 1] (positive closes). CEM with standard deviation
0.1 hardly ever proposes a whole closing move, so `GripperSampling` mixes in candidates that open,
keep or close outright.
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
        device, horizon = actions.device, actions.shape[1]
        move = torch.randint(-1, 2, (count, 1), generator=generator, device=device) * self.size
        step = torch.randint(0, horizon, (count, 1), generator=generator, device=device)
        column = torch.zeros_like(actions[-count:, :, self.dim])
        actions[-count:, :, self.dim] = column.scatter(1, step, move.to(column.dtype))
