# SPDX-License-Identifier: Apache-2.0
"""Gradient descent on the actions, as published (arXiv 2512.24497).

a <- a - lr * gradient + action_noise * noise, then clip. The published "Adam" is this method too:
its optimiser is built but never stepped. A working Adam is in adam.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jepa_wm_ros.planning.protocol import Plan
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import SamplingSettings, is_number, require

INITS = ('randn', 'zeros')


@dataclass(frozen=True, kw_only=True)
class GdSettings(SamplingSettings):
    """Settings of gradient descent.

    num_samples: starting points descended side by side (published: 1); lr: action units squared
    per cost; action_noise: standard deviation added at every step [action units]; init: randn
    (x var_scale) or zeros.
    """

    iterations: int = 500
    num_samples: int = 1
    lr: float = 1.0
    action_noise: float = 0.003
    init: str = 'randn'

    def __post_init__(self):
        super().__post_init__()
        check_descent(self)
        require(
            is_number(self.action_noise) and self.action_noise >= 0,
            'action_noise',
            self.action_noise,
            'a number >= 0',
        )


def check_descent(settings) -> None:
    """Refuse an lr or init that no descent can use."""
    require(is_number(settings.lr) and settings.lr > 0, 'lr', settings.lr, 'a number > 0')
    require(settings.init in INITS, 'init', settings.init, f'one of {", ".join(INITS)}')


def first_actions(search: Search, settings) -> Tensor:
    """Starting points (N, H, A): the warm start if there is one, and random ones around it."""
    actions = search.start().repeat(settings.num_samples, 1, 1)
    if settings.init == 'randn':
        noise = search.normal(*actions.shape) * search.first_std()
        if search.warm:
            noise[0] = 0.0
        actions = actions + noise
    return actions


class Gd(SearchPlanner[GdSettings]):
    """Descend, add noise, clip."""

    def _search(self, search: Search) -> Plan:
        """The answer is the last point, not the best one on the way."""
        s = self.settings
        actions = first_actions(search, s)
        costs = None
        while search.proceed():
            costs, gradient = search.gradient(actions)
            scored = actions
            actions = actions - s.lr * gradient
            actions = search.clip(actions + s.action_noise * search.normal(*actions.shape))
            search.report(scored, costs, actions[costs.argmin()], None)
        return search.finish(None if costs is None else actions[costs.argmin()])
