# SPDX-License-Identifier: Apache-2.0
"""Adam on the actions (Kingma & Ba, arXiv 1412.6980), several starting points side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from jepa_wm_ros.planning.gd import check_descent, first_actions
from jepa_wm_ros.planning.protocol import Plan
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import SamplingSettings, is_number, require

EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True)
class AdamSettings(SamplingSettings):
    """Settings of Adam.

    num_samples: starting points; lr: about the distance one step moves an action [action units];
    init: randn (x var_scale) or zeros; beta1, beta2: decay of the moments.
    """

    iterations: int = 60
    num_samples: int = 4
    lr: float = 0.01
    init: str = 'randn'
    beta1: float = 0.9
    beta2: float = 0.999

    def __post_init__(self):
        super().__post_init__()
        check_descent(self)
        for name in ('beta1', 'beta2'):
            value = getattr(self, name)
            require(is_number(value) and 0 <= value < 1, name, value, 'a number in [0, 1)')


class Adam(SearchPlanner[AdamSettings]):
    """Descend with bias-corrected moments, clip, remember the best point."""

    def _search(self, search: Search) -> Plan:
        """The answer is the best point visited."""
        s = self.settings
        actions = search.clip(first_actions(search, s))
        m, v = torch.zeros_like(actions), torch.zeros_like(actions)
        while search.proceed():
            costs, gradient = search.gradient(actions)
            m = s.beta1 * m + (1 - s.beta1) * gradient
            v = s.beta2 * v + (1 - s.beta2) * gradient**2
            m_hat = m / (1 - s.beta1**search.iterations)
            v_hat = v / (1 - s.beta2**search.iterations)
            scored = actions
            actions = search.clip(actions - s.lr * m_hat / (v_hat.sqrt() + EPSILON))
            search.report(scored, costs, search.best_actions, None)
        return search.finish()
