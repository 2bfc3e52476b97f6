# SPDX-License-Identifier: Apache-2.0
"""How far a rollout ends from the goal, in latent space (arXiv 2512.24497 section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jepa_wm_ros.objective import Objective
from jepa_wm_ros.world_model.latents import Latents


def distance_per_frame(rollout: Latents, goal: Latents, objective: Objective) -> Tensor:
    """Distances (T, B) of rollout frames (T, B, ...) to the one goal frame (1, 1, ...)."""
    d = _distance(rollout.visual, goal.visual, objective.kind)
    if objective.alpha and rollout.proprio is not None and goal.proprio is not None:
        d = d + objective.alpha * _distance(rollout.proprio, goal.proprio, objective.kind)
    return d


def distance(rollout: Latents, goal: Latents, objective: Objective) -> Tensor:
    """Costs (B,): the last frame's distance, or the weighted sum over all frames."""
    if not objective.sum_all:
        return distance_per_frame(rollout[-1:], goal, objective)[0]
    d = distance_per_frame(rollout, goal, objective)
    return (
        (d * d.new_tensor(objective.weights(len(d)))[:, None]).sum(0)
        if objective.rise
        else d.sum(0)
    )


def distance_curve(rollout: Latents, goal: Latents, objective: Objective) -> Tensor:
    """Curves (T, B) for plots: each frame's distance.

    With sum_all the running sum, newest entry first, which is how the published plots hold it.
    """
    d = distance_per_frame(rollout, goal, objective)
    return d.cumsum(0).flip(0) if objective.sum_all else d


def _distance(z: Tensor, goal: Tensor, kind: str) -> Tensor:
    """Mean over all but the first two dimensions of the elementwise distance."""
    z, goal = z.flatten(2), goal.flatten(2)
    if kind == 'cosine':
        return -F.cosine_similarity(z, goal.expand_as(z), dim=-1)
    difference = goal - z
    return (difference.abs() if kind == 'L1' else torch.square(difference)).mean(dim=-1)
