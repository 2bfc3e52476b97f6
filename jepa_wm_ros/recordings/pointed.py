# SPDX-License-Identifier: Apache-2.0
"""Where a thing on the table lies that somebody has pointed at, with nothing that could see it."""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.actions import GRIPPER, POSITION, ROTATION
from jepa_wm_ros.recordings.skills import CLOSED, NEAR

LOW = 0.05  # m above the thing's middle, below which a hand that passes takes it along
BESIDE = 0.04  # m, from its middle to the way of a hand that takes it along
BEFORE = 0.035  # m, from such a hand to the middle of what it pushes
BETWEEN = 0.02  # m, from the middle between open fingers, which pass a thing on both sides
FORGOTTEN = 4  # grasps in a row that found nothing: it does not lie where it was said to


class Pointed:
    """Follows a thing (place (3,) [m] and yaw [rad]) by what the hand does with it: held, it is
    where the hand is, let go of, it lies below, and pushed, it lies before the hand.
    """

    def __init__(self, place: np.ndarray, empty: float) -> None:
        """empty: measured closure above which closed fingers have nothing between them."""
        self._place = np.array(place, dtype=float)
        self._height, self._empty = float(self._place[2]), empty
        self.held = False
        self._told = False  # to close, at the step before
        self._hand: np.ndarray | None = None  # (3,), at the step before
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
            self._push(pose)
        self._hand = pose[POSITION].copy()
        return None if self.lost else self.place

    def _push(self, pose: np.ndarray) -> None:
        """Lay it before a hand of measured pose7 that went through where it lay, low and level."""
        hand = pose[POSITION]
        if self._hand is None or max(hand[2], self._hand[2]) > self._height + LOW:
            return
        way = hand[:2] - self._hand[:2]
        length = float(np.linalg.norm(way))
        if length <= abs(hand[2] - self._hand[2]):
            return
        apart = np.array([self._hand[:2], hand[:2]]) - self._place[:2]
        if pose[GRIPPER] < CLOSED and np.all(np.abs(apart @ _finger_axis(pose)) < BETWEEN):
            return
        along = float(-apart[0] @ way) / length
        nearest = self._hand[:2] + min(along, length) * way / length
        met = np.linalg.norm(self._place[:2] - nearest) < BESIDE
        if met and 0.0 < along < length + BEFORE:
            self._place[:2] = hand[:2] + BEFORE * way / length


def _finger_axis(pose: np.ndarray) -> np.ndarray:
    """Direction (2,) on the table in which the fingers of an upright hand at pose7 are apart: the
    hand's own y.
    """
    yaw = float(pose[ROTATION][2])
    return np.array([np.sin(yaw), -np.cos(yaw)])
