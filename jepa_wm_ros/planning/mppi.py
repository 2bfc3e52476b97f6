# SPDX-License-Identifier: Apache-2.0
"""Model predictive path integral control (Williams et al. 2017, "Information theoretic MPC").

Candidates are weighted by exp(-(cost - lowest) / lambda). Latent distances have no natural unit,
so lambda is `temperature` times the standard deviation of the elites' costs. The answer is the
weighted mean; the published variant returns a random elite plus noise, which no profile uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.planning.protocol import Plan
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import EliteSettings, is_number, require


@dataclass(frozen=True, kw_only=True)
class MppiSettings(EliteSettings):
    """Settings of MPPI.

    temperature: see above, small is greedy; min_std, max_std: limits of the proposal's standard
    deviation after the first iteration [action units].
    """

    num_elites: int = 64
    temperature: float = 0.5
    min_std: float = 0.0
    max_std: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        require(
            is_number(self.temperature) and self.temperature > 0,
            'temperature',
            self.temperature,
            'a number > 0',
        )
        require(
            is_number(self.min_std)
            and is_number(self.max_std)
            and 0 <= self.min_std <= self.max_std,
            'min_std, max_std',
            (self.min_std, self.max_std),
            'two numbers 0 <= min_std <= max_std',
        )


class Mppi(SearchPlanner[MppiSettings]):
    """mean, std <- exponentially weighted candidates of mean + std * eps."""

    def _search(self, search: Search) -> Plan:
        """Noise is drawn once per iteration with shape (H, S, A)."""
        s = self.settings
        mean, std = search.start(), search.first_std()
        while search.proceed():
            eps = search.normal(search.horizon, s.num_samples, search.action_dim)
            actions = mean + std * eps.transpose(0, 1)
            actions[0] = mean
            actions = search.clip(actions)
            costs = search.evaluate(actions)
            elites, elite_costs = search.finite_elites(actions, costs, s.num_elites)
            weights = _weights(elite_costs, s.temperature)[:, None, None]
            new_mean = (weights * elites).sum(dim=0)
            new_std = (weights * (elites - new_mean) ** 2).sum(dim=0).sqrt()
            new_std = new_std.clamp(s.min_std, s.max_std)
            mean = new_mean * (1 - s.momentum_mean) + mean * s.momentum_mean
            std = new_std * (1 - s.momentum_std) + std * s.momentum_std
            search.report(actions, costs, mean, std)
        return search.finish(mean)


def _weights(costs: Tensor, temperature: float) -> Tensor:
    """Weights (K,) that sum to 1 of costs (K,), lowest first."""
    spread = costs.std(correction=0).clamp_min(torch.finfo(costs.dtype).tiny)
    return torch.softmax(-(costs - costs[0]) / (temperature * spread), dim=0)
