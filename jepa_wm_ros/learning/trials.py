# SPDX-License-Identifier: Apache-2.0
"""How well a model reaches while it is being trained: closed-loop trials in the simulated cell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.evaluation.closed_loop.table import NEAR_CM
from jepa_wm_ros.evaluation.closed_loop.trials import Policy, run_trial
from jepa_wm_ros.planning import load_profile
from jepa_wm_ros.world_model import WorldModel

FIRST_SEED = 60_000  # of the tasks, which no table is made of
STEPS = 10


@contextlib.contextmanager
def trials(model: WorldModel, number: int, count: int) -> Iterator[Callable[[], dict[str, float]]]:
    """A function that lets a model reach `count` goals in cell `number`, always the same: the share
    within 4 cm and the median distance after all steps.
    """
    from jepa_wm_ros.sim.design import cell_design
    from jepa_wm_ros.sim.direct import DirectCell
    from jepa_wm_ros.tasks.cell import ReachCell

    policy = Policy.planned('', ModelSession(model), load_profile('cell'))
    with DirectCell(design=cell_design(number)) as cell:
        task = ReachCell(cell)

        def measure() -> dict[str, float]:
            ran = [run_trial(task, policy, FIRST_SEED + i, STEPS) for i in range(count)]
            cm = 100 * np.array([trial.final for trial in ran])
            return {'reached': float((cm <= NEAR_CM).mean()), 'median_cm': float(np.median(cm))}

        yield measure


def score(measured: dict[str, float]) -> tuple[float, float]:
    """What the best round has the most of."""
    return measured['reached'], -measured['median_cm']
