# SPDX-License-Identifier: Apache-2.0
"""Resample frames to the model's rate by their stamps, and cut clips out of what is complete."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import actions_between
from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.episode import STEP_RATE
from jepa_wm_ros.recordings.streams import NS, STATE_GAP
from jepa_wm_ros.recordings.timeline import Timeline

MAX_GAP = 0.5  # frames further apart than this are not bridged [s]


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips are cut: model rate [Hz], steps to the goal, steps between starts, how many.

    Frames further than max_gap apart, and states further than state_gap, are not bridged [s].
    """

    rate: float
    horizon: int
    stride: int
    limit: int | None = None
    seed: int = 1
    max_gap: float = MAX_GAP
    state_gap: float = STATE_GAP / NS


EVERY_STEP = ClipSettings(STEP_RATE, horizon=1, stride=1)


@dataclass(frozen=True, slots=True)
class Steps:
    """Frames on a regular grid of one model step.

    frames (T,): index into the timeline, -1 where no usable frame lies within half a step of the
    grid. runs (T,): grids are anchored anew after a gap or a clock jump; clips stay in one run.
    offsets (T,) [s]: stamp minus grid time (0 where missing): the timing jitter that remains.
    """

    frames: np.ndarray
    runs: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class Clip:
    """H+1 frames one model step apart: plan from the first, the last is the goal.

    frames (H+1,) timeline indices; poses (H+1, 7) measured; actions (H, 7) between them.
    """

    frames: np.ndarray
    poses: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a recording can be evaluated, and how regular its frames are."""

    frames: int  # recorded frames that could be read
    frames_promised: int  # recorded frames the bag says it holds
    frames_without_state: int
    rate: float  # median frame rate [Hz]; NaN for one frame
    jitter: float  # standard deviation of the frame interval [s], gaps left out
    gaps: int  # intervals longer than the gap limit
    first_gap: float  # when it begins, after the first frame [s]
    longest_gap: float  # [s]
    frames_dropped: int  # frames that a steady camera would have delivered, gaps left out
    frames_late: int  # recorded more than a model step after their stamp
    steps: int  # model steps the recording spans, gaps included
    steps_usable: int
    grid_jitter: float  # standard deviation of stamp minus grid time [s]
    clips_possible: int  # clips a recording without holes would give
    clips: int  # clips it gives

    @property
    def fraction(self) -> float:
        """Usable model steps over spanned ones."""
        return self.steps_usable / self.steps if self.steps else 0.0


def split_runs(timeline: Timeline, max_gap: int) -> np.ndarray:
    """Run number (N,) of every frame: a new run after a clock jump or a gap over max_gap [ns]."""
    breaks = ((np.diff(timeline.clock) != 0) | (np.diff(timeline.stamps) > max_gap)).astype(
        np.int64
    )
    return np.concatenate([[0], np.cumsum(breaks)])


def resample(timeline: Timeline, period: int, max_gap: int) -> Steps:
    """Nearest frame within half a `period` [ns] of each grid time, with a known pose.

    A frame stands for one grid time only: where the recording is slower than the model the second
    claim on it counts as missing.
    """
    runs = split_runs(timeline, max_gap)
    usable = np.isfinite(timeline.poses).all(1)
    frames, run_of, offsets = [], [], []
    for run in range(runs[-1] + 1):
        members = np.flatnonzero(runs == run)
        stamps = timeline.stamps[members]
        grid = np.arange(stamps[0], stamps[-1] + period // 2 + 1, period)
        after = np.clip(np.searchsorted(stamps, grid), 1, max(len(stamps) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(stamps) - 1)
        nearest = np.where(grid - stamps[before] <= stamps[after] - grid, before, after)
        distance = stamps[nearest] - grid
        good = (np.abs(distance) <= period // 2) & usable[members[nearest]]
        good[1:] &= ~((nearest[1:] == nearest[:-1]) & good[:-1])
        frames.append(np.where(good, members[nearest], -1))
        offsets.append(np.where(good, distance / NS, 0.0))
        run_of.append(np.full(len(grid), run))
    return Steps(np.concatenate(frames), np.concatenate(run_of), np.concatenate(offsets))


def clip_starts(steps: Steps, horizon: int, stride: int) -> np.ndarray:
    """Grid indices from which `horizon` steps follow without a hole, `stride` steps apart.

    The stride counts from the first complete clip of each run, so clips do not drift with holes.
    """
    length = len(steps.frames) - horizon
    if length <= 0:
        return np.empty(0, np.int64)
    whole = np.ones(length, bool)
    for ahead in range(horizon + 1):
        whole &= steps.frames[ahead : ahead + length] >= 0
    whole &= steps.runs[:length] == steps.runs[horizon : horizon + length]
    starts: list[int] = []
    last, last_run = 0, -1
    for start in np.flatnonzero(whole).tolist():
        if steps.runs[start] != last_run or start - last >= stride:
            starts.append(start)
            last, last_run = start, steps.runs[start]
    return np.array(starts, np.int64)


def choose_clips(
    timeline: Timeline, steps: Steps, *, horizon: int, stride: int, limit: int | None, seed: int
) -> list[Clip]:
    """Clips in time order; with a `limit`, that many drawn at random by `seed`."""
    starts = clip_starts(steps, horizon, stride)
    if limit is not None and len(starts) > limit:
        starts = np.sort(np.random.default_rng(seed).choice(starts, limit, replace=False))
    clips = []
    for start in starts:
        frames = steps.frames[start : start + horizon + 1]
        poses = timeline.poses[frames]
        clips.append(Clip(frames, poses, actions_between(poses)))
    return clips


def cut(
    timeline: Timeline, settings: ClipSettings, promised: int, name: str, findings: Findings
) -> tuple[list[Clip], Coverage]:
    """The clips of a recording and its coverage; names every irregularity in `findings`.

    promised: frames that it says it holds; name: what it is called there. Raises BagError where no
    clip is left.
    """
    period = round(NS / settings.rate)
    max_gap = max(round(NS * settings.max_gap), 2 * period)
    steps = resample(timeline, period, max_gap)
    coverage = _describe(timeline, steps, settings, period, max_gap, promised, name, findings)
    clips = choose_clips(
        timeline,
        steps,
        horizon=settings.horizon,
        stride=settings.stride,
        limit=settings.limit,
        seed=settings.seed,
    )
    return clips, coverage


def _describe(
    timeline: Timeline,
    steps: Steps,
    settings: ClipSettings,
    period: int,
    max_gap: int,
    promised: int,
    name: str,
    findings: Findings,
) -> Coverage:
    horizon, stride = settings.horizon, settings.stride
    same_clock = np.diff(timeline.clock) == 0
    intervals = np.diff(timeline.stamps)
    gap_after = np.flatnonzero(same_clock & (intervals > max_gap))
    gaps = intervals[gap_after]
    steady = intervals[same_clock & (intervals <= max_gap)]
    median = float(np.median(steady)) if len(steady) else float('nan')
    dropped = int(np.maximum(np.round(steady / median) - 1, 0).sum()) if median > 0 else 0
    without = int((~np.isfinite(timeline.poses).all(1)).sum())
    # A hole between two runs of one clock was spanned by the recording but has no grid.
    lost = int((np.round(gaps / period) - 1).sum())
    usable = steps.frames >= 0
    spanned = len(steps.frames) + lost
    coverage = Coverage(
        frames=len(timeline.stamps),
        frames_promised=promised,
        frames_without_state=without,
        rate=NS / median if median > 0 else float('nan'),
        jitter=float(np.std(steady)) / NS if len(steady) else 0.0,
        gaps=len(gaps),
        first_gap=timeline.seconds(gap_after[0]) if len(gaps) else 0.0,
        longest_gap=float(gaps.max()) / NS if len(gaps) else 0.0,
        frames_dropped=dropped,
        frames_late=int((timeline.records - timeline.stamps > period).sum()),
        steps=spanned,
        steps_usable=int(usable.sum()),
        grid_jitter=float(np.std(steps.offsets[usable])) if usable.any() else 0.0,
        clips_possible=max(0, (spanned - horizon - 1) // stride + 1),
        clips=len(clip_starts(steps, horizon, stride)),
    )
    _name_irregularities(
        coverage, timeline, period / NS, max_gap / NS, settings.state_gap, name, findings
    )
    if not coverage.clips:
        raise BagError(
            f'{name}: no {horizon + 1} frames in a row, {period / NS:g} s apart, with a '
            f'known pose ({coverage.steps_usable} of {coverage.steps} steps usable): '
            + ('; '.join(f.message for f in findings) or 'the recording is too short')
        )
    return coverage


def _name_irregularities(
    c: Coverage,
    timeline: Timeline,
    period: float,
    max_gap: float,
    state_gap: float,
    name: str,
    findings: Findings,
) -> None:
    if c.rate > 1.5 / period:
        findings.notice(
            'rate',
            f'{name}: frames come at {c.rate:.1f} Hz; the model steps at '
            f'{1 / period:g} Hz: the nearest frame of each step is taken',
        )
    elif c.rate < 0.75 / period:
        findings.fault(
            'rate',
            f"{name}: frames come at {c.rate:.2f} Hz, slower than the model's "
            f'{1 / period:g} Hz; give --rate to evaluate at another step',
        )
    if c.gaps:
        findings.fault(
            'gap',
            f'{name}: {c.gaps} gaps over {max_gap:g} s between frames, the first after '
            f'{c.first_gap:.2f} s (longest {c.longest_gap:.2f} s); no clip spans them',
        )
    if c.frames_dropped:
        findings.notice(
            'dropped frames',
            f'{name}: about {c.frames_dropped} frames were dropped by the recorder or the camera',
        )
    if c.frames_without_state:
        usable = timeline.stamps[np.isfinite(timeline.poses).all(1)]
        hint = '' if len(usable) else '; are both clocks the same? --stamps record ignores them'
        # The first and last frames of a healthy recording often lie outside its states.
        inside = (
            int(
                (
                    (timeline.stamps > usable[0])
                    & (timeline.stamps < usable[-1])
                    & ~np.isfinite(timeline.poses).all(1)
                ).sum()
            )
            if len(usable)
            else 1
        )
        note = findings.fault if inside else findings.notice
        note(
            'frames without state',
            f'{name}: {c.frames_without_state} of {c.frames} frames have '
            f'no pose or gripper state around them (at most {state_gap:g} s apart){hint}',
        )
    missing = c.steps - c.steps_usable
    if missing and not c.gaps and not c.frames_without_state:
        findings.fault(
            'missing frames',
            f'{name}: {missing} of {c.steps} model steps have no frame within half a step',
        )
