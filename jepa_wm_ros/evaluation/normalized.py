# SPDX-License-Identifier: Apache-2.0
"""Planning in a model's normalised actions, as the paper does in its simulated tasks.

There 0 is the mean of the actions that the model was trained on and 1 their standard deviation, in
every dimension. What a profile says of actions (var_scale, max_norms, lr, action_noise) and what
planners take for granted (Nevergrad's first step) then means the same in every world.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jepa_wm_ros.planning import Mpc, Plan, Profile
from jepa_wm_ros.planning.protocol import CostFunction
from jepa_wm_ros.world_model import ModelSpec


class NormalizedCost:
    """`CostFunction` over normalised actions (N, H, A) of one over physical actions, which has a
    gradient.
    """

    def __init__(self, cost: CostFunction, spec: ModelSpec) -> None:
        self.cost, self.action_dim = cost, cost.action_dim
        self.device = torch.device(getattr(cost, 'device', 'cpu'))
        self.dtype = getattr(cost, 'dtype', torch.float32)
        self._mean, self._std = (
            torch.tensor(numbers * spec.frameskip, device=self.device, dtype=self.dtype)
            for numbers in (spec.action_mean, spec.action_std)
        )

    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,)."""
        return self.cost(self.physical(actions))

    def gradient(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Costs (N,) and the gradient (N, H, A) of each by its own normalised actions."""
        costs, slope = self.cost.gradient(self.physical(actions))
        return costs, slope * self._std

    @property
    def proposal(self) -> Tensor | None:
        """Normalised actions (H, A) that the model would try first; None where it has none."""
        proposed = getattr(self.cost, 'proposal', None)
        return None if proposed is None else (proposed - self._mean) / self._std

    def physical(self, actions: Tensor) -> Tensor:
        """Normalised actions (..., A) in the world's units."""
        return actions * self._std + self._mean


class NormalizedMpc(Mpc):
    """`Mpc` whose search, and what it remembers of it, is in a model's normalised actions; its
    plans are in the world's units.
    """

    def __init__(self, profile: Profile, spec: ModelSpec) -> None:
        super().__init__(profile)
        self._spec = spec

    def plan(self, cost: CostFunction, *more: Any, **named: Any) -> Plan:
        """As `Mpc`'s, for a cost over physical actions; reports are of normalised ones."""
        searched = NormalizedCost(cost, self._spec)
        plan = super().plan(searched, *more, **named)
        elites = None if plan.elites is None else searched.physical(plan.elites)
        return replace(plan, actions=searched.physical(plan.actions), elites=elites)
