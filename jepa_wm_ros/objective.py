# SPDX-License-Identifier: Apache-2.0
"""What who plans asks of who scores: which distance counts, and how its numbers are computed.

Profiles (planning/), the request between the nodes (ros/) and the model (world_model/) share these
few words; each is defined here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jepa_wm_ros.errors import FaultCode, JepaWmError

KINDS = ('L2', 'L1', 'cosine')
# plain: direct reading; exact: the same numbers with less work; fast: narrower numbers where that
# gains time; compiled: fast, by torch.compile
MODES = ('plain', 'exact', 'fast', 'compiled')
# What one request may ask for; the paper plans with 300 candidates of 3 to 6 steps.
MOST_CANDIDATES = 1 << 14
MOST_STEPS = 256


class ObjectiveError(JepaWmError):
    """An objective or a mode that no scorer knows."""

    code = FaultCode.BAD_LIMITS


@dataclass(frozen=True, slots=True)
class Objective:
    """How near to the goal a rollout ends (arXiv 2512.24497 section 4).

    kind: 'L2' (mean square), 'L1' (mean absolute) or 'cosine' (negated similarity).
    sum_all: add up every frame of the rollout, the context's included, not only the last.
    alpha: weight of the proprioceptive distance.
    rise: with sum_all, by how much less the first frame weighs than the last, which weighs 1; in
    between it grows evenly. 0 weighs all alike, as published; with 1 a detour, such as standing
    still to close the hand, costs little if it ends well.
    """

    kind: str = 'L2'
    sum_all: bool = False
    alpha: float = 0.0
    rise: float = 0.0

    def __post_init__(self) -> None:
        _check(self.kind in KINDS, 'objective.kind', self.kind, f'choose one of {", ".join(KINDS)}')
        _check(isinstance(self.sum_all, bool), 'objective.sum_all', self.sum_all, 'true or false')
        valid = _number(self.alpha) and self.alpha >= 0
        _check(valid, 'objective.alpha', self.alpha, 'give a number >= 0')
        valid = _number(self.rise) and 0 <= self.rise <= 1 and (self.sum_all or not self.rise)
        _check(valid, 'objective.rise', self.rise, 'give a number from 0 to 1, with sum_all')

    def weights(self, frames: int) -> list[float]:
        """What each of so many frames weighs where all are added up."""
        return [1.0 - self.rise * (frames - 1 - t) / max(frames - 1, 1) for t in range(frames)]


def checked_mode(mode: str) -> str:
    """`mode`, when it is one of MODES; ObjectiveError otherwise."""
    _check(mode in MODES, 'mode', mode, f'choose one of {", ".join(MODES)}')
    return mode


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(valid: bool, name: str, value: object, rule: str) -> None:
    if not valid:
        raise ObjectiveError(f'{name}={value!r} is refused: {rule}')
