# SPDX-License-Identifier: Apache-2.0
"""Costs of action sequences by what a world really does: by the judge's distance, or by that of the
latents of what is then seen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.objective import Objective
from jepa_wm_ros.tasks.world import World, roll
from jepa_wm_ros.world_model import Latents, WorldModel
from jepa_wm_ros.world_model.distance import distance


class TrueCost:
    """`CostFunction` over normal actions (N, H, frameskip x A) of unit size, from a state (S,)."""

    device = torch.device('cpu')

    def __init__(
        self, world: World, state: np.ndarray, goal: np.ndarray, objective: Objective, scale: float
    ) -> None:
        """scale: what an action of 1 is in the world's units."""
        self.world, self.state, self.goal = world, state, goal
        self.objective, self.scale = objective, scale
        self.action_dim = world.spec.model_action_dim

    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,)."""
        paths = self._paths(actions)
        costs = np.stack([self.world.distance(states, self.goal) for states in paths])
        if self.objective.kind == 'L2':
            costs = costs**2
        counted = (
            np.array(self.objective.weights(len(costs))) @ costs
            if self.objective.sum_all
            else costs[-1]
        )
        return torch.from_numpy(counted).float()

    def _paths(self, actions: Tensor) -> np.ndarray:
        """States (H, N, S) after each model step."""
        physical = actions.double().numpy() * self.scale
        states, path = np.repeat(self.state[None], len(physical), axis=0), []
        for h in range(physical.shape[1]):
            states = roll(self.world, states, physical[:, h : h + 1])
            path.append(states)
        return np.stack(path)


class LatentCeiling(TrueCost):
    """The same, by the latents of pictures of the true states."""

    def __init__(
        self,
        world: World,
        state: np.ndarray,
        goal: np.ndarray,
        objective: Objective,
        scale: float,
        encoder: WorldModel,
    ) -> None:
        super().__init__(world, state, goal, objective, scale)
        self._encoder = encoder
        self._goal = self._encode(goal[None])

    def __call__(self, actions: Tensor) -> Tensor:
        """Costs (N,)."""
        paths = self._paths(actions)
        wanted = paths if self.objective.sum_all else paths[-1:]
        seen = Latents(torch.stack([self._encode(states).visual[:, 0] for states in wanted]))
        return distance(seen, self._goal, self.objective).float()

    @torch.inference_mode()
    def _encode(self, states: np.ndarray) -> Latents:
        model = self._encoder
        return model.encode_visual(model.prepare_images(self.world.render(states)))
