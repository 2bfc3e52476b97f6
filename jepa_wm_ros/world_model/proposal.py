# SPDX-License-Identifier: Apache-2.0
"""What to try first: the actions that usually led from one picture to another.

Goal-conditioned inverse dynamics on the latents of a frozen encoder (Ghosh et al., arXiv
1912.06088, section 4: what was done between two frames of an episode is how to reach the later).
A planner begins its search there in place of at standing still.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_wm_ros.world_model.spec import ModelSpec

HIDDEN = 256
LARGEST_GRID = 4  # tokens a side; a finer grid is averaged to it


class Proposal(nn.Module):
    """Two layers from a pair of visual latents to H normalised actions. Stored with a model."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self._shape = spec.proposal_steps, spec.action_dim
        self._grid = min(spec.grid, LARGEST_GRID)
        seen = spec.encoder.width * self._grid**2
        self.net = nn.Sequential(
            nn.Linear(2 * seen, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, math.prod(self._shape)),
        )

    def forward(self, now: Tensor, goal: Tensor) -> Tensor:
        """Normalised actions (B, H, A) from visual latents (B, g, g, D) towards others."""
        pair = torch.cat([self._flat(now), self._flat(goal)], dim=-1)
        return self.net(pair).unflatten(-1, self._shape)

    def _flat(self, tokens: Tensor) -> Tensor:
        channels_first = tokens.movedim(-1, 1)
        return functional.adaptive_avg_pool2d(channels_first, self._grid).flatten(1)
