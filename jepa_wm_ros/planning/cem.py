# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method as the paper runs it (arXiv 2512.24497, appendix on planning).

Same numbers as the published code given the same noise: candidate 0 is the mean, all candidates
are clipped, elites refit mean and unbiased standard deviation, the answer is the last MEAN.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jepa_wm_ros.planning.gripper import GripperSampling
from jepa_wm_ros.planning.protocol import Plan
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import EliteSettings


@dataclass(frozen=True, kw_only=True)
class CemSettings(EliteSettings):
    """Settings of CEM. gripper: separate treatment of the gripper dimension, off by default."""

    gripper: GripperSampling | None = None


class Cem(SearchPlanner[CemSettings]):
    """mean, std <- elites of mean + std * eps, from (0, var_scale)."""

    def _search(self, search: Search) -> Plan:
        """Noise is drawn once per iteration with shape (H, S, A)."""
        s = self.settings
        if s.gripper is not None:
            return self._search_strokes(search, s.gripper)
        mean, std = search.start(), search.first_std()
        while search.proceed():
            eps = search.normal(search.horizon, s.num_samples, search.action_dim)
            actions = mean + std * eps.transpose(0, 1)
            actions[0] = mean
            actions = search.clip(actions)
            costs = search.evaluate(actions)
            elites, _ = search.finite_elites(actions, costs, s.num_elites)
            mean, std = refit(mean, std, elites, s)
            search.report(actions, costs, mean, std)
        return search.finish(mean)

    def _search_strokes(self, search: Search, gripper: GripperSampling) -> Plan:
        """The same for every stroke of the gripper by itself, (mean, std)_s <- elites with stroke
        s. They share the candidates, and after each iteration the worse half is given up.
        """
        s = self.settings
        strokes = gripper.strokes(search.horizon, search.strokes)
        means = search.start().repeat(len(strokes), 1, 1)
        stds = search.first_std().repeat(len(strokes), 1, 1)
        while search.proceed():
            each = max(2, s.num_samples // len(strokes))
            share = max(2, round(s.num_elites * each / s.num_samples))
            shape = len(strokes), each, search.horizon, search.action_dim
            actions = means[:, None] + stds[:, None] * search.normal(*shape)
            actions[:, 0] = means
            gripper.impose(actions, strokes)
            actions = search.clip(actions)
            costs = search.evaluate(actions.flatten(0, 1)).view(len(strokes), each)
            best, where = costs.topk(share, largest=False)
            for k in range(len(strokes)):
                elites = actions[k, where[k][best[k].isfinite()]]
                if len(elites):
                    means[k], stds[k] = refit(means[k], stds[k], elites, s)
            search.report(actions.flatten(0, 1), costs.flatten(), means[0], stds[0])
            kept = best.mean(1).argsort()[: -(-len(strokes) // 2)]
            strokes, means, stds = strokes[kept.cpu()], means[kept], stds[kept]
        return search.finish(means[0])


def refit(
    mean: Tensor,
    std: Tensor,
    elites: Tensor,
    settings: EliteSettings,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (H, A) after the elites (K, H, A), with the momenta.

    weights: (K,) that sum to 1 in place of equal ones. The standard deviation is unbiased.
    """
    keep_mean, keep_std = settings.momentum_mean, settings.momentum_std
    if len(elites) < 2:  # one finite candidate says nothing about the spread
        return elites[0] * (1 - keep_mean) + mean * keep_mean, std
    if weights is None:
        new_mean, new_std = elites.mean(dim=0), elites.std(dim=0)
    else:
        w = weights[:, None, None]
        new_mean = (w * elites).sum(dim=0)
        variance = (w * (elites - new_mean) ** 2).sum(dim=0) / (1 - weights.square().sum())
        new_std = variance.sqrt()
    return (
        new_mean * (1 - keep_mean) + mean * keep_mean,
        new_std * (1 - keep_std) + std * keep_std,
    )
