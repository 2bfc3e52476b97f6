# SPDX-License-Identifier: Apache-2.0
"""Target: what other nodes ask for: candidates to score, and goals with their limits."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fuzz.mutations import NUMBERS
from fuzz.states import ODD
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.control.requests import candidates_of, check_pictures
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.objective import Objective, checked_mode
from jepa_wm_ros.planning import SettingsError

KINDS = ('L2', 'L1', 'cosine', '', 'l2', '\x00', 'L2' * 100)


class Requests:
    """Every field over all that its type in the message can hold."""

    def __init__(self, folder: Path) -> None:
        del folder

    def prepare(self, rng: np.random.Generator):
        return (_candidates, _pictures, _goal, _objective)[rng.integers(4)](rng)


def _uint32(rng: np.random.Generator, usual: int) -> int:
    return NUMBERS[rng.integers(len(NUMBERS))] & 0xFFFFFFFF if rng.random() < 0.3 else usual


def _candidates(rng: np.random.Generator):
    count, horizon = (int(n) for n in rng.integers(1, 9, 2))
    numbers = count * horizon * 7 + (int(rng.integers(-9, 10)) if rng.random() < 0.3 else 0)
    request = SimpleNamespace(
        candidates=_uint32(rng, count),
        horizon=_uint32(rng, horizon),
        actions=rng.normal(size=max(numbers, 0)).astype(np.float32),
    )

    def read():
        actions = candidates_of(request)
        assert actions.shape[:2] == (request.candidates, request.horizon) and actions.shape[2]

    return read


def _pictures(rng: np.random.Generator):
    sizes = [int(10 ** rng.uniform(0, 9)) for _ in range(rng.integers(0, 300))]
    pictures = [SimpleNamespace(data=range(size)) for size in sizes]
    return lambda: check_pictures(pictures, int(rng.integers(1, 256)))


def _goal(rng: np.random.Generator):
    seconds = int(rng.choice((5, 0, -1, -(1 << 31), (1 << 31) - 1)))
    nanoseconds = _uint32(rng, 0)
    tolerance = float(ODD[rng.integers(len(ODD))])
    steps = [_uint32(rng, 2) for _ in range(rng.integers(0, 4))]
    switch = ('cost', 'steps', 'either')[rng.integers(3)]
    most = _uint32(rng, 30)

    def read():
        limits = Limits(most, seconds + nanoseconds / 1e9, int(rng.integers(0, 9)))
        assert 0 < limits.max_seconds < math.inf and limits.max_steps >= 1
        try:
            goals = GoalSequence(2, switch, tolerance, steps or None)
        except SettingsError as error:
            raise Fault(FaultCode.BAD_LIMITS, str(error)) from None
        for cost in ODD:
            goals.update(cost)
            goals.step()
            assert goals.finished or goals.steps_left >= 0

    return read


def _objective(rng: np.random.Generator):
    kind, mode = KINDS[rng.integers(len(KINDS))], ('exact', '', 'slow')[rng.integers(3)]
    alpha = float(ODD[rng.integers(len(ODD))])

    def read():
        Objective(kind, bool(rng.integers(2)), alpha)
        checked_mode(mode)

    return read
