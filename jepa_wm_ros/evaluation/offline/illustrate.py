# SPDX-License-Identifier: Apache-2.0
"""Pictures for a report: filmstrips of a few clips, and counterfactual rollouts.

Counterfactuals are the paper's Figure 2 (arXiv 2512.24497): two hard-coded action sequences that
differ in the gripper alone, imagined from the same frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import DIM, GRIPPER
from jepa_wm_ros.evaluation.offline.pictures import Gallery, square
from jepa_wm_ros.evaluation.offline.rows import EXPERT, Row
from jepa_wm_ros.evaluation.offline.runner import EvaluationPlan, Recording, bag_label, load_trials
from jepa_wm_ros.evaluation.offline.summary import short
from jepa_wm_ros.evaluation.offline.trial import ClipTrial
from jepa_wm_ros.world_model import Latents

SIDE = 128  # of a picture in a strip [px]
GALLERY = 96  # recorded frames to choose the nearest from
COUNTERFACTUAL_STEPS = 5
UP = 0.05  # m per step
STROKE = 0.5  # gripper closure per step
WAYS = {'open and up': -1, 'close and up': 1}  # what the gripper does


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of pictures with a caption each; `title` says which clip and model."""

    title: str
    rows: list[tuple[str, np.ndarray]]  # caption, picture (SIDE, n * SIDE, 3)


@dataclass(frozen=True, slots=True)
class Illustrations:
    """Strips, counterfactuals, and notes on how latents became pictures."""

    films: list[Strip]
    counterfactuals: list[Strip]
    notes: list[str]


def counterfactual_actions(stroke: float) -> np.ndarray:
    """Actions (T, 7): the gripper moves by `stroke` per step until it must be done, then the hand
    goes up: one that closes while it goes up grasps nothing.
    """
    actions, strokes = np.zeros((COUNTERFACTUAL_STEPS, DIM)), round(1 / abs(stroke))
    actions[:strokes, GRIPPER], actions[strokes:, 2] = stroke, UP
    return actions


def choose_clips(rows: Sequence[Row], model: str, planner: str) -> list[tuple[str, Row]]:
    """The best, the median and the worst clip of a planner, by position error."""
    mine = sorted(
        (r for r in rows if r.ok and (r.model, r.planner) == (model, planner)),
        key=lambda r: (r.e_xyz, r.key),
    )
    picks = {'best': 0, 'median': len(mine) // 2, 'worst': len(mine) - 1}
    chosen: dict[tuple, tuple[str, Row]] = {}
    for name, index in picks.items():
        if mine:
            chosen.setdefault(mine[index].key, (name, mine[index]))
    return list(chosen.values())


def illustrate(plan: EvaluationPlan, rows: Sequence[Row]) -> Illustrations:
    """Draw strips for every model with its first planner. Reads the bags again."""
    films, counterfactuals, notes = [], [], []
    recordings = {bag_label(recording): recording for recording in plan.recordings}
    for trial in load_trials(plan):
        planner = plan.planners[0]
        chosen = choose_clips(rows, trial.name, planner)
        if not chosen:
            continue
        studio = _studio(trial, recordings[chosen[0][1].bag])
        notes.append(studio.note)
        for name, row in chosen:
            films.append(_film(studio, recordings[row.bag], rows, row, name))
        counterfactuals.append(_counterfactual(studio, recordings[chosen[0][1].bag], chosen[0][1]))
    return Illustrations(films, counterfactuals, notes)


class Studio:
    """Turns rollouts of one model into pictures."""

    def __init__(self, trial: ClipTrial, recorded: Callable[[], Gallery]) -> None:
        """recorded: gives pictures to choose from, asked where the model has no decoder."""
        self.trial = trial
        self._gallery = None
        if trial.model.decoder is None:
            self._gallery = recorded()
            self.note = (
                f'{short(trial.name)} has no picture decoder loaded: imagined pictures '
                'are the recorded frames nearest in latent space, out of '
                f'{len(self._gallery.pictures)}'
            )
        else:
            self.note = (
                f'{short(trial.name)}: imagined pictures are decoded from the predicted latents'
            )

    def strip(self, rollout: Latents, first: np.ndarray) -> np.ndarray:
        """The recorded first frame, then the imagined ones, side by side."""
        if self._gallery is None:
            decoded = self.trial.model.decode(rollout[1:]).cpu().numpy()
            imagined = [square(picture, SIDE) for picture in decoded]
        else:
            imagined = list(self._gallery.nearest(rollout.visual[1:]))
        return beside([square(first, SIDE), *imagined])

    def counterfactuals(self, frame: np.ndarray, pose: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Captions and strips of what is imagined from one frame (H, W, 3) and the pose7 it was
        taken at: the gripper opens, or closes, before the hand goes up.
        """
        context = self.trial.encode(frame, pose)
        return [
            (
                caption,
                self.strip(
                    self.trial.imagine(context, counterfactual_actions(way * STROKE)), frame
                ),
            )
            for caption, way in WAYS.items()
        ]


def spread(count: int) -> np.ndarray:
    """Which of so many recorded frames are in a gallery: at most GALLERY, evenly spread."""
    return np.linspace(0, count - 1, min(GALLERY, count)).astype(int)


def _studio(trial: ClipTrial, recording: Recording) -> Studio:
    return Studio(trial, lambda: _recorded(trial, recording))


def _recorded(trial: ClipTrial, recording: Recording) -> Gallery:
    known = np.flatnonzero(np.isfinite(recording.timeline.poses).all(1))
    chosen = known[spread(len(known))]
    pictures, latents = [], []
    with recording.open() as source:
        for index in chosen.tolist():
            frame = source.read([index])[index]
            if isinstance(frame, np.ndarray):
                pictures.append(square(frame, SIDE))
                latents.append(trial.encode(frame, recording.timeline.poses[index]))
    return Gallery.of(pictures, latents)


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (S, S, 3) in a row, a thin white line between them."""
    line = np.full((pictures[0].shape[0], 3, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, line)]
    return np.concatenate(parts[:-1], axis=1)


def _frames(recording: Recording, number: int) -> list[np.ndarray]:
    clip = recording.clips[number]
    with recording.open() as source:
        pictures = source.read([int(f) for f in clip.frames])
    read = [pictures[int(f)] for f in clip.frames]
    return [picture for picture in read if not isinstance(picture, str)]  # all: the row is ok


def _film(studio: Studio, recording: Recording, rows: Sequence[Row], row: Row, name: str) -> Strip:
    clip, frames = recording.clips[row.clip], _frames(recording, row.clip)
    context = studio.trial.encode(frames[0], clip.poses[0])
    strips = [('recorded: start … goal', beside([square(f, SIDE) for f in frames]))]
    same = [r for r in rows if r.ok and (r.bag, r.clip, r.model) == (row.bag, row.clip, row.model)]
    for planner in dict.fromkeys(r.planner for r in same if r.planner in (EXPERT, row.planner)):
        actions = next(np.array(r.planned).reshape(-1, DIM) for r in same if r.planner == planner)
        strips.append(
            (
                f'imagined: {short(planner)}',
                studio.strip(studio.trial.imagine(context, actions), frames[0]),
            )
        )
    return Strip(
        f'{short(row.model)} / {short(row.planner)}: {name} clip ({row.bag} #{row.clip}, '
        f'position error {row.e_xyz * 100:.1f} cm)',
        strips,
    )


def _counterfactual(studio: Studio, recording: Recording, row: Row) -> Strip:
    frame, pose = _frames(recording, row.clip)[0], recording.clips[row.clip].poses[0]
    title = f'{short(row.model)}: {row.bag} #{row.clip}'
    return Strip(title, studio.counterfactuals(frame, pose))
