# SPDX-License-Identifier: Apache-2.0
"""What is wrong with episodes of an arm before anything is learnt from them: units, axes, cameras.

Each question has an answer that a person can act on, with the time in the episode. Episodes of
other worlds than an arm's (proprioception and actions that are no pose7) are asked about their
pictures and stamps alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from jepa_wm_ros.actions import DIM, POSITION, ROTATION, actions_between
from jepa_wm_ros.recordings.cameras import Views
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource

FARTHEST = 3.0  # m of a hand from its base; beyond it lies millimetres
WIDEST = 2 * np.pi + 0.1  # rad; beyond it lie degrees
LONGEST_STEP = 0.5  # m of a model step
AGAINST = -0.5  # correlation of what was commanded and what came of it: an axis is mirrored
FEW = 5  # steps along an axis to judge it by
MOVES = 0.005  # m of such a step
TOGETHER, MAGNIFIED = 0.5, 30.0  # correlation, and ratio: what was commanded has another unit
JUMP, SUDDEN = 20.0, 6.0  # grey levels, and times the median change from picture to picture
FROZEN = 0.05  # grey levels: pictures that are the same though the hand moves
SLOW = 5.0  # times the usual step; with strokes of the gripper and steps tried again, 2.5 is usual


def wrong_in(source: EpisodeSource) -> Iterator[tuple[int, str]]:
    """What is wrong with the episodes of a set: the number of one, and a line that says where and
    what; at the end the numbers from which on another camera was looked through.

    Memory does not grow with the set but for some numbers of each episode.
    """
    from tqdm import trange

    views = Views()
    for number in trange(len(source), desc='check', unit='episode', leave=False, disable=None):
        try:
            episode = source[number]
            episode = replace(episode, frames=np.asarray(episode.frames[:]))  # read once
            said = complaints(episode)
            views.add(number, episode.frames)
        except EpisodeError as error:
            said = [str(error)]
        for line in said:
            yield number, _placed(source, number, line)
    for number in views.changes():
        yield (
            number,
            _placed(
                source,
                number,
                'from here on the pictures are others than before: another camera, one that was '
                'moved, or two recordings in one',
            ),
        )


def _placed(source: EpisodeSource, number: int, line: str) -> str:
    where = source.where(number)
    return line if where in line else f'{where}: {line}'


def complaints(episode: Episode) -> list[str]:
    """What is wrong with an episode, one line each; none when nothing is."""
    return [*_of_numbers(episode), *_of_stamps(episode), *_of_pictures(episode)]


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
    return [*said, *_of_commands(episode, actions_between(poses.astype(np.float64)))]


def _of_commands(episode: Episode, done: np.ndarray) -> list[str]:
    """What is wrong with the actions (T, 7) beside those that were `done`."""
    said = []
    for part, most, what in (
        (POSITION, FARTHEST, 'translation of {:.4g} is commanded: metres, not millimetres'),
        (ROTATION, WIDEST, 'turn of {:.4g} is commanded: radians, not degrees'),
    ):
        told = np.abs(episode.actions[:, part]).max(axis=1)
        if told.max() > most or _magnified(episode.actions[:, part], done[:, part]):
            at = _time(episode, told == told.max())
            said.append(f'at {at} a {what.format(told.max())}')
    for axis, name in enumerate('xyz'):
        told, came = episode.actions[:, axis], done[:, axis]
        long = np.abs(told) > MOVES
        if long.sum() >= FEW and np.ptp(came) > 0 and np.corrcoef(told, came)[0, 1] < AGAINST:
            against = long & (told * came < 0)
            said.append(
                f'at {_time(episode, against)} and in {against.sum()} of {long.sum()} steps the '
                f'hand goes against its commands along {name}: the axis is mirrored'
            )
    return said


def _magnified(told: np.ndarray, came: np.ndarray) -> bool:
    """Whether commands (T, n) are what came of them in another unit."""
    told, came = (values - values.mean(axis=0) for values in (told, came))
    size, way = np.linalg.norm(told), np.linalg.norm(came)
    alike = (told * came).sum() > TOGETHER * size * way > 0
    return bool(alike and size > MAGNIFIED * way and np.abs(told).max() > MOVES)


def _of_stamps(episode: Episode) -> list[str]:
    """`explore` tells when each picture was taken; its steps take as long as the arm needs."""
    stamps = episode.extras.get('seconds')
    if stamps is None or stamps.size != episode.steps + 1:
        return []
    stamps = stamps.ravel()
    steps = np.diff(stamps)
    usual = max(1 / episode.fps, float(np.median(steps)))
    odd = (steps > SLOW * usual) | (steps < 0)
    if not odd.any():
        return []
    before, after = stamps[odd.argmax() :][:2]
    return [f'after {before:.2f} s comes {after:.2f} s, where a step takes {usual:.2f} s: a gap']


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
        still = (way > MOVES) & (changes < FROZEN)
        if len(changes) >= FEW and (way > MOVES).mean() > 0.5 and np.median(changes) < FROZEN:
            return [
                f'at {_time(episode, still)} the pictures stay the same while the hand moves: the '
                'camera is frozen'
            ]
    return []


def _time(episode: Episode, where: np.ndarray) -> str:
    return f'{int(np.argmax(where)) / episode.fps:.2f} s'
