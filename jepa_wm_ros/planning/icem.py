# SPDX-License-Identifier: Apache-2.0
"""iCEM, the sample-efficient cross-entropy method (Pinneri et al. 2020, arXiv 2008.06389).

Against CEM: noise coloured along the horizon, a population that shrinks, elites kept between
iterations and, shifted, between plans, the mean as a candidate of the last iteration, and the
best candidate as the answer. The context is frozen, so kept elites keep their cost and are not
scored again.

Two additions from evolution strategies let small populations go on where the method as published
stalls: noise comes in mirrored pairs (Brockhoff et al. 2010), and elites count by the logarithm
of their rank (Hansen, arXiv 1604.00772, section 2.2).

A few iterations of it find a valley; then the best elites are led down by the gradient of the cost
(descent.py), which takes far fewer evaluations than going on with samples. Since that is quick,
there is time for a second round from nothing, in case the valley was the wrong one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.planning.cem import refit
from jepa_wm_ros.planning.descent import descend
from jepa_wm_ros.planning.protocol import Plan
from jepa_wm_ros.planning.search import Search, SearchPlanner
from jepa_wm_ros.planning.settings import EliteSettings, is_count, is_number, require


@dataclass(frozen=True, kw_only=True)
class IcemSettings(EliteSettings):
    """Settings of iCEM.

    iterations: of sampling, in each round; noise_beta: power spectrum f^-beta along the horizon
    (0: white); decay: factor by which the population shrinks per iteration (not below
    2 x num_elites); keep_fraction: share of the elites that stay in the pool; warm_scale: factor
    on var_scale at the steps a warm start has planned; descents: elites that each round leads
    down (0: sampling alone), for at most descent_steps iterations; rounds: searches, of which the
    first goes on from the warm start and the others begin at zero.
    """

    iterations: int = 5
    num_samples: int = 24
    num_elites: int = 8
    momentum_std: float = 0.7
    warm_start: bool | str = True
    noise_beta: float = 1.0
    decay: float = 1.25
    keep_fraction: float = 0.3
    warm_scale: float = 0.2
    descents: int = 1
    descent_steps: int = 40
    rounds: int = 2

    def __post_init__(self):
        super().__post_init__()
        require(
            is_number(self.noise_beta) and self.noise_beta >= 0,
            'noise_beta',
            self.noise_beta,
            'a number >= 0',
        )
        require(is_number(self.decay) and self.decay >= 1, 'decay', self.decay, 'a number >= 1')
        require(
            is_number(self.keep_fraction) and 0 <= self.keep_fraction <= 1,
            'keep_fraction',
            self.keep_fraction,
            'a number from 0 to 1',
        )
        require(
            is_number(self.warm_scale) and self.warm_scale > 0,
            'warm_scale',
            self.warm_scale,
            'a number > 0',
        )
        require(
            is_count(self.descents, 0) and self.descents <= self.num_elites,
            'descents',
            self.descents,
            f'an integer from 0 to {self.num_elites} elites',
        )
        require(
            is_count(self.descent_steps, 1), 'descent_steps', self.descent_steps, 'an integer >= 1'
        )
        require(is_count(self.rounds, 1), 'rounds', self.rounds, 'an integer >= 1')

    @property
    def planned_iterations(self) -> int:
        """Iterations of a plan that is not cut short, at most."""
        return self.rounds * (self.iterations + (self.descent_steps if self.descents else 0))

    def population(self, iteration: int) -> int:
        """Candidates drawn in sampling iteration 1, 2, ... of a round."""
        shrunk = round(self.num_samples * self.decay ** (1 - iteration))
        return max(shrunk, min(2 * self.num_elites, self.num_samples))


class Icem(SearchPlanner[IcemSettings]):
    """CEM with a memory, then down the slope from what it found."""

    def _search(self, search: Search) -> Plan:
        """White noise is drawn once per sampling iteration, shape (H, S/2, A). A cost function
        without a gradient is searched by sampling alone.
        """
        s = self.settings
        descents = s.descents if hasattr(search.cost, 'gradient') else 0
        ends_and_elites: list[Tensor] = []
        their_costs: list[Tensor] = []
        for number in range(s.rounds):
            elites, elite_costs = self._sample(search, warm=search.warm and number == 0)
            ends, end_costs = descend(search, elites[:descents], s.descent_steps)
            ends_and_elites += [ends, elites]
            their_costs += [end_costs, elite_costs]
        found, costs = torch.cat(ends_and_elites), torch.cat(their_costs)
        best = costs.topk(min(s.num_elites, len(costs)), largest=False).indices
        return search.finish(elites=found[best])

    def _sample(self, search: Search, warm: bool) -> tuple[Tensor, Tensor]:
        """Elites (K, H, A) of one round's sampling and their costs (K,), best first."""
        s = self.settings
        mean, std = search.start(), search.first_std()
        if warm:  # a step that stands still is not a planned one: it is searched in full
            planned = mean.any(dim=1, keepdim=True)
            std = torch.where(planned, s.warm_scale * std, std)
        else:
            mean = torch.zeros_like(mean)
        kept = elites = mean.new_empty(0, *mean.shape)
        kept_costs = elite_costs = mean.new_empty(0)
        for iteration in range(1, s.iterations + 1):
            if not search.proceed():
                break
            fresh = self._candidates(search, mean, std, iteration)
            if warm and iteration == 1:
                fresh = torch.cat([fresh, search.warm_candidates()])
            costs = search.evaluate(fresh)
            pool, pool_costs = torch.cat([fresh, kept]), torch.cat([costs, kept_costs])
            elites, elite_costs = search.finite_elites(pool, pool_costs, s.num_elites)
            mean, std = refit(mean, std, elites, s, rank_weights(elites))
            keep = round(s.keep_fraction * len(elites))
            kept, kept_costs = elites[:keep], elite_costs[:keep]
            search.report(fresh, costs, mean, std)
        return elites, elite_costs

    def _candidates(self, search: Search, mean: Tensor, std: Tensor, iteration: int) -> Tensor:
        """New candidates (N, H, A); the mean is one of them in the first and last iteration."""
        s = self.settings
        count = s.population(iteration)
        white = search.normal(search.horizon, (count + 1) // 2, search.action_dim)
        noise = coloured(white, s.noise_beta).transpose(0, 1)
        actions = mean + std * torch.cat([noise, -noise])[:count]
        if iteration in (1, s.iterations):
            actions[0] = mean
        return search.clip(actions)


def rank_weights(elites: Tensor) -> Tensor:
    """Weights (K,) of elites (K, ...) given best first: log(K + 1/2) - log(rank), summing to 1."""
    ranks = torch.arange(1, len(elites) + 1, device=elites.device, dtype=elites.dtype)
    weights = math.log(len(elites) + 0.5) - ranks.log()
    return weights / weights.sum()


def coloured(white: Tensor, beta: float) -> Tensor:
    """Noise of white noise (H, ...) with the power spectrum f^-beta along H, unit variance.

    The amplitudes of the real Fourier transform along H are scaled by f^(-beta/2) (Timmer &
    Koenig 1995), frequency 0 like the lowest other one, so that the noise keeps an offset.
    """
    length = white.shape[0]
    if beta == 0 or length == 1:
        return white
    frequency = torch.fft.rfftfreq(length, device=white.device, dtype=white.dtype)
    frequency[0] = frequency[1]
    amplitude = frequency ** (-beta / 2)
    bins = torch.full_like(amplitude, 2.0)  # each stands for two frequencies, but
    bins[0] = 1.0  # the offset and, at even H, the last one do not
    if length % 2 == 0:
        bins[-1] = 1.0
    amplitude = amplitude * (length / (bins * amplitude**2).sum()).sqrt()
    shape = (-1, *[1] * (white.ndim - 1))
    spectrum = torch.fft.rfft(white, dim=0) * amplitude.reshape(shape)
    return torch.fft.irfft(spectrum, n=length, dim=0)
