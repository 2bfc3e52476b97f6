# SPDX-License-Identifier: Apache-2.0
"""Tables and figures of what was found; what was not run is an empty cell that says so."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_wm_ros.findings.questions import Question

Found = dict[str, list[dict[str, Any]]]  # figures of the runs of each variant


def summary(figures: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Mean success over seeds, and its standard deviation (of n - 1; NaN for one seed)."""
    shares = [one['success'] for one in figures]
    return float(np.mean(shares)), float(np.std(shares, ddof=1)) if len(shares) > 1 else np.nan


def markdown(question: Question, world: str, found: Found) -> str:
    """One question's table."""
    lines = [
        f'### {question.number}. {question.text} ({world})',
        '',
        f'The paper ({question.figure}): {question.answer}.',
        '',
        '| | success | over seeds | seeds | episodes |',
        '|---|---|---|---|---|',
    ]
    for variant in question.variants:
        figures = found.get(variant.name, [])
        if not figures:
            lines.append(f'| {variant.name} | not run | | | |')
            continue
        mean, deviation = summary(figures)
        spread = f'± {deviation:.0%}' if np.isfinite(deviation) else ''
        lines.append(
            f'| {variant.name} | {mean:.0%} | {spread} | {len(figures)} | '
            f'{len(figures[0]["ends"])} |'
        )
    return '\n'.join([*lines, ''])


def write_csv(path: Path, question: Question, world: str, found: Found) -> None:
    """A row for every run."""
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['question', 'world', 'variant', 'seed', 'episodes', 'success'])
        for name, figures in found.items():
            for one in figures:
                row = [name, one['seed'], len(one['ends']), one['success']]
                writer.writerow([question.number, world, *row])


def draw(path: Path, question: Question, world: str, found: Found) -> None:
    """A bar for every variant, with the spread over seeds."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = [variant.name for variant in question.variants if found.get(variant.name)]
    if not names:
        return
    means, spreads = zip(*(summary(found[name]) for name in names), strict=True)
    figure, axes = pyplot.subplots(figsize=(1.6 + 0.7 * len(names), 3.4), layout='constrained')
    axes.bar(names, 100 * np.array(means), yerr=100 * np.nan_to_num(spreads), capsize=4)
    axes.set(ylabel='success [%]', ylim=(0, 103), title=f'{question.text} ({world})')
    axes.tick_params(axis='x', rotation=45)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
