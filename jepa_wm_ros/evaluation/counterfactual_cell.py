# SPDX-License-Identifier: Apache-2.0
"""Question 10, which is answered by looking: two sequences of actions that differ in the gripper
alone, imagined from one picture, beside what the simulated cell then really does (arXiv 2512.24497,
Figure 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepa_wm_ros.evaluation.counterfactual import draw
from jepa_wm_ros.evaluation.offline.illustrate import (
    SIDE,
    WAYS,
    Strip,
    Studio,
    beside,
    counterfactual_actions,
)
from jepa_wm_ros.evaluation.offline.pictures import Gallery, square
from jepa_wm_ros.evaluation.offline.trial import ClipTrial
from jepa_wm_ros.recordings.skills import TABLE
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.manipulation import expert, sample_task
from jepa_wm_ros.world_model import load_world_model

NUMBER, TEXT = 10, 'What does it imagine where only the gripper differs?'
AT_THE_CUBE = 2  # moves of the expert until its open hand is about the cube


@dataclass(frozen=True, slots=True)
class Branch:
    """What became of one sequence of actions: pictures (H, W, 3) and poses (7,) from the start on,
    and how far the cube has risen at the end [m].
    """

    actions: np.ndarray
    frames: list[np.ndarray]
    poses: list[np.ndarray]
    risen: float


def what_happens(seed: int, stroke: float) -> Branch:
    """In the cell of this seed, from an open hand about its cube, with a stroke in one step."""
    task, actions = sample_task('pick_place', seed), counterfactual_actions(stroke)
    with DirectCell(seed, low=TABLE.low) as cell:
        frame, pose = cell.reset(task.start, task.cell)
        for move in expert(task)[:AT_THE_CUBE]:
            frame, pose = cell.move_to(move.pose)
        frames, poses, height = [frame], [pose], cell.cube[2]
        for action in actions:
            frame, pose = cell.step(action)
            frames.append(frame)
            poses.append(pose)
        return Branch(actions, frames, poses, float(cell.cube[2] - height))


def strip(name: str, seed: int) -> Strip:
    """What a model imagines, below what happens. A model without a picture decoder is shown by the
    true pictures nearest in latent space.
    """
    trial = ClipTrial(load_world_model(name), name, [], [1])
    branches = {caption: what_happens(seed, stroke) for caption, stroke in WAYS.items()}

    def true_ones() -> Gallery:
        seen = [pair for b in branches.values() for pair in zip(b.frames, b.poses, strict=True)]
        return Gallery.of(
            [square(frame, SIDE) for frame, _ in seen], [trial.encode(*pair) for pair in seen]
        )

    studio, rows = Studio(trial, true_ones), []
    for caption, branch in branches.items():
        rollout = trial.imagine(trial.encode(branch.frames[0], branch.poses[0]), branch.actions)
        rows.append((caption, beside([square(frame, SIDE) for frame in branch.frames])))
        rows.append(('imagined', studio.strip(rollout, branch.frames[0])))
    return Strip(f'{studio.note}\nabove each row what the cell of seed {seed} really does', rows)


def answer(name: str, seed: int, out: Path) -> Path:
    """Draw it, and say where."""
    path = out / f'cell_{NUMBER}.png'
    draw(strip(name, seed), path)
    return path
