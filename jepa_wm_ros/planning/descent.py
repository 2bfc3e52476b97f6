# SPDX-License-Identifier: Apache-2.0
"""Descent on action sequences within their bounds: projected BFGS (Nocedal & Wright 2006, 6.1).

Sampling finds the right valley with few evaluations and its bottom with many; a slope knows the
way down at once. Refining the best samples by gradient is the idea of Bharadhwaj et al. 2020
(arXiv 2004.08763); a quasi-Newton step needs no learning rate and a tenth of the steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jepa_wm_ros.planning.search import Search

FIRST_STEP = 0.5  # length of the first step, in standard deviations of the proposal
LENGTHS = (2.0, 1.0, 0.4, 0.1)  # of each quasi-Newton step, tried side by side
SHRINK = 0.1  # of the next step where none of them went down
LEAST_GAIN, PATIENCE = 2e-4, 3  # share of all that was gained; steps in a row that gained less
LEAST_CURVATURE = 1e-10


def descend(search: Search, starts: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Where at most `steps` steps down from `starts` (K, H, A) lead, and the costs (K,) there.

    Each step is one iteration of the search: K gradients, then K x LENGTHS candidates. It ends
    early when the best of the K sequences gains next to nothing any more.
    """
    x, costs = starts.flatten(1), starts.new_full(starts.shape[:1], torch.inf)
    scale, bound = search.first_std().flatten(), search.bounds.repeat(search.horizon)
    inverse = seen = None
    top = torch.inf
    idle = 0
    while steps and len(x) and idle < PATIENCE and search.proceed():
        steps -= 1
        costs, slope = search.gradient(x.view_as(starts), need=False)
        before, slope = search.iteration_cost, slope.flatten(1)
        if inverse is None or seen is None:
            inverse, top = first_inverse(slope, scale), before
        else:
            inverse = updated_inverse(inverse, x - seen[0], slope - seen[1])
        seen = x, slope
        direction = downhill(
            inverse, slope, stuck=((x <= -bound) & (slope > 0) | (x >= bound) & (slope < 0))
        )
        lengths = torch.tensor(LENGTHS, device=x.device, dtype=x.dtype)
        tries = x[:, None] + lengths[:, None] * direction[:, None]
        tries = tries.clamp(-bound, bound).flatten(0, 1)
        scored = search.evaluate(tries.view(-1, *starts.shape[1:]), need=False)
        lowest, which = scored.view(len(x), -1).min(dim=1)
        down = lowest < costs
        which = which + len(LENGTHS) * torch.arange(len(x), device=x.device)
        x = torch.where(down[:, None], tries[which], x)
        costs = torch.minimum(lowest, costs)
        inverse = torch.where(down[:, None, None], inverse, SHRINK * inverse)
        gained, in_all = before - search.iteration_cost, top - search.iteration_cost
        idle = idle + 1 if gained <= max(LEAST_GAIN * in_all, 0.0) else 0
        search.report(tries.view(-1, *starts.shape[1:]), scored, search.best_actions, None)
    return x.view_as(starts), costs


def first_inverse(slope: Tensor, scale: Tensor) -> Tensor:
    """Inverse curvature (K, D, D) that makes the first step FIRST_STEP x `scale` (D,) long."""
    length = (slope * scale).norm(dim=1).clamp_min(torch.finfo(slope.dtype).tiny)
    return (FIRST_STEP / length)[:, None, None] * torch.diag(scale**2)


def updated_inverse(inverse: Tensor, moved: Tensor, turned: Tensor) -> Tensor:
    """BFGS: the inverse (K, D, D) after moving (K, D) turned the slope by (K, D).

    It stays as it was where the slope did not rise along the move, as in a bend of a valley.
    """
    curvature = (moved * turned).sum(dim=1)
    least = LEAST_CURVATURE * moved.norm(dim=1) * turned.norm(dim=1)
    curved = curvature > least.clamp_min(torch.finfo(moved.dtype).tiny)
    rho = 1 / torch.where(curved, curvature, 1.0)[:, None, None]
    s, y = moved[:, :, None], turned[:, :, None]
    v = torch.eye(moved.shape[1], device=moved.device, dtype=moved.dtype) - rho * s @ y.mT
    return torch.where(curved[:, None, None], v @ inverse @ v.mT + rho * s @ s.mT, inverse)


def downhill(inverse: Tensor, slope: Tensor, stuck: Tensor) -> Tensor:
    """Direction (K, D) of the step, always finite; 0 where a bound is in the way (`stuck`), and
    where rounding has spoilt the inverse so that it points up, the steepest one of that length.
    """
    slope = torch.where(stuck, 0.0, slope)
    step = torch.where(stuck, 0.0, -(inverse @ slope[:, :, None])[:, :, 0])
    up = (step * slope).sum(dim=1, keepdim=True) > 0
    tiny = torch.finfo(slope.dtype).tiny
    steepest = -slope * (
        step.norm(dim=1, keepdim=True) / slope.norm(dim=1, keepdim=True).clamp_min(tiny)
    )
    return torch.where(up, steepest, step).nan_to_num(0.0, 0.0, 0.0)
