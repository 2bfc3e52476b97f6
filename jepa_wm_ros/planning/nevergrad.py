# SPDX-License-Identifier: Apache-2.0
"""Any optimiser of the Nevergrad library, set up as in arXiv 2512.24497 (NGOpt by default).

One bounded array, budget = iterations x samples, as many workers as samples: each iteration asks
for all candidates, scores them in one batch and tells all costs. The answer is the library's
recommendation. The library has no call that asks for many candidates at once; its CMA draws a
whole generation at the first `ask` and hands out the rest from a queue.

Published behaviour kept: var_scale does not exist (the library scales its first step by the
bounds); dimensions without a bound get +-1 as soon as any bound is given; where NGOpt resolves
to MetaModel, DiagonalCMA takes its place. Differing from it: steps_left shortens the plan.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from jepa_wm_ros.planning.protocol import Plan, SettingsError
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import PlannerSettings, is_count, require

INVALID_COST = 1e6  # what the library is told in place of NaN or infinity


@dataclass(frozen=True, kw_only=True)
class NevergradSettings(PlannerSettings):
    """Settings of Nevergrad. optimizer: a name of nevergrad's registry."""

    num_samples: int = 300
    optimizer: str = 'NGOpt'

    def __post_init__(self):
        super().__post_init__()
        require(is_count(self.num_samples, 1), 'num_samples', self.num_samples, 'an integer >= 1')


class Nevergrad(SearchPlanner[NevergradSettings]):
    """Ask for a batch, score it, tell it."""

    def _search(self, search: Search) -> Plan:
        if search.draw is not None:
            raise SettingsError('nevergrad draws its own random numbers: drop `draw`')
        s = self.settings
        free = (search.bounds > 0).nonzero().flatten().tolist()
        optimizer = self._optimizer(search, free)
        while search.proceed():
            asked = [optimizer.ask() for _ in range(s.num_samples)]
            actions = _actions(search, free, np.stack([a.value for a in asked]))
            costs = search.evaluate(actions)
            told = torch.where(costs.isfinite(), costs, INVALID_COST).tolist()
            for candidate, value in zip(asked, told, strict=True):
                optimizer.tell(candidate, value)
            search.report(actions, costs, search.best_actions, None)
        if not search.iterations:
            return search.finish()
        answer = optimizer.provide_recommendation().value
        return search.finish(_actions(search, free, answer[None])[0])

    def _optimizer(self, search: Search, free: list[int]):
        import nevergrad as ng

        s = self.settings
        array = ng.p.Array(init=search.start()[:, free].double().cpu().numpy())
        if s.max_norms is not None:
            bound = search.bounds[free].cpu().numpy().astype(np.float64)
            bound = np.tile(np.where(np.isinf(bound), 1.0, bound), (search.horizon, 1))
            with warnings.catch_warnings():  # it advises wider bounds; ours are the arm's
                warnings.simplefilter('ignore', ng.errors.NevergradRuntimeWarning)
                array.set_bounds(-bound, bound)
        array.random_state = np.random.RandomState(search.seed % 2**32)

        def make(name):
            return ng.optimizers.registry[name](
                parametrization=array,
                budget=s.iterations * s.num_samples,
                num_workers=s.num_samples,
            )

        if s.optimizer not in ng.optimizers.registry:
            raise SettingsError(
                f'planner setting optimizer={s.optimizer!r} is not in nevergrad '
                f'{ng.__version__}; try NGOpt, DiagonalCMA, CMA, DE, PSO or OnePlusOne'
            )
        optimizer = make(s.optimizer)
        chosen = getattr(optimizer, 'optim', None)
        if s.optimizer.startswith('NGOpt') and getattr(chosen, 'name', None) == 'MetaModel':
            optimizer = make('DiagonalCMA')
        if search.warm:
            optimizer.suggest(array.value)
        return optimizer


def _actions(search: Search, free: list[int], values: np.ndarray) -> torch.Tensor:
    """Action sequences (N, H, A) of the library's values (N, H, F) of the free dimensions."""
    actions = torch.zeros(len(values), search.horizon, search.action_dim, dtype=search.dtype)
    actions[:, :, free] = torch.from_numpy(values).to(search.dtype)
    return search.clip(actions.to(search.device))
