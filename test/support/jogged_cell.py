# SPDX-License-Identifier: Apache-2.0
"""The simulated cell's arm making the steps of check_camera, seen by any camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from jepa_wm_ros.evaluation.fit.jogs import jog_actions
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.sim.design import NOMINAL, CellDesign
from jepa_wm_ros.sim.direct import DirectCell

LOW, HIGH = np.array([0.40, -0.20, 0.12]), np.array([0.60, 0.20, 0.34])  # of where steps begin


def jogged(cell: DirectCell, seed: int, steps: int | None = None) -> Episode:
    """The steps, all of them or the first ones, from a place and in a cell that a seed draws."""
    from jepa_wm_ros.sim.variation import cell_of_seed

    at = np.random.default_rng([seed, 3]).uniform(LOW, HIGH)
    frame, pose = cell.reset(np.array([*at, *FR3.hand_down, 0.0]), cell_of_seed(seed, cell.design))
    actions = jog_actions(pose[:3], FR3.workspace_low, FR3.workspace_high)[:steps]
    frames, poses = [frame], [pose]
    for action in actions:
        frame, pose = cell.step(action)
        frames.append(frame)
        poses.append(pose)
    return Episode(
        np.stack(frames), np.stack(poses).astype(np.float32), actions.astype(np.float32), 4.0, seed
    )


def seen_through(episode: Episode, change: Callable[[np.ndarray], np.ndarray]) -> Episode:
    """The episode with its pictures (T, H, W, 3) changed."""
    return dataclasses.replace(episode, frames=np.ascontiguousarray(change(episode.frames)))


def with_camera(position, target, fovy: float = 45.0) -> CellDesign:
    """The cell with its camera elsewhere: position and what it looks at [m], opening angle [°]."""
    return dataclasses.replace(
        NOMINAL,
        camera_position=np.array(position),
        camera_target=np.array(target),
        camera_fovy=np.deg2rad(fovy),
    )
