# SPDX-License-Identifier: Apache-2.0
"""How learning rate and weight decay go over the iterations of a stage.

The published ones (arXiv 2512.24497, doc/reference/models.md): `constant` for JEPA-WM and DINO-WM,
with a weight decay that grows along a half cosine; `hold` for V-JEPA-2-AC.
"""

from __future__ import annotations

import math

from jepa_wm_ros.learning.settings import StageSettings


def learning_rate(iteration: int, settings: StageSettings) -> float:
    """The learning rate of an iteration, counted from 0: a linear warm-up, then

    cosine      a half cosine to zero
    constant    as it is
    hold        as it is, and over the last `anneal` iterations linearly to zero
    """
    s = settings
    if iteration < s.warmup:
        share = (iteration + 1) / s.warmup
        return s.learning_rate * (s.warmup_from + (1 - s.warmup_from) * share)
    if s.schedule == 'cosine':
        return s.learning_rate * _half_cosine(_share(iteration, s.warmup, s.iterations))
    if s.schedule == 'hold':
        return s.learning_rate * min(1.0, (s.iterations - iteration) / s.anneal)
    return s.learning_rate


def weight_decay(iteration: int, settings: StageSettings) -> float:
    """The weight decay of an iteration: along a half cosine to `final_weight_decay`, where set."""
    begin, end = settings.weight_decay, settings.final_weight_decay
    if end is None:
        return begin
    return end + (begin - end) * _half_cosine(_share(iteration, 0, settings.iterations))


def _share(iteration: int, first: int, end: int) -> float:
    return min(1.0, (iteration - first) / max(1, end - first))


def _half_cosine(share: float) -> float:
    """From 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * share))
