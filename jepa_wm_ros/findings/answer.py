# SPDX-License-Identifier: Apache-2.0
"""What was found of a question: shares with their intervals, and a word about the paper's answer.

The rule of that word. The paper's answer is a list of claims, one variant above another. Both did
the same tasks with the same seeds, so that the episodes in which only one of them succeeded tell. A
claim is *agreed* with when more of those are the claimed one's than chance would have it (McNemar's
exact test, 5 %, over all seeds), and so it is in each seed; it is *disagreed* with when all that is
so the other way round. Nothing else can be told, nor where a seed is missing or there is only one:
the test takes episodes for independent and knows nothing of what a seed's training does, so the
seeds have to say the same one by one. The answer `disagrees` with the paper when one claim does,
`agrees` when all do, and else one `cannot tell`: no difference is never agreed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jepa_wm_ros.evaluation.walks import interval
from jepa_wm_ros.findings.questions import Question

Found = dict[str, list[dict[str, Any]]]  # figures of the runs of each variant, see runs.Run
AGREES, DISAGREES, CANNOT_TELL = 'agrees', 'disagrees', 'cannot tell'
LEAST_SEEDS = 2
CHANCE = 0.05  # what may be by chance


@dataclass(frozen=True, slots=True)
class Share:
    """Successes of a variant.

    mean       of all episodes of all seeds, between low and high with 95 % (Wilson's interval)
    spread     standard deviation over seeds (of n - 1; NaN for one seed)
    """

    mean: float
    low: float
    high: float
    spread: float
    seeds: int
    episodes: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Answer:
    """A question in one world, as far as it is answered.

    tolerance   distance from the goal that counts as success, in the world's unit
    seeds       those that were asked for
    needs       by the names of the variants that cannot be run: the file each would need
    beside      by their names: figures of who needs no model, in the same tasks (world_rows.row)
    """

    question: Question
    world: str
    tolerance: float
    seeds: Sequence[int]
    found: Found
    needs: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def share(self, name: str) -> Share | None:
        """What a variant reached; None where no run of it has ended."""
        figures = self.found.get(name)
        if not figures:
            return None
        shares = [one['success'] for one in figures]
        episodes = sum(len(one['ends']) for one in figures)
        successes = sum(round(one['success'] * len(one['ends'])) for one in figures)
        return Share(
            successes / episodes,
            *interval(successes, episodes),
            float(np.std(shares, ddof=1)) if len(shares) > 1 else np.nan,
            len(shares),
            episodes,
        )

    def per_plan(self, name: str) -> tuple[float, float]:
        """Candidates scored for a plan of a variant that has run, and milliseconds that it took:
        means over seeds of medians.
        """
        budgets = [one['budget'] for one in self.found[name]]
        evaluations, ms = (
            float(np.mean([budget[key] for budget in budgets])) for key in ('evaluations', 'ms')
        )
        return evaluations, ms

    def verdict(self) -> str:
        """AGREES, DISAGREES or CANNOT_TELL, by the rule above."""
        said = [word for _, _, word in self.claims()]
        if DISAGREES in said:
            return DISAGREES
        return AGREES if said and set(said) == {AGREES} else CANNOT_TELL

    def claims(self) -> list[tuple[str, str, str]]:
        """Each claim, which is above and which below, with the word about it."""
        return [(*claim, self._judged(*claim)) for claim in self.question.claims]

    def _judged(self, better: str, worse: str) -> str:
        from scipy.stats import binomtest

        above, below = self._by_seed(better), self._by_seed(worse)
        paired = set(self.seeds) <= above.keys() & below.keys()
        if not paired or len(self.seeds) < LEAST_SEEDS:
            return CANNOT_TELL
        alone = np.array(
            [
                (np.sum(above[seed] & ~below[seed]), np.sum(below[seed] & ~above[seed]))
                for seed in self.seeds
            ]
        )
        ones, others = (int(number) for number in alone.sum(0))
        if ones == others or binomtest(ones, ones + others).pvalue >= CHANCE:
            return CANNOT_TELL
        if (alone[:, 0] > alone[:, 1]).all():
            return AGREES
        return DISAGREES if (alone[:, 0] < alone[:, 1]).all() else CANNOT_TELL

    def _by_seed(self, name: str) -> dict[int, np.ndarray]:
        """In which episodes of each seed a variant succeeded."""
        return {
            one['seed']: np.array(one['ends']) < self.tolerance for one in self.found.get(name, [])
        }
