# SPDX-License-Identifier: Apache-2.0
"""The drawings of a report, each as a data URI so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from jepa_wm_ros.actions import POSITION
from jepa_wm_ros.evaluation.metrics import Interval
from jepa_wm_ros.evaluation.offline.rows import EXPERT, RANDOM, ZERO
from jepa_wm_ros.evaluation.offline.summary import Imagination, Result, short

BASELINE_COLOURS = {EXPERT: '#2a7f3f', ZERO: '#8a8a8a', RANDOM: '#c9b26b'}
COLOURS = ('#1f5fa8', '#c8502d', '#7a4fa3', '#118a8a', '#b03a6b', '#5c6b1f')

matplotlib.rcParams['svg.hashsalt'] = 'jepa_wm_ros'  # the same numbers draw the same bytes
_STYLE: dict = {
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
    'legend.frameon': False,
}


def uri_of_figure(figure: Figure) -> str:
    """A figure as an SVG data URI."""
    stream = io.BytesIO()
    figure.savefig(stream, format='svg', bbox_inches='tight', metadata={'Date': None})
    return 'data:image/svg+xml;base64,' + base64.b64encode(stream.getvalue()).decode()


def uri_of_picture(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a PNG data URI."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'png')
    return 'data:image/png;base64,' + base64.b64encode(stream.getvalue()).decode()


def colour_of(planner: str, planners: Sequence[str]) -> str:
    """The same colour for a planner or baseline in every figure of a report."""
    if planner in BASELINE_COLOURS:
        return BASELINE_COLOURS[planner]
    return COLOURS[list(planners).index(planner) % len(COLOURS)]


def _draw(
    axes, steps: Sequence[int], intervals: list[Interval], colour: str, label: str, style: str = '-'
) -> None:
    values = [i.value for i in intervals]
    axes.plot(steps, values, style, color=colour, label=label, marker='o', markersize=3.5)
    axes.fill_between(
        steps,
        [i.low for i in intervals],
        [i.high for i in intervals],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )


def cost_curves(results: list[Result], planners: Sequence[str]) -> str:
    """Cost to the goal along the imagined rollout of each planner and baseline of one model."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure((5.2, 3.4))
        axes = figure.subplots()
        for result in results:
            _draw(
                axes,
                range(len(result.costs)),
                result.costs,
                colour_of(result.planner, planners),
                short(result.planner),
            )
        axes.set(xlabel='step of the rollout', ylabel='latent distance to the goal', ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        return uri_of_figure(figure)


def error_curves(imagination: Imagination) -> str:
    """Distance of the imagined to the recorded frames, beside that of a frame that stands still."""
    with matplotlib.rc_context(_STYLE):
        panels = [
            (
                'latent distance',
                [
                    ('expert actions imagined', imagination.latent, '-'),
                    ('nothing moves', imagination.still, '--'),
                ],
                1.0,
            )
        ]
        if imagination.position:
            panels += [
                ('decoded hand position error [cm]', [('', imagination.position, '-')], 100.0),
                ('decoded orientation error [rad]', [('', imagination.orientation, '-')], 1.0),
            ]
        if imagination.lpips:
            panels.append(('LPIPS', [('', imagination.lpips, '-')], 1.0))
        figure = Figure((4.4 * len(panels), 3.2), layout='constrained')
        for axes, (title, curves, scale) in zip(
            np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True
        ):
            for (label, intervals, style), colour in zip(
                curves, ('#1f5fa8', '#8a8a8a'), strict=False
            ):
                scaled = [
                    Interval(i.value * scale, i.low * scale, i.high * scale) for i in intervals
                ]
                _draw(axes, range(1, len(scaled) + 1), scaled, colour, label, style)
            axes.set(xlabel='steps ahead', ylabel=title, ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if curves[0][0]:
                axes.legend()
        return uri_of_figure(figure)


def paths(
    clips: Sequence[tuple[str, np.ndarray, dict[str, np.ndarray]]], planners: Sequence[str]
) -> str:
    """Hand paths in 3-D: (title, start (3,) [m], {planner: actions (H, 7)}) of each clip."""
    with matplotlib.rc_context(_STYLE):
        columns = min(3, len(clips))
        rows = -(-len(clips) // columns)
        figure = Figure((4.0 * columns, 3.7 * rows))
        for place, (title, start, plans) in enumerate(clips, start=1):
            axes = figure.add_subplot(rows, columns, place, projection='3d')
            ways = {
                planner: (start + np.cumsum(np.vstack([np.zeros(3), actions[:, POSITION]]), axis=0))
                * 100
                for planner, actions in plans.items()
            }
            for planner, way in ways.items():
                axes.plot(
                    *way.T,
                    marker='o',
                    markersize=3,
                    label=short(planner),
                    color=colour_of(planner, planners),
                )
            axes.scatter(*(start[:, None] * 100), color='black', s=18)
            _cube(axes, np.vstack(list(ways.values())))
            axes.set_title(title, fontsize=10)
            if place == 1:
                axes.legend(fontsize=8, loc='upper left')
        return uri_of_figure(figure)


def _cube(axes, points: np.ndarray) -> None:
    """The same scale along x, y and z around points (N, 3) [cm], and few ticks."""
    middle = (points.min(0) + points.max(0)) / 2
    half = max(float(np.ptp(points, axis=0).max()) / 2, 1.0) * 1.1
    for name, value in zip('xyz', middle, strict=True):
        getattr(axes, f'set_{name}lim')(value - half, value + half)
        getattr(axes, f'set_{name}label')(f'{name} [cm]', labelpad=-4)
        getattr(axes, f'{name}axis').set_major_locator(MaxNLocator(3))
    axes.set_box_aspect((1, 1, 1))
    axes.tick_params(labelsize=7, pad=-2)


def error_strip(
    results: list[Result], errors: dict[tuple[str, str], np.ndarray], planners: Sequence[str]
) -> str:
    """Position error of every clip, one row of dots per model and planner, the mean as a bar."""
    with matplotlib.rc_context(_STYLE):
        shown = [r for r in results if r.planner != EXPERT]
        figure = Figure((7.2, 0.55 * len(shown) + 1.0))
        axes = figure.subplots()
        rng = np.random.default_rng(0)
        for index, result in enumerate(shown):
            values = errors[result.model, result.planner] * 100
            y = len(shown) - index
            colour = colour_of(result.planner, planners)
            axes.scatter(
                values,
                y + rng.uniform(-0.18, 0.18, len(values)),
                s=9,
                alpha=0.45,
                color=colour,
                linewidths=0,
            )
            axes.plot([values.mean()] * 2, [y - 0.32, y + 0.32], color=colour, linewidth=2.5)
        axes.axvline(10.0, color='black', linewidth=0.8, linestyle=':')
        axes.text(10.0, len(shown) + 0.55, ' mean here scores 0', fontsize=8)
        axes.set_yticks(
            range(len(shown), 0, -1), [f'{short(r.model)}\n{short(r.planner)}' for r in shown]
        )
        axes.set(xlabel='position error of a clip [cm]', xlim=(0, None))
        return uri_of_figure(figure)
