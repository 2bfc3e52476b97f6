# SPDX-License-Identifier: Apache-2.0
"""Deciders without a model: the floor and the ceiling of every closed loop with an arm."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepa_wm_ros.actions import DIM, POSITION
from jepa_wm_ros.control.one_step import OneStep
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.planning.mpc import proposed
from jepa_wm_ros.tasks.cell import ReachCell


class NoMotion(OneStep):
    """Stands still: the floor."""

    def action(self, cost: Any) -> np.ndarray:
        """A translation and nothing else."""
        action = np.zeros(DIM)
        action[POSITION] = self.translation()
        return action

    def translation(self) -> np.ndarray:
        """What to move by (3,) [m]."""
        return np.zeros(3)


class RandomActions(NoMotion):
    """Translations in a uniform direction, of a length uniform up to the limit of a step."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 3])

    def translation(self) -> np.ndarray:
        """The next draw (3,) [m]."""
        direction = self._rng.normal(size=3)
        return direction / np.linalg.norm(direction) * self._rng.uniform(0, FR3.max_step)


class Cloned(OneStep):
    """Does what usually led from here to there: the model's proposal and no search, which is
    goal-conditioned behaviour cloning on the same latents.
    """

    def action(self, cost: Any) -> np.ndarray:
        """The first action proposed. Raises SettingsError for a model without that head."""
        return proposed(cost)[0].double().numpy()


class StraightLine(NoMotion):
    """Knows the goal pose: the ceiling. The envelope makes steps of its way."""

    def __init__(self, task: ReachCell) -> None:
        self._task = task

    def translation(self) -> np.ndarray:
        """All that is left (3,) [m]."""
        _, pose = self._task.observe()
        return (self._task.goal - pose)[POSITION]
