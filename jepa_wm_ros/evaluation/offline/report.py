# SPDX-License-Identifier: Apache-2.0
"""report.html: one page with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment

from jepa_wm_ros.actions import DIM
from jepa_wm_ros.evaluation.metrics import SCORE_MAX, Interval
from jepa_wm_ros.evaluation.offline import figures
from jepa_wm_ros.evaluation.offline.illustrate import Illustrations, choose_clips
from jepa_wm_ros.evaluation.offline.report_page import PAGE
from jepa_wm_ros.evaluation.offline.rows import EXPERT, Row
from jepa_wm_ros.evaluation.offline.runner import EvaluationPlan, Recording, bag_label
from jepa_wm_ros.evaluation.offline.summary import Summary, short


def write_report(
    path: Path,
    plan: EvaluationPlan,
    summary: Summary,
    rows: Sequence[Row],
    illustrations: Illustrations,
    lines: Sequence[str],
) -> None:
    """Write the page. `lines` are remarks: what was not computed and why."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters['interval'] = _interval
    environment.filters['short'] = short
    environment.filters['picture'] = figures.uri_of_picture
    page = environment.from_string(PAGE).render(
        plan=plan,
        summary=summary,
        illustrations=illustrations,
        lines=lines,
        score_max=SCORE_MAX,
        bags=[_bag(recording) for recording in plan.recordings],
        models=[_model(model, plan, summary, rows) for model in plan.models],
        strip=figures.error_strip(summary.results, _errors(summary, rows), plan.planners)
        if summary.results
        else '',
    )
    path.write_text(page)


def _interval(interval: Interval, digits: int = 2, scale: float = 1.0) -> str:
    value = f'{interval.value * scale:.{digits}f}'
    if np.isnan(interval.low):
        return value
    return f'{value} [{interval.low * scale:.{digits}f}, {interval.high * scale:.{digits}f}]'


def _bag(recording: Recording) -> dict:
    return {
        'name': bag_label(recording),
        'path': str(recording.path),
        'sources': ', '.join(recording.sources),
        'coverage': recording.coverage,
        'clips': len(recording.clips),
        'findings': list(recording.findings),
    }


def _errors(summary: Summary, rows: Sequence[Row]) -> dict[tuple[str, str], np.ndarray]:
    return {
        (r.model, r.planner): np.array(
            [
                row.e_xyz
                for row in rows
                if row.ok and (row.model, row.planner) == (r.model, r.planner)
            ]
        )
        for r in summary.results
    }


def _model(model: str, plan: EvaluationPlan, summary: Summary, rows: Sequence[Row]) -> dict:
    """Curves and paths of one model; empty strings where there is nothing to draw."""
    results = [r for r in summary.results if r.model == model]
    imagination = next((i for i in summary.imagination if i.model == model), None)
    return {
        'name': model,
        'costs': figures.cost_curves(results, plan.planners) if results else '',
        'errors': figures.error_curves(imagination) if imagination else '',
        'paths': _paths(model, plan, rows),
    }


def _paths(model: str, plan: EvaluationPlan, rows: Sequence[Row]) -> str:
    recordings = {bag_label(recording): recording for recording in plan.recordings}
    clips = []
    for name, row in choose_clips(rows, model, plan.planners[0]):
        start = recordings[row.bag].clips[row.clip].poses[0, :3]
        plans = {EXPERT: np.array(row.expert).reshape(-1, DIM)}
        for other in rows:
            same = (other.bag, other.clip, other.model) == (row.bag, row.clip, row.model)
            if other.ok and same and other.planner in plan.planners:
                plans.setdefault(other.planner, np.array(other.planned).reshape(-1, DIM))
        clips.append((f'{name}: {row.bag} #{row.clip}', start, plans))
    return figures.paths(clips, plan.planners) if clips else ''
