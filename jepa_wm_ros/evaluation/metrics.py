# SPDX-License-Identifier: Apache-2.0
"""The paper's offline numbers: Action Score and its companions, with bootstrap intervals.

Everything here is arithmetic on arrays. Source: arXiv 2512.24497 (DROID evaluation),
doc/reference/models.md section 4.9: the error of one clip compares the *summed* planned actions
with the *summed* expert actions, the error of a model is the mean over clips, and only that mean is
turned into a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION
from jepa_wm_ros.errors import JepaWmError

SCORE_MAX = 80.0
_SCORE_SLOPE = 800.0
_SCORE_ZERO = 0.1  # mean position error that scores 0 [m]


@dataclass(frozen=True, slots=True)
class ActionErrors:
    """How far the planned actions of one clip end from the expert's.

    xyz: sum over x, y, z of |sum_t planned - sum_t expert| [m]. orientation: the same over the
    Euler deltas [rad]. closure: the same for the gripper.
    """

    xyz: float
    orientation: float
    closure: float

    @property
    def total(self) -> float:
        """Sum of the three, the paper's `ep_end_dist` (mixed units)."""
        return self.xyz + self.orientation + self.closure


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its bootstrap percentile interval."""

    value: float
    low: float
    high: float


def action_errors(planned: np.ndarray, expert: np.ndarray) -> ActionErrors:
    """Errors of planned actions (H, 7) against expert actions (H, 7), both in physical units."""
    if planned.shape != expert.shape or planned.ndim != 2 or planned.shape[1] != 7:
        raise JepaWmError(
            f'planned {planned.shape} and expert {expert.shape} actions must both '
            'be (H, 7): plan with the horizon of the clip'
        )
    gap = np.abs(planned.astype(np.float64).sum(0) - expert.astype(np.float64).sum(0))
    return ActionErrors(float(gap[POSITION].sum()), float(gap[ROTATION].sum()), float(gap[GRIPPER]))


def action_score(errors_xyz: np.ndarray) -> float:
    """Action Score, 0 to 80, of the position errors (N,) [m] of all clips of one model.

    max(0, 800 (0.1 - E)) with E the mean over clips: averaged first, clipped once.
    """
    mean = float(np.mean(np.asarray(errors_xyz, np.float64)))
    return max(0.0, _SCORE_SLOPE * (_SCORE_ZERO - mean))


def bootstrap(
    statistic: Callable[..., float],
    *samples: np.ndarray,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """`statistic(*samples)` with its percentile interval over clips.

    The first axis of every sample is the clip. Several samples are resampled with the *same*
    clips, so a statistic of two of them is a paired comparison. One clip has no interval: its
    bounds are NaN.
    """
    count = len(samples[0])
    if count == 0 or any(len(sample) != count for sample in samples):
        raise JepaWmError('bootstrap needs at least one clip and equally many in each sample')
    value = statistic(*samples)
    if count == 1:
        return Interval(value, float('nan'), float('nan'))
    rng = np.random.default_rng(seed)
    draws = np.array(
        [
            statistic(*(sample[chosen] for sample in samples))
            for chosen in rng.integers(0, count, (resamples, count))
        ]
    )
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def score_interval(errors_xyz: np.ndarray, **options) -> Interval:
    """Action Score of position errors (N,) [m] with its bootstrap interval."""
    return bootstrap(action_score, np.asarray(errors_xyz, np.float64), **options)


def mean_interval(values: np.ndarray, **options) -> Interval:
    """Mean of one number per clip (N,) with its bootstrap interval."""
    return bootstrap(
        lambda sample: float(np.mean(sample)), np.asarray(values, np.float64), **options
    )


def score_difference(first_xyz: np.ndarray, second_xyz: np.ndarray, **options) -> Interval:
    """Action Score of the first minus that of the second, on the same clips (N,), paired."""
    return bootstrap(
        lambda a, b: action_score(a) - action_score(b),
        np.asarray(first_xyz, np.float64),
        np.asarray(second_xyz, np.float64),
        **options,
    )


def mean_difference(first: np.ndarray, second: np.ndarray, **options) -> Interval:
    """Mean of the first minus mean of the second, on the same clips (N,), paired."""
    return bootstrap(
        lambda a, b: float(np.mean(a - b)),
        np.asarray(first, np.float64),
        np.asarray(second, np.float64),
        **options,
    )
