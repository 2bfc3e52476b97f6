# SPDX-License-Identifier: Apache-2.0
"""The gripper dimension: how it is explored.

A gripper action is a change of closure in [-1, 1] (positive closes). A normal distribution of
standard deviation 0.1 hardly ever proposes a whole stroke, and the mean of plans that close now and
of plans that close later is none of them: a hand that closes by a third at each step. So a plan
makes one stroke or none, and CEM searches for every stroke by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.planning.settings import is_count, is_number, require


@dataclass(frozen=True, kw_only=True)
class GripperSampling:
    """Plans whose gripper opens, keeps or closes outright, at one step, at which the hand stands,
    as it does when that is carried out.

    dim: the gripper's action dimension; size: change of closure of a stroke, 0 ... 1.
    """

    dim: int = 6
    size: float = 1.0

    def __post_init__(self):
        require(is_count(self.dim, 0), 'gripper.dim', self.dim, 'an action dimension >= 0')
        require(
            is_number(self.size) and 0 < self.size <= 1,
            'gripper.size',
            self.size,
            'a number in (0, 1]',
        )

    def strokes(self, horizon: int, possible: Sequence[int] | None = None) -> Tensor:
        """Gripper actions (K H + 1, H): none, and each of K `possible` strokes at each step, of 1
        (closes) and -1 (opens); both where it is not known what the hand can do.
        """
        each = self.size * torch.eye(horizon)
        kinds = (-1, 1) if possible is None else possible
        return torch.cat([torch.zeros(1, horizon), *(kind * each for kind in kinds)])

    def impose(self, actions: Tensor, strokes: Tensor) -> None:
        """Have actions (S, N, H, A) make the strokes (S, H), in place, and stand meanwhile."""
        made = strokes.to(actions)[:, None]
        actions.mul_((made == 0)[..., None])
        actions[..., self.dim] = made
