# SPDX-License-Identifier: Apache-2.0
"""A set of episodes as one picture: what was seen, where the hand was, what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import DIM, POSITION
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource

STRIPS, PICTURES = 6, 8  # episodes shown, and pictures of each
NAMES = ('x [m]', 'y [m]', 'z [m]', 'roll [rad]', 'pitch [rad]', 'yaw [rad]', 'closure')
PLANES = ((0, 1), (0, 2), (1, 2))


def draw(source: EpisodeSource, path: Path) -> None:
    """Write the picture: filmstrips; places of the hand seen along each axis, and histograms of the
    actions; seconds of each step where they were recorded. Raises EpisodeError for no episode.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    episodes = list(source)
    if not episodes:
        raise EpisodeError('there is no episode to show')
    count = len(source)
    figure = pyplot.figure(figsize=(14, 18), layout='constrained')
    figure.suptitle(
        f'{count} episodes, {sum(e.steps for e in episodes)} steps at {episodes[0].fps:g} steps/s'
    )
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[3, 2.6]).ravel()
    shown = np.linspace(0, count - 1, min(STRIPS, count)).round().astype(int)
    _strips(above, [(number, episodes[number]) for number in shown])
    axes = below.subplots(3, 4).ravel()
    poses = np.concatenate([episode.proprio for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    arm = poses.shape[1] == DIM
    for axis, (first, second) in zip(axes, PLANES, strict=False):
        if arm:
            axis.plot(poses[:, first], poses[:, second], '.', ms=1)
            axis.set(xlabel=NAMES[first], ylabel=NAMES[second], title='where the hand was')
            axis.set_aspect('equal', adjustable='datalim')
    _tempo(axes[3], episodes)
    places = [*axes[4:7], *axes[8:]] if arm else axes[4:]
    for number, axis in zip(range(actions.shape[1]), places, strict=False):
        axis.hist(actions[:, number], bins=50, log=True)
        axis.set(title='actions: ' + (NAMES[number] if arm else str(number)))
    if arm:
        axes[7].hist(np.linalg.norm(actions[:, POSITION], axis=1), bins=50)
        axes[7].set(title='length of a step [m]')
    for axis in axes:
        axis.set_visible(axis.has_data())
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _strips(figure, shown: Sequence[tuple[int, Episode]]) -> None:
    grid = figure.subplots(len(shown), PICTURES, squeeze=False)
    for row, (number, episode) in zip(grid, shown, strict=True):
        at = np.linspace(0, episode.steps, PICTURES).round().astype(int)
        for axis, frame in zip(row, at, strict=True):
            axis.imshow(np.asarray(episode.frames[frame : frame + 1])[0])
            axis.set(xticks=[], yticks=[])
            axis.set_xlabel(f'step {frame}', fontsize=7)
        row[0].set_ylabel(f'episode {number}', fontsize=8)


def _tempo(axis, episodes: Sequence[Episode]) -> None:
    """How long steps took, where that was recorded; a step much longer than the others is a gap."""
    told = [e.extras['seconds'][:, 0] for e in episodes if 'seconds' in e.extras]
    if told:
        axis.hist(np.concatenate([np.diff(seconds) for seconds in told]), bins=50, log=True)
        axis.set(title='seconds of a step')
    else:
        axis.hist([episode.steps for episode in episodes], bins=30)
        axis.set(title='steps of an episode')
