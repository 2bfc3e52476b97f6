# SPDX-License-Identifier: Apache-2.0
"""Where a thing on the table lies that somebody has pointed at, with nothing that could see it."""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION

CLOSED = 0.5  # commanded closure above which the hand was told to close
NEAR = 0.06  # m, between a hand that closes and the thing it finds
FORGOTTEN = 4  # grasps in a row that found nothing: it does not lie where it was said to


class Pointed:
    """Follows a thing (place (3,) [m] and yaw [rad]) by what the hand does with it: held, it is
    where the hand is, and let go of, it lies below.
    """

    def __init__(self, place: np.ndarray, empty: float) -> None:
        """empty: measured closure above which closed fingers have nothing between them."""
        self._place = np.array(place, dtype=float)
        self._height, self._empty = float(self._place[2]), empty
        self.held = False
        self._told = False  # to close, at the step before
        self._missed = 0

    @property
    def place(self) -> np.ndarray:
        """Where it is (4,) as far as it was followed."""
        return self._place.copy()

    @property
    def lost(self) -> bool:
        """Whether it has been grasped in vain so often that it must lie somewhere else."""
        return self._missed >= FORGOTTEN

    def follow(self, pose: np.ndarray, commanded: np.ndarray) -> np.ndarray | None:
        """Where it is (4,), at measured pose7 and commanded pose7; None once it is lost. Call once
        for each step.
        """
        told = bool(commanded[GRIPPER] > CLOSED)
        found = told and bool(pose[GRIPPER] < self._empty)
        near = float(np.linalg.norm(pose[POSITION] - self._place[:3])) < NEAR
        if told and not self._told and near:
            self._missed = 0 if found else self._missed + 1
        self.held = found and (self.held or (near and not self._told))
        self._told = told
        if self.held:
            self._place[:3] = pose[POSITION]
            self._place[3] = pose[ROTATION][2]
        else:
            self._place[2] = self._height  # it falls
        return None if self.lost else self.place
