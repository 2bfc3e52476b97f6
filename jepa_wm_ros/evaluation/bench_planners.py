# SPDX-License-Identifier: Apache-2.0
"""How many evaluations and seconds each planner needs for the final cost of the paper's CEM.

A problem is the second step of a closed loop: four steps from the goal a first plan was made, the
model itself carried out its first action with the inaccuracy of an arm, and now, three steps from
the goal, the planners go on: all from zero, iCEM also from its shifted first plan. (The horizon
shrinks because for random weights an action of zero does not stand still.)

Where a cost has several valleys, CEM's own final cost changes with its seed: 'cem again' is the
paper's planner with another one, and shows what reaching the very same cost can mean. NEARLY is
the mark that matters to an arm: 99 % of the way from standing still to that cost.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jepa_wm_ros.evaluation.bench_modes import in_mode, make_actions_matter
from jepa_wm_ros.evaluation.bench_result import Figure, clock, seconds
from jepa_wm_ros.planning import Budget, load_profile, make_planner
from jepa_wm_ros.planning.mpc import candidates
from jepa_wm_ros.world_model import (
    CheckpointError,
    EncoderSpec,
    Latents,
    Objective,
    WorldModel,
    build,
    load_world_model,
)
from jepa_wm_ros.world_model.registry import find

PAPER_EVALUATIONS = 15 * 300
ARM_ERROR = (0.005,) * 3 + (0.01,) * 3 + (0.0,)  # m, rad, closure; standard deviations
BOUNDS = {'horizon': 3, 'max_norms': [0.1, 0.75], 'max_norm_dims': [[0, 1, 2, 3, 4, 5], [6]]}
NEARLY = 0.99
OTHERS_EVERY = 5  # planners other than iCEM and CEM take every fifth problem
LIMIT = {  # a planner that has not got there by then counts as not reached
    'icem warm': ('icem', {'iterations': 90}),
    'icem': ('icem', {'iterations': 90}),
    'cem again': ('cem', {}),
    'mppi': ('mppi', {}),
    'nevergrad': ('nevergrad', {}),
    'adam': ('adam', {'iterations': 250}),
    'gd': ('gd', {'var_scale': 0.1}),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A cost function, and what a first plan leaves to a warm start."""

    cost: Any
    warm_start: Tensor


def golden_problems(count: int, device: torch.device) -> Iterator[Problem]:
    """Problems of a model as small as the golden ones, random weights, reachable goals."""
    spec = find('jepa_wm_droid').spec
    spec = spec.replace(
        name='golden size', img_size=32, encoder=EncoderSpec('patch', 48, patch_size=8),
        predictor=replace(spec.predictor, width=64, depth=2, heads=4))
    model = build(spec, device=device, seed=0).freeze()
    generator = torch.Generator(device).manual_seed(count)
    make_actions_matter(model, Latents(torch.randn(
        1, 1, 1, spec.grid, spec.grid, 48, device=device, generator=generator)))
    for i in range(count):
        generator = torch.Generator(device).manual_seed(i)
        context = Latents(torch.randn(1, 1, 1, spec.grid, spec.grid, 48, device=device,
                                      generator=generator))
        truth = 0.07 * torch.randn(4, 1, 7, device=device, generator=generator)
        with torch.no_grad():
            goal = model.unroll(context, model.normalize_actions(truth.clamp(-0.1, 0.1)))[-1:]
        yield second_step(model, context, goal, i)


def shipped_problems(name: str, weights_dir: str | None, frames: Path, count: int,
                     device: torch.device) -> Iterator[Problem] | None:
    """Problems of the shipped model from recorded frames four steps apart; None without weights.

    Without recorded frames the pictures are noise, which changes costs but not the comparison.
    """
    try:
        model = load_world_model(name, weights_dir=weights_dir, device=device)
    except CheckpointError:
        return None
    return _from_frames(model, list(_pairs(frames, count)))


def _from_frames(model: WorldModel, pairs: list[tuple[np.ndarray, np.ndarray]],
                 ) -> Iterator[Problem]:
    for i, (pictures, poses) in enumerate(pairs):
        with torch.no_grad():
            seen = model.encode(model.prepare_images(pictures),
                                torch.from_numpy(poses) if model.spec.uses_proprio else None)
        yield second_step(model, seen[:1], seen[1:], i)


def _pairs(folder: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures uint8 (2, S, S, 3) and poses (2, 7) four steps apart, one pair per episode."""
    found = 0
    for file in sorted(folder.glob('episodes_*.h5')):
        with h5py.File(file) as episodes:
            for episode in episodes.values():
                if found == count:
                    return
                if len(episode['frames']) > 4:
                    found += 1
                    yield episode['frames'][:5:4], episode['poses'][:5:4]
    rng = np.random.default_rng(0)
    for _ in range(count - found):
        poses = np.tile(np.array([0.5, 0, 0.2, math.pi, 0, 0, 0], np.float32), (2, 1))
        yield rng.integers(0, 256, (2, 96, 96, 3), np.uint8), poses


def second_step(model: WorldModel, context: Latents, goal: Latents, index: int) -> Problem:
    """Plan once, carry the first action out inaccurately, freeze what the model then sees."""
    planner = make_planner('icem', {**BOUNDS, 'horizon': 4, 'seed': index})
    plan = planner.plan(model.scorer(context, goal, Objective()))
    generator = torch.Generator().manual_seed(index)
    error = torch.tensor(ARM_ERROR) * torch.randn(7, generator=generator)
    action = plan.actions[:1, None] + error.to(plan.actions)
    with torch.no_grad():
        now = model.unroll(context, model.normalize_actions(action))[-1:]
    return Problem(model.scorer(now, goal, Objective()), candidates(plan)[:, 1:])


def plan_in_modes(label: str, problems: Iterator[Problem]) -> list[Figure]:
    """What the paper's plan costs in exact and fast mode, and how far the fast one is off."""
    paper = load_profile('paper').make_planner()
    took: dict[str, list[float]] = {'exact': [], 'fast': []}
    costs, moves = [], []
    for index, problem in enumerate(tqdm(problems, desc=f'{label}: plans per mode',
                                         file=sys.stderr, leave=False, unit='problem')):
        exact, plans = problem.cost, {}
        device = torch.device(exact.device)
        for mode, times in took.items():
            cost = in_mode(exact.model, mode).scorer(exact.context, exact.goal, exact.objective)
            times.append(seconds(lambda c=cost, m=mode, p=plans, i=index: p.update(
                {m: paper.plan(c, index=i)}), device))
        costs.append(float(exact(plans['fast'].actions[None])) / plans['exact'].cost - 1)
        moves.append(float((plans['fast'].actions[0] - plans['exact'].actions[0])[:3].norm()))
    context = f'{label}, {len(costs)} problems, CEM 15 x 300, same noise'
    return [
        *(Figure(f'{label}: paper plan in {mode} mode', statistics.median(times), 's',
                 f'{context}; median') for mode, times in took.items()),
        Figure(f'{label}: fast plan costs more', statistics.median(costs), 'relative',
               f'{context}; exact cost of the fast plan over the exact plan\'s, median; '
               f'worst {max(costs):.2g}'),
        Figure(f'{label}: fast first action off', statistics.median(moves) * 1e3, 'mm',
               f'{context}; median, worst {max(moves) * 1e3:.2g}')]


# -- the comparison --------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Reached:
    """Evaluations and seconds until a mark was met; infinite where it was not."""

    evaluations: float = math.inf
    seconds: float = math.inf


def compare_planners(model: str, problems: Iterator[Problem]) -> list[Figure]:
    """Evaluations and seconds of each planner until it has the paper's final cost."""
    paper = load_profile('paper').make_planner()
    runs: dict[str, list[tuple[Reached, Reached]]] = {name: [] for name in LIMIT}
    took, ratios = [], []
    for index, problem in enumerate(tqdm(problems, desc=f'{model}: planners', file=sys.stderr,
                                         leave=False, unit='problem')):
        cost, plans = problem.cost, []
        took.append(seconds(lambda c=cost, p=plans, i=index: p.append(paper.plan(c, index=i)),
                            torch.device(cost.device)))
        still = float(cost(torch.zeros(1, 3, cost.action_dim, device=cost.device)))
        final = plans[0].cost
        ratios.append(final / still)
        for name in LIMIT:
            if 'cem' in name or index % OTHERS_EVERY == 0:
                marks = (still + NEARLY * (final - still), final)
                runs[name].append(until(name, problem, marks, index))
    context = f'{model}, {len(took)} problems, CEM 15 x 300'
    figures = [
        Figure(f'{model}: cem paper seconds', statistics.median(took), 's', context),
        Figure(f'{model}: cem paper final cost over standing still', statistics.median(ratios), '',
               context)]
    for name, reached in runs.items():
        for mark, label in enumerate((f'{NEARLY:.0%} of the way', 'same cost')):
            figures += _figures(f'{model}: {name}, {label},', [r[mark] for r in reached])
    return figures


def until(name: str, problem: Problem, marks: tuple[float, float],
          index: int) -> tuple[Reached, Reached]:
    """What planner `name` needed until a candidate cost no more than each mark, highest first."""
    planner_name, changes = LIMIT[name]
    planner = make_planner(planner_name, {**BOUNDS, **changes, 'seed': 1000})
    reached: list[Reached] = []

    def look(best_cost: float, evaluations: int, elapsed: float) -> None:
        while len(reached) < len(marks) and best_cost <= marks[len(reached)]:
            reached.append(Reached(evaluations, elapsed))

    warm = problem.warm_start if name.endswith('warm') else None
    plan = planner.plan(
        problem.cost, warm_start=warm, index=index,
        on_iteration=lambda r: look(r.best_cost, r.evaluations, r.seconds),
        budget=Budget(cancelled=lambda: len(reached) == len(marks),
                      clock=clock(torch.device(problem.cost.device))))
    look(plan.cost, plan.evaluations, plan.seconds)  # the final mean, scored after the search
    first, second = (*reached, Reached(), Reached())[:2]
    return first, second


def _figures(title: str, reached: list[Reached]) -> list[Figure]:
    count, evaluations = len(reached), [r.evaluations for r in reached]
    share = sum(map(math.isfinite, evaluations)) / count
    third = sum(e <= PAPER_EVALUATIONS / 3 for e in evaluations) / count
    figures = [Figure(f'{title} reached', share, 'of problems', f'{count} problems'),
               Figure(f'{title} with a third', third, 'of problems',
                      f'{count} problems, at most {PAPER_EVALUATIONS // 3} evaluations')]
    middle = statistics.median_high(evaluations)
    if math.isfinite(middle):
        context = f'{count} problems, median, worst {max(evaluations)}'
        figures += [
            Figure(f'{title} evaluations', middle, '', context),
            Figure(f'{title} share of {PAPER_EVALUATIONS}', middle / PAPER_EVALUATIONS, '',
                   context),
            Figure(f'{title} seconds', statistics.median_high([r.seconds for r in reached]), 's',
                   f'{count} problems, median')]
    return figures
