# SPDX-License-Identifier: Apache-2.0
"""Small steps along every axis and back, on the edges of a cube beside the hand.

Every axis is gone along as often as every other, to and fro; no three steps in a row end where they
began, so that a prediction over several of them can be told from "nothing changes".
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.actions import DIM
from jepa_wm_ros.errors import JepaWmError

JOG = 0.05  # m
# Around the cube by its edges: axis, and whether to (1) or fro (-1).
_ROUND = ((0, 1), (1, 1), (0, -1), (2, 1), (0, 1), (1, -1), (0, -1), (2, -1))
COUNT = 3 * len(_ROUND)


def jog_actions(position: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions (COUNT, 7) that lead back to a hand's position (3,) [m] and stay in a box.

    Each axis is gone along towards the middle of the box first. Raises JepaWmError where the hand
    is not in it, or it is too small.
    """
    if (position < low).any() or (position > high).any() or (high - low < 2 * JOG).any():
        raise JepaWmError(
            f'the hand is at {_said(position)} m, outside {_said(low)} to {_said(high)}: bring it '
            'to the middle of the workspace first'
        )
    towards = np.where(position < (low + high) / 2, 1.0, -1.0)
    actions = np.zeros((COUNT, DIM))
    for number in range(COUNT):
        turn, place = divmod(number, len(_ROUND))
        axis, sign = _ROUND[place]
        axis = (axis + turn) % 3
        actions[number, axis] = sign * towards[axis] * JOG
    return actions


def _said(position: np.ndarray) -> list[float]:
    return np.round(position, 3).tolist()
