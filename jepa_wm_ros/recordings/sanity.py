# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an episode of an arm before anything is learnt from it: units, axes, cameras.

Each question has an answer that a person can act on, with the time in the episode. Episodes of
other worlds than an arm's (proprioception and actions that are no pose7) are asked about their
pictures alone.
"""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.actions import DIM, POSITION, ROTATION, actions_between
from jepa_wm_ros.recordings.episode import Episode

FARTHEST = 3.0  # m of a hand from its base; beyond it lies millimetres
WIDEST = 2 * np.pi + 0.1  # rad; beyond it lie degrees
LONGEST_STEP = 0.5  # m of a model step
AGAINST = -0.5  # correlation of what was commanded and what came of it: an axis is mirrored
FEW = 5  # steps along an axis to judge it by
MOVES = 0.005  # m of such a step
JUMP, SUDDEN = 20.0, 6.0  # grey levels, and times the median change from picture to picture
FROZEN = 0.05  # grey levels: pictures that are the same though the hand moves


def complaints(episode: Episode) -> list[str]:
    """What is wrong with an episode, one line each; none when nothing is."""
    return [*_of_numbers(episode), *_of_pictures(episode)]


def _of_numbers(episode: Episode) -> list[str]:
    poses, actions = episode.proprio, episode.actions
    if poses.shape[1] != DIM or actions.shape[1] != DIM:
        return []
    said = []
    far = np.abs(poses[:, POSITION]).max(axis=1)
    if (far > FARTHEST).any():
        said.append(
            f'at {_time(episode, far > FARTHEST)} the hand is {far.max():.4g} from the base: '
            'positions are in metres, not millimetres'
        )
    turned = np.abs(poses[:, ROTATION]).max(axis=1)
    if (turned > WIDEST).any():
        said.append(
            f'at {_time(episode, turned > WIDEST)} the hand is turned by {turned.max():.4g}: '
            'angles are in radians, not degrees'
        )
    if said:
        return said
    steps = np.linalg.norm(np.diff(poses[:, POSITION], axis=0), axis=1)
    if (steps > LONGEST_STEP).any():
        said.append(
            f'at {_time(episode, steps > LONGEST_STEP)} the hand jumps by {steps.max():.2f} m: a '
            'gap, or two recordings in one'
        )
    done = actions_between(poses.astype(np.float64))
    for axis, name in enumerate('xyz'):
        told, came = actions[:, axis], done[:, axis]
        if (np.abs(told) > MOVES).sum() >= FEW and np.ptp(came) > 0:
            if np.corrcoef(told, came)[0, 1] < AGAINST:
                said.append(
                    f'the hand goes against its commands along {name}: the axis is mirrored'
                )
    return said


def _of_pictures(episode: Episode) -> list[str]:
    pictures = np.asarray(episode.frames[:], np.int16)
    changes = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    sudden = (changes > JUMP) & (changes > SUDDEN * np.median(changes))
    if sudden.any():
        return [
            f'at {_time(episode, sudden)} the picture changes at once and altogether: another '
            'camera, or a gap'
        ]
    if episode.proprio.shape[1] == DIM:
        way = np.linalg.norm(np.diff(episode.proprio[:, POSITION], axis=0), axis=1)
        if len(changes) >= FEW and (way > MOVES).mean() > 0.5 and np.median(changes) < FROZEN:
            return ['the pictures stay the same while the hand moves: the camera is frozen']
    return []


def _time(episode: Episode, where: np.ndarray) -> str:
    return f'{int(np.argmax(where)) / episode.fps:.2f} s'
