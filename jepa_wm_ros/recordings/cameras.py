# SPDX-License-Identifier: Apache-2.0
"""Whether a set of episodes was seen by one camera throughout.

The mean picture of an episode shows the cell and, blurred, the arm that moves in it. Those of some
episodes together hardly change along a set; where they do, and stay so, the camera is another one
or was moved. A set of many scenes has many such places: nothing is said of it then.
"""

from __future__ import annotations

import numpy as np

SIDE = 8  # of a mean picture
FEWEST, MOST = 3, 5  # episodes on either side that are looked at together: one odd one is no change
OTHER = 10.0  # grey levels between what is seen before and after
UNUSUAL = (
    3.0  # times the usual; simulated cells have 2 at most, and 4.6 to 6.6 where two are joined
)
SCENES = 2  # changes in a set; one with more is of many scenes


class Views:
    """Mean pictures of episodes in their order: 768 bytes of each are kept."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._views: list[np.ndarray] = []

    def add(self, number: int, frames: np.ndarray) -> None:
        """The next episode: its number in the set and its pictures (n, H, W, 3)."""
        self._numbers.append(number)
        self._views.append(_view(frames))

    def changes(self) -> list[int]:
        """Numbers of the first episodes of another view."""
        views, count = self._views, len(self._views)
        if count < 2 * FEWEST:
            return []
        usual = float(np.median([*map(_apart, views, views[1:])]))
        other, changed = np.zeros(count + 1, bool), np.zeros(count + 1)
        for at in range(FEWEST, count - FEWEST + 1):
            most = min(MOST, at, count - at)
            before, after = views[at - most : at], views[at : at + most]
            # What n episodes show together varies by a root of n less than what one does.
            least = max(OTHER, UNUSUAL * usual / np.sqrt(most))
            other[at] = _apart(np.median(before, axis=0), np.median(after, axis=0)) > least
            changed[at] = _apart(np.mean(before, axis=0), np.mean(after, axis=0)) * np.sqrt(most)
        edges = np.flatnonzero(np.diff(other)) + 1
        runs = [range(begin, end) for begin, end in edges.reshape(-1, 2)]
        found = [self._numbers[max(run, key=changed.__getitem__)] for run in runs]
        return found if len(found) <= SCENES else []


def _view(frames: np.ndarray) -> np.ndarray:
    """The mean picture (SIDE, SIDE, 3) without its mean colour, which is mostly the light's."""
    view = frames.mean(axis=0)
    for _ in range(2):
        length = len(view)
        begins = np.arange(SIDE) * length // SIDE
        counts = np.maximum(np.diff(begins, append=length), 1)
        view = (np.add.reduceat(view, begins) / counts[:, None, None]).swapaxes(0, 1)
    return (view - view.mean(axis=(0, 1))).astype(np.float32)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Grey levels between two views."""
    return float(np.abs(one - other).mean())
