# SPDX-License-Identifier: Apache-2.0
"""What may be otherwise than a task with the cube supposes, drawn from its seed.

`moved` and `taken` happen while the arm approaches, and no goal picture knows of them; `colour` and
`second` are in the pictures too, and no training has seen them; of `far` the last picture shows a
cube that the arm cannot bring there.
"""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np

from jepa_wm_ros.sim.design import NOMINAL, CellDesign
from jepa_wm_ros.sim.manipulation import HIGH, LOW
from jepa_wm_ros.sim.variation import CellState

CHANGES = ('moved', 'taken', 'colour', 'second', 'far')
AFTER = 2  # steps of the arm until what happens has happened
MOVED = (0.06, 0.10)  # m
CLEAR = 0.08  # m, horizontally from the hand
AWAY = np.array([-0.6, 0.0])  # behind the table, from where it falls
FAR = np.array([0.5, 0.34])  # on the table, out of the workspace
SECOND = np.array([0.62, -0.20])  # where a second thing stands
NEVER = 0.15  # least difference of a hue from the usual one


def design_of(change: str) -> CellDesign:
    """The cell in which a change can happen."""
    second = SECOND if change == 'second' else None
    return dataclasses.replace(NOMINAL, second=second)


def recoloured(cell: CellState, seed: int) -> CellState:
    """The same cell with a cube of another hue."""
    rng = np.random.default_rng([seed, 7])
    hue, saturation, value = colorsys.rgb_to_hsv(*cell.appearance.cube[:3])
    hue = (hue + rng.uniform(NEVER, 1.0 - NEVER)) % 1.0
    cube = np.array([*colorsys.hsv_to_rgb(hue, saturation, value), 1.0])
    return dataclasses.replace(cell, appearance=dataclasses.replace(cell.appearance, cube=cube))


def place_after(change: str, seed: int, cube: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """Where the cube (2,) lies once it was `moved` or `taken`; not under the hand (2,)."""
    if change == 'taken':
        return AWAY
    rng = np.random.default_rng([seed, 6])
    while True:
        angle = rng.uniform(-np.pi, np.pi)
        place = cube + rng.uniform(*MOVED) * np.array([np.cos(angle), np.sin(angle)])
        on_table = ((place > LOW) & (place < HIGH)).all()
        if on_table and np.linalg.norm(place - hand) > CLEAR:
            return place
