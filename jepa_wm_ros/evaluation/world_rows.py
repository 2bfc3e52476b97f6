# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of a world: what was reached in its tasks, by whom, at what cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.closed_loop.trials import Trial, per_plan
from jepa_wm_ros.evaluation.walks import baselines, half_width, walked
from jepa_wm_ros.planning import Profile
from jepa_wm_ros.tasks.frozen_worlds import WorldTasks
from jepa_wm_ros.tasks.world import World

Row = dict[str, Any]
NAME = 48  # letters of a row's name
SPREAD = 'success', 'ever', 'median', 'hand'


def row(world: World, errors: Sequence[Sequence[float]]) -> Row:
    """What distances came to in each episode, at the start and after each model step.

    success     share within the tolerance at the last step, as published; +- half_width
    ever        share within it at any step, which says more than a robot has of it
    median      distance at the last step
    ends        distance at the last step of each episode; `nearest`: the least
    """
    ends, nearest = [float(one[-1]) for one in errors], [float(min(one)) for one in errors]
    reached = float(np.mean(np.array(ends) < world.spec.tolerance))
    return {
        'success': reached,
        'half_width': half_width(reached, len(ends)),
        'ever': float(np.mean(np.array(nearest) < world.spec.tolerance)),
        'median': float(np.median(ends)),
        'ends': ends,
        'nearest': nearest,
    }


def hand(world: World, tasks: WorldTasks, states: Sequence[np.ndarray]) -> Row:
    """Of the state (S,) at the end of each episode, where that is published too (`success_dist`).

    hand        share whose hand is within the tolerance of where it is in the goal's picture
    """
    if not world.spec.hand:
        return {}
    goals = np.stack([goal for _, goal in tasks.tasks.values()])
    away = (world.proprio(np.stack(states)) - world.proprio(goals))[:, list(world.spec.hand)]
    return {'hand': float(np.mean(np.linalg.norm(away, axis=1) < world.spec.tolerance))}


def planned_row(
    world: World,
    tasks: WorldTasks,
    ended: Sequence[tuple[Trial, np.ndarray]],
    profile: Profile | None,
) -> Row:
    """The same of trials with the states at their ends; profile: that of a search, whose budget is
    told too.
    """
    trials = [trial for trial, _ in ended]
    told = row(world, [trial.errors for trial in trials])
    told |= hand(world, tasks, [state for _, state in ended])
    return told | {'budget': budget(profile, trials)} if profile else told


def budget(profile: Profile, trials: Sequence[Trial]) -> Row:
    """What a plan was looked for with, and medians of what it took: candidates scored (a gradient
    counts as one) and milliseconds.
    """
    settings, objective = profile.settings, profile.objective
    candidates = getattr(settings, 'num_samples', None)
    evaluations, ms = per_plan(trials)
    return {
        'planner': profile.planner,
        'size': f'{candidates}x{settings.iterations}' if candidates else f'{settings.iterations}',
        'objective': f'{"all" if objective.sum_all else "last"} {objective.kind}',
        'horizon': settings.horizon,
        'executed': profile.steps_executed,
        'evaluations': evaluations,
        'ms': ms,
    }


def baseline_rows(world: World, tasks: WorldTasks) -> dict[str, Row]:
    """Those who need no model, by their names."""
    found = {}
    for name, walk in baselines(world):
        walks = (walked(world, walk, task, seed) for seed, task in tasks.tasks.items())
        ends, errors = zip(*walks, strict=True)
        found[name] = row(world, errors) | hand(world, tasks, ends)
    return found


def labels(models: Sequence[str]) -> dict[str, str]:
    """For each model, the shortest end of its path that no other model has, without suffix.

    Raises JepaWmError for a model that is told twice.
    """
    paths = {told: Path(told).with_suffix('').parts for told in models}
    if len(set(paths.values())) < len(models):
        raise JepaWmError(f'--model {" ".join(models)}: a model is told twice')
    found = {}
    for told, parts in paths.items():
        others = [other for name, other in paths.items() if name != told]
        length = next(
            (n for n in range(1, len(parts)) if all(o[-n:] != parts[-n:] for o in others)),
            len(parts),
        )
        found[told] = '/'.join(parts[-length:])
    return found


def means(rows: dict[str, Row]) -> dict[str, Row]:
    """For each way that several models were tried in, a row of their means, with the standard
    deviations over models (of n - 1) as `..._sd`. A model's row is called 'MODEL, WAY'.
    """
    ways: dict[str, list[Row]] = {}
    for name, told in rows.items():
        if ', ' in name:
            ways.setdefault(name.rsplit(', ', 1)[1], []).append(told)
    return {
        f'mean over {len(of_models)} models, {way}': {
            key: number
            for name in SPREAD
            if name in of_models[0]
            for values in [[told[name] for told in of_models]]
            for key, number in (
                (name, float(np.mean(values))),
                (f'{name}_sd', float(np.std(values, ddof=1))),
            )
        }
        for way, of_models in ways.items()
        if len(of_models) > 1
    }


def offsets(world: World, tasks: WorldTasks) -> str:
    """What is asked: which tasks, how far away, how many steps."""
    spec = world.spec
    away = [float(world.distance(start[None], goal)[0]) for start, goal in tasks.tasks.values()]
    return (
        f'{tasks.summary()}: goals {min(away):.2f} to {max(away):.2f} away, reached within '
        f'{spec.tolerance:g}; judged after {spec.model_steps} model steps of {spec.frameskip}, '
        f'plans of {spec.horizon}'
    )


def head() -> str:
    """Of the columns of `line`."""
    return f'{"":<{NAME}} {"last step":>12} {"ever":>5} {"median":>8}  per plan'


def line(name: str, told: Row) -> str:
    """A row as text."""
    spread = told.get('half_width', told.get('success_sd'))
    said = (
        f'{name:<{NAME}} {told["success"]:>5.0%} {"+-" if "ends" in told else "sd"} {spread:>3.0%} '
        f'{told["ever"]:>5.0%} {told["median"]:>8.2f}'
    )
    if 'hand' in told:
        said += f'  hand {told["hand"]:.0%}'
    if cost := told.get('budget'):
        said += f'  {cost["planner"]} {cost["size"]}, {cost["objective"]}'
        if math.isfinite(cost['evaluations']):
            said += f': {cost["evaluations"]:.0f} evaluations, {cost["ms"]:.0f} ms'
    return said
