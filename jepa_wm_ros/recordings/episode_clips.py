# SPDX-License-Identifier: Apache-2.0
"""Stored episodes as the evaluator sees recordings: clips with their poses, and their pictures on
demand. A step of an episode is a step of the model, unless another rate is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jepa_wm_ros.actions import DIM
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.clips import Clip, ClipSettings, Coverage, cut
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import formats, open_episodes
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.recordings.timeline import Timeline

RATES_APART = 0.01  # relative; what is closer is called the same rate


def holds_episodes(path: Path) -> bool:
    """Whether a path is of a format of episodes other than a bag."""
    return any(known.claims(path) for name, known in formats().items() if name != 'bag')


@dataclass(frozen=True, slots=True)
class EpisodeRecording:
    """A set of episodes, read once: everything but its pictures. Small enough to send to a worker.

    timeline   all frames of all episodes, one after the other; `clock` is the episode's number
    """

    path: Path
    camera: str
    sources: tuple[str, ...]
    timeline: Timeline
    clips: list[Clip]
    coverage: Coverage
    findings: Findings

    def open(self) -> EpisodePictures:
        """Its pictures."""
        return EpisodePictures(self)


class EpisodePictures:
    """Pictures of a set of episodes, any at any time."""

    random_access = True

    def __init__(self, recording: EpisodeRecording) -> None:
        self._source = open_episodes(recording.path, recording.camera)
        self._episodes = recording.timeline.clock
        self._last: tuple[int, Episode] | None = None  # neighbouring clips are of one episode

    def __enter__(self) -> EpisodePictures:
        return self

    def __exit__(self, *_exc) -> None:
        """Nothing is held open."""

    def read(self, frames: Sequence[int]) -> dict[int, np.ndarray | str]:
        """Pictures (H, W, 3) uint8 RGB of timeline rows; the reason in place of an unreadable
        one.
        """
        found: dict[int, np.ndarray | str] = {}
        wanted = np.unique(frames)
        for number in np.unique(self._episodes[wanted]):
            rows = wanted[self._episodes[wanted] == number]
            places = rows - np.searchsorted(self._episodes, number)
            begin = places[0]
            try:
                pictures = self._episode(int(number)).frames[begin : places[-1] + 1]
            except JepaWmError as error:
                found |= dict.fromkeys(rows.tolist(), str(error))
                continue
            found |= {int(row): pictures[at - begin] for row, at in zip(rows, places, strict=True)}
        return found

    def _episode(self, number: int) -> Episode:
        if self._last is None or self._last[0] != number:
            self._last = number, self._source[number]
        return self._last[1]


def read_episodes(
    path: Path,
    settings: ClipSettings,
    *,
    camera: str = '',
    rate: float | None = None,
    watched: Callable[[range], Iterable[int]] = iter,
) -> EpisodeRecording:
    """Read the poses of a set and cut its clips, at `rate` steps/s, or else at the set's own.

    settings.rate is the model's: that the set's is another is told. `watched` passes the numbers of
    the episodes on as they are read. An episode that cannot be read is a fault, and the others are
    taken. Raises EpisodeError for a set of which nothing can be used, BagError where no clip is
    left.
    """
    source, findings = open_episodes(path, camera), Findings()
    poses, clock, rates = [], [], []
    for number in watched(range(len(source))):
        try:
            episode = _of_an_arm(source[number], source.where(number))
        except EpisodeError as error:
            findings.fault('episode', str(error), source.where(number))
            continue
        poses.append(episode.proprio.astype(np.float64))
        clock.append(np.full(len(episode.proprio), number, np.int32))
        rates.append(episode.fps)
    if not poses:
        said = '; '.join(finding.message for finding in findings)
        raise EpisodeError(f'{path}: no episode can be used ({said})')
    own = float(np.median(rates))
    if rate is None and abs(own / settings.rate - 1) > RATES_APART:
        findings.notice(
            'rate',
            f"{path}: {own:g} steps/s, the model's are {settings.rate:g}: each step is taken for "
            "one of the model's; --rate asks for another",
        )
    # Where a step is a step whatever its time, all are as long; else each is as it was recorded.
    periods = [round(NS / (fps if rate else own)) for fps in rates]
    steps = np.repeat(np.array(periods, np.int64), [len(each) for each in poses])
    stamps = np.cumsum(steps) - steps[0]
    timeline = Timeline(stamps, stamps, np.concatenate(poses), np.concatenate(clock))
    asked = replace(settings, rate=rate or own)
    clips, coverage = cut(timeline, asked, len(stamps), str(path), findings)
    sources = (f'episodes: {len(poses)}', *([camera] if camera else []))
    return EpisodeRecording(path, camera, sources, timeline, clips, coverage, findings)


def _of_an_arm(episode: Episode, where: str) -> Episode:
    if episode.proprio.shape[1] != DIM:
        raise EpisodeError(
            f'{where}: {episode.proprio.shape[1]} numbers are measured a step, where the pose of a '
            f'hand has {DIM}: only what an arm did has an Action Score'
        )
    return episode
