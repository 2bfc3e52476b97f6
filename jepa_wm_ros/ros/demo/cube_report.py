# SPDX-License-Identifier: Apache-2.0
"""What the demo shows of its tasks with the cube: picture, film and table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jepa_wm_ros.evaluation.walks import half_width
from jepa_wm_ros.ros.demo.cube import CubeRecord
from jepa_wm_ros.ros.demo.report import Film, write_film


def write_gif(path: Path, record: CubeRecord) -> None:
    """The camera's view of an episode with the goal picture of the moment inset in a corner."""
    shown = [record.goals[goal] for goal in record.shown]
    write_film(path, Film(record.frames, shown))


def write_png(path: Path, record: CubeRecord) -> None:
    """Start, goals and end side by side, below them what the first plan to each goal imagined where
    the model has a decoder, over the curves of cost and of the cube's distance.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    told = f'end: cube {100 * record.error:.1f} cm from its place'
    pictures = {
        'start': record.frames[0],
        **{f'goal {i + 1}': goal for i, goal in enumerate(record.goals)},
        told: record.frames[-1],
    }
    strips = {f'imagined on the way to goal {i + 1}': s for i, s in record.imagined.items()}
    rows, heights = [list(pictures), ['curve'] * len(pictures)], [1, 0.8]
    if strips:
        blank = ['.'] * len(record.goals)
        for name, goal in zip(strips, record.imagined, strict=True):
            blank[goal] = name
        rows.insert(1, ['.', *blank, '.'])
        heights.insert(1, 0.4)
    figure, axes = plt.subplot_mosaic(
        rows,
        figsize=(3.2 * len(pictures), 3.1 * sum(heights)),
        height_ratios=heights,
        layout='constrained',
    )
    for name, picture in (pictures | strips).items():
        axes[name].imshow(picture)
        axes[name].set_title(name)
        axes[name].axis('off')
    curve = axes['curve']
    for goal in range(len(record.goals)):
        points = [(step, cost) for step, of, cost in record.costs if of == goal]
        if points:
            curve.plot(*zip(*points, strict=True), 'o-', label=f'to goal {goal + 1}')
    curve.set(xlabel='step', ylabel='latent distance', ylim=(0, None))
    curve.xaxis.get_major_locator().set_params(integer=True)
    above = (0.5, 1.0)  # of the curves, which go anywhere
    curve.legend(loc='lower center', bbox_to_anchor=above, ncols=len(record.goals), frameon=False)
    if record.away:
        steps, away = zip(*record.away, strict=True)
        right = curve.twinx()
        right.plot(steps, 100 * np.array(away), 's--', color='0.4')
        right.set_ylabel('cube to its place [cm] (simulator)', color='0.4')
        right.set_ylim(0, None)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def table(records: list[CubeRecord]) -> str:
    """What became of the cubes, and how long it took."""
    count = len(records)
    placed = sum(r.placed for r in records) / count
    lines = [
        f'\ngrasped {sum(r.grasped for r in records)}/{count}   carried '
        f'{sum(r.carried for r in records)}/{count}   placed {sum(r.placed for r in records)}/'
        f'{count} ({placed:.0%} ± {half_width(placed, count):.0%})   median error '
        f'{100 * float(np.median([r.error for r in records])):.1f} cm'
    ]
    done = [r for r in records if r.steps]
    planning = [s for r in done for s in r.planning_seconds]
    latency = [s for r in done for s in r.latencies]
    if planning:
        p50, p95 = np.percentile(latency, [50, 95]) * 1e3
        lines.append(
            f'planning {np.median(planning) * 1e3:.0f} ms, image to command p50 {p50:.0f} ms, p95 '
            f'{p95:.0f} ms, {np.mean([r.steps for r in done]):.1f} steps and '
            f'{np.mean([r.seconds for r in done]):.0f} s an episode'
        )
        lines.append(
            f'the arm pressed on the table with {max(r.table_force for r in done):.0f} N at most, '
            f'and was {1000 * max(r.outside for r in done):.0f} mm outside its workspace at most'
        )
    ends: dict[str, int] = {}
    for record in records:
        ends[record.message or 'done'] = ends.get(record.message or 'done', 0) + 1
    lines.append('ends: ' + '; '.join(f'{n} x {text}' for text, n in ends.items()))
    lines.append(f'exceptions: {sum(record.fault for record in records)}')
    return '\n'.join(lines)
