# SPDX-License-Identifier: Apache-2.0
"""Is the camera the one the model knows? Judged on what it shows of a few small steps of the arm.

Pictures, poses and actions are taken under one guess after the other at what may be wrong with them
(views.py). Under the right one the model predicts what was seen next better than under any other,
and better than "nothing changes".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from jepa_wm_ros.actions import POSITION
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.seen import SeenSteps
from jepa_wm_ros.evaluation.fit.views import AS_IT_IS, Cause, View, crops, nearby, simple_views
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.world_model import WorldModel

DIRECTIONS = ('+x', '-x', '+y', '-y', '+z', '-z')
DOUBTFUL = 0.35  # of the error of "nothing changes": above it crops are tried too
PREDICTS = 0.7  # of the error of "nothing changes": below it a model is taken to understand
CLEARLY = 0.8  # of the error under another guess
FEWEST_STEPS = 6
FEW = 8  # steps by which crops are compared, of which there are many
SMALLEST_STEP = 0.01  # m
ALONG_AN_AXIS = 0.9  # cosine
STILL = 0.3  # grey levels, mean difference of two pictures


@dataclass(frozen=True, slots=True)
class Confusion:
    """What steps along an axis look like to the model.

    similarity (6, 6): mean cosine of the change that was seen with a step in the direction of a row
    of DIRECTIONS and the change predicted for a step in that of a column; NaN without such steps.
    """

    similarity: np.ndarray

    def seen_as(self, direction: str) -> str:
        """The direction that a step in this one looks like; empty without such steps."""
        row = self.similarity[DIRECTIONS.index(direction)]
        return '' if np.isnan(row).any() else DIRECTIONS[int(row.argmax())]

    @property
    def right(self) -> float:
        """The share of the directions taken that look like themselves; NaN without any."""
        seen = [(d, self.seen_as(d)) for d in DIRECTIONS if self.seen_as(d)]
        return float(np.mean([a == b for a, b in seen])) if seen else float('nan')


@dataclass(frozen=True, slots=True)
class CameraVerdict:
    """What is wrong with camera or frame, if anything.

    view    the guess under which the steps are predicted best; `cause` NOTHING or CAMERA otherwise
    shares  the squared error of the predictions under each guess, of that of "nothing changes"
    steps   how many were judged
    """

    cause: Cause
    view: View
    shares: dict[View, float]
    confusion: Confusion
    steps: int


def judge_camera(
    model: WorldModel,
    episodes: Sequence[Episode],
    on_view: Callable[[View], None] = lambda view: None,
) -> CameraVerdict:
    """Judge camera and frame by the steps of some episodes; `on_view` hears of each guess.

    Raises JepaWmError where there are too few steps, or the model is none of an arm.
    """
    steps = _count(episodes)
    if steps < FEWEST_STEPS:
        raise JepaWmError(
            f'{steps} steps of at least {100 * SMALLEST_STEP:g} cm are too few to judge by: '
            f'{FEWEST_STEPS} are needed'
        )

    def share(view: View, by: Sequence[Episode] = episodes) -> float:
        on_view(view)
        return SeenSteps(model, by, view).error_share()

    confusion = confuse(SeenSteps(model, episodes))
    if _still(episodes):
        shares = {AS_IT_IS: share(AS_IT_IS)}
        return CameraVerdict(Cause.STILL, AS_IT_IS, shares, confusion, steps)
    shares = {view: share(view) for view in simple_views()}
    view = _clearly_best(shares)
    if shares[view] > DOUBTFUL:
        first = _beginning(episodes)
        rough = {view: share(view, first) for view in crops(episodes[0].frames.shape[1:])}
        best = min(rough, key=rough.__getitem__)
        rough |= {view: share(view, first) for view in nearby(best)}
        best = min(rough, key=rough.__getitem__)
        shares[best] = share(best)
        view = _clearly_best(shares)
    cause = view.cause if shares[view] <= PREDICTS else Cause.CAMERA
    return CameraVerdict(cause, view, shares, confusion, steps)


def _clearly_best(shares: dict[View, float]) -> View:
    """The guess with the least error, unless nothing being wrong explains nearly as much."""
    best = min(shares, key=shares.__getitem__)
    return AS_IT_IS if CLEARLY * shares[AS_IT_IS] < shares[best] else best


def _count(episodes: Sequence[Episode]) -> int:
    lengths = [np.linalg.norm(episode.actions[:, POSITION], axis=1) for episode in episodes]
    return sum(int((length >= SMALLEST_STEP).sum()) for length in lengths)


def _beginning(episodes: Sequence[Episode]) -> list[Episode]:
    """The first FEW steps."""
    chosen: list[Episode] = []
    left = FEW
    for episode in episodes:
        if left > 0:
            chosen.append(episode.cut(0, min(left, episode.steps)))
            left -= chosen[-1].steps
    return chosen


def confuse(seen: SeenSteps) -> Confusion:
    """Compare what was seen of the steps along an axis with what is predicted along each."""
    lengths = np.linalg.norm(seen.actions[:, POSITION], axis=1)
    change = seen.observed - seen.start
    still = seen.predicted(np.zeros_like(seen.actions))
    likeness = np.stack(
        [
            F.cosine_similarity(change, seen.predicted(along) - still, dim=1).numpy()
            for along in (_along(seen.actions, lengths, k) for k in range(len(DIRECTIONS)))
        ],
        axis=1,
    )
    rows = []
    for k in range(len(DIRECTIONS)):
        part = seen.actions[:, k // 2] * (1 - 2 * (k % 2))
        chosen = (lengths >= SMALLEST_STEP) & (part >= ALONG_AN_AXIS * lengths)
        rows.append(likeness[chosen].mean(axis=0) if chosen.any() else np.full(6, np.nan))
    return Confusion(np.stack(rows))


def _along(actions: np.ndarray, lengths: np.ndarray, direction: int) -> np.ndarray:
    along = np.zeros_like(actions)
    along[:, direction // 2] = lengths * (1 - 2 * (direction % 2))
    return along


def _still(episodes: Sequence[Episode]) -> bool:
    """Whether most steps change nothing in the picture."""
    changes = [
        np.abs(after.astype(np.int16) - before).mean()
        for episode in episodes
        for before, after in zip(episode.frames[:-1], episode.frames[1:], strict=True)
    ]
    return bool(np.median(changes) < STILL)
