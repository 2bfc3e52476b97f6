# SPDX-License-Identifier: Apache-2.0
"""Rows of clips summed up: numbers with intervals, paired comparisons, a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from jepa_wm_ros.evaluation.metrics import (
    Interval,
    action_score,
    mean_difference,
    mean_interval,
    score_difference,
    score_interval,
)
from jepa_wm_ros.evaluation.offline.rows import BASELINES, EXPERT, RANDOM, ZERO, Row

CURVES = ('costs', 'latent_errors', 'still_errors', 'lpips')


@dataclass(frozen=True, slots=True)
class Result:
    """One planner (or baseline) of one model over all clips; errors as in metrics.ActionErrors.

    Every number is averaged over seeds within a clip, then over clips; intervals are over clips.
    seed_scores: the score of each seed by itself.
    """

    model: str
    planner: str
    clips: int
    score: Interval
    e_xyz: Interval
    e_orientation: Interval
    e_closure: Interval
    cost: Interval
    costs: list[Interval]
    seconds: float
    evaluations: float
    seed_scores: dict[int, float]

    @property
    def baseline(self) -> bool:
        return self.planner in BASELINES


@dataclass(frozen=True, slots=True)
class Imagination:
    """How far the expert's imagined rollout strays from the recording, after 1 ... H steps.

    latent: distance of encodings; still: the same for an unchanged first frame; position [m],
    orientation [rad] and closure: decoded proprioception; lpips. Empty where not available.
    """

    model: str
    latent: list[Interval]
    still: list[Interval]
    position: list[Interval]
    orientation: list[Interval]
    closure: list[Interval]
    lpips: list[Interval]


@dataclass(frozen=True, slots=True)
class Comparison:
    """First against second on the clips both have: positive score difference, first is better."""

    first: str
    second: str
    clips: int
    score: Interval
    e_xyz: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    results: list[Result]
    imagination: list[Imagination]
    comparisons: list[Comparison]
    failed: dict[str, int]  # reason -> clips

    def to_dict(self) -> dict:
        return asdict(self)


class _Group:
    """The good rows of one model and planner, averaged over seeds within each clip."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.by_clip: dict[tuple[str, int], list[Row]] = {}
        for row in rows:
            self.by_clip.setdefault((row.bag, row.clip), []).append(row)

    def per_clip(self, value: Callable[[Row], float | Sequence[float]]) -> np.ndarray:
        """Mean over seeds of a number or curve of each clip, clips in order."""
        return np.array(
            [np.mean([value(row) for row in rows], axis=0) for rows in self.by_clip.values()],
            np.float64,
        )


def summarize(rows: Sequence[Row], models: Sequence[str], planners: Sequence[str]) -> Summary:
    """Sum up rows; models and planners give the order."""
    failed: dict[str, set] = {}
    for row in rows:
        if not row.ok:
            failed.setdefault(row.status, set()).add((row.bag, row.clip))
    groups: dict[tuple[str, str], _Group] = {}
    for model in models:
        for planner in (EXPERT, *planners, RANDOM, ZERO):
            mine = [r for r in rows if r.ok and (r.model, r.planner) == (model, planner)]
            if mine:
                groups[model, planner] = _Group(mine)
    return Summary(
        [_result(*key, group) for key, group in groups.items()],
        [
            _imagination(model, groups[model, EXPERT])
            for model in models
            if (model, EXPERT) in groups
        ],
        _comparisons(groups),
        {reason: len(clips) for reason, clips in failed.items()},
    )


def _result(model: str, planner: str, group: _Group) -> Result:
    seeds = sorted({row.seed for row in group.rows})
    e_xyz = group.per_clip(lambda r: r.e_xyz)
    return Result(
        model,
        planner,
        len(group.by_clip),
        score_interval(e_xyz),
        mean_interval(e_xyz),
        mean_interval(group.per_clip(lambda r: r.e_orientation)),
        mean_interval(group.per_clip(lambda r: r.e_closure)),
        mean_interval(group.per_clip(lambda r: r.cost)),
        _per_step(group.per_clip(lambda r: r.costs)),
        float(np.mean([r.seconds for r in group.rows])),
        float(np.mean([r.evaluations for r in group.rows])),
        {
            seed: action_score(np.array([r.e_xyz for r in group.rows if r.seed == seed]))
            for seed in seeds
        },
    )


def _imagination(model: str, group: _Group) -> Imagination:
    poses = group.per_clip(lambda r: r.pose_errors)
    poses = poses.reshape(len(poses), -1, 3)
    position, orientation, closure = (_per_step(poses[:, :, part]) for part in range(3))
    return Imagination(
        model,
        _per_step(group.per_clip(lambda r: r.latent_errors)),
        _per_step(group.per_clip(lambda r: r.still_errors)),
        position,
        orientation,
        closure,
        _per_step(group.per_clip(lambda r: r.lpips)),
    )


def _per_step(curves: np.ndarray) -> list[Interval]:
    """Mean and interval of each column of curves (clips, steps)."""
    if curves.ndim != 2:
        return []
    return [mean_interval(column, resamples=1000) for column in curves.T]


def _comparisons(groups: dict[tuple[str, str], _Group]) -> list[Comparison]:
    """Planners against each other, and each against the baselines of its model."""
    planned = [key for key in groups if key[1] not in BASELINES]
    pairs = list(combinations(planned, 2))
    pairs += [
        (key, (key[0], baseline))
        for key in planned
        for baseline in (ZERO, RANDOM)
        if (key[0], baseline) in groups
    ]
    return [_compare(first, second, groups) for first, second in pairs]


def _compare(
    first: tuple[str, str], second: tuple[str, str], groups: dict[tuple[str, str], _Group]
) -> Comparison:
    clips = [clip for clip in groups[first].by_clip if clip in groups[second].by_clip]
    a, b = (
        np.array([np.mean([r.e_xyz for r in groups[key].by_clip[clip]]) for clip in clips])
        for key in (first, second)
    )
    one, other = (' / '.join(short(name) for name in key) for key in (first, second))
    return Comparison(one, other, len(clips), score_difference(a, b), mean_difference(a, b))


# --- the terminal ------------------------------------------------------------------------------


def table(summary: Summary) -> str:
    """Results and comparisons as text for a terminal."""
    lines = [
        (
            'model',
            'planner',
            'Action Score',
            'xyz error [cm]',
            'orientation [rad]',
            'closure',
            'cost',
            's/plan',
            'evaluations',
        )
    ]
    for r in summary.results:
        lines.append(
            (
                short(r.model),
                short(r.planner),
                _text(r.score, 1),
                _text(r.e_xyz, 2, 100),
                _text(r.e_orientation, 3),
                _text(r.e_closure, 2),
                _text(r.cost, 4),
                '-' if r.baseline else f'{r.seconds:.2f}',
                '-' if r.baseline else f'{r.evaluations:.0f}',
            )
        )
    text = _aligned(lines)
    if summary.comparisons:
        differences = [('paired difference', '', 'Action Score', 'xyz error [cm]')]
        differences += [
            (c.first, f'- {c.second}', _text(c.score, 1), _text(c.e_xyz, 2, 100))
            for c in summary.comparisons
        ]
        text += '\n\n' + _aligned(differences)
    return text


def short(name: str) -> str:
    """A model or planner as tables show it: of a file, its name without folder and ending."""
    return Path(name).stem if '/' in name else name


def _text(interval: Interval, digits: int, scale: float = 1.0) -> str:
    value = f'{interval.value * scale:.{digits}f}'
    if np.isnan(interval.low):
        return value
    return f'{value} [{interval.low * scale:.{digits}f}, {interval.high * scale:.{digits}f}]'


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rendered = [
        '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return '\n'.join([rendered[0], '-' * len(rendered[0]), *rendered[1:]])
