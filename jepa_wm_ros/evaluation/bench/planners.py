# SPDX-License-Identifier: Apache-2.0
"""How many evaluations and seconds each planner needs for the final cost of the paper's CEM.

All planners start from zero, iCEM also from its shifted previous plan (problems.py), and all from
what the model proposes, where it has that head.
Evaluations are candidates scored, and GRADIENT_WORTH for each gradient. Where a cost has several
valleys CEM's own final cost changes with its seed: 'cem again' is the paper's planner with another
one, and shows what reaching the very same cost can mean. NEARLY is the mark that matters to an arm:
99 % of the way from standing still to that cost.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from jepa_wm_ros.evaluation.bench.problems import BOUNDS, Problem
from jepa_wm_ros.evaluation.bench.result import Figure, clock, measured
from jepa_wm_ros.planning import Budget, load_profile, make_planner
from jepa_wm_ros.world_model import LatentCost

PAPER_EVALUATIONS = 15 * 300
GRADIENT_WORTH = 3  # evaluations; modes.py measures about two
NEARLY = 0.99
OTHERS_EVERY = 5  # those that nothing is compared with problem by problem take every fifth
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    'icem warm': ('icem', {}),
    'icem': ('icem', {}),
    'icem warm, samples alone': ('icem', {'descents': 0, 'rounds': 1, 'iterations': 90}),
    'icem proposed': ('icem', {}),
    'cem again': ('cem', {}),
    'cem proposed': ('cem', {}),
    'mppi': ('mppi', {}),
    'mppi proposed': ('mppi', {}),
    'nevergrad': ('nevergrad', {}),
    'nevergrad proposed': ('nevergrad', {}),
    'adam': ('adam', {'iterations': 250}),
    'adam proposed': ('adam', {'iterations': 250}),
    'gd': ('gd', {'var_scale': 0.1}),
    'gd proposed': ('gd', {'var_scale': 0.1}),
}


def plan_in_modes(label: str, problems: Iterator[Problem], count: int) -> list[Figure]:
    """What the paper's plan costs in exact and fast mode, and how far the fast one is off."""
    paper = load_profile('paper').make_planner()
    took: dict[str, list[float]] = {'exact': [], 'fast': []}
    costs, moves = [], []
    for index, problem in enumerate(
        tqdm(
            problems,
            desc=f'{label}: plans per mode',
            file=sys.stderr,
            leave=False,
            unit='problem',
            total=count,
        )
    ):
        exact, plans = problem.cost, {}
        device = torch.device(exact.device)
        for mode, times in took.items():
            cost = LatentCost(exact.model, exact.context, exact.goal, exact.objective, mode)
            plans[mode], seconds = measured(partial(paper.plan, cost, index=index), device)
            times.append(seconds)
        costs.append(float(exact(plans['fast'].actions[None])) / plans['exact'].cost - 1)
        moves.append(float((plans['fast'].actions[0] - plans['exact'].actions[0])[:3].norm()))
    context = f'{label}, {len(costs)} problems, CEM 15 x 300, same noise'
    return [
        *(
            Figure(
                f'{label}: paper plan in {mode} mode',
                statistics.median(times),
                's',
                f'{context}; median',
            )
            for mode, times in took.items()
        ),
        Figure(
            f'{label}: fast plan costs more',
            statistics.median(costs),
            'relative',
            f"{context}; exact cost of the fast plan over the exact plan's, median; "
            f'worst {max(costs):.2g}',
        ),
        Figure(
            f'{label}: fast first action off',
            statistics.median(moves) * 1e3,
            'mm',
            f'{context}; median, worst {max(moves) * 1e3:.2g}',
        ),
    ]


# -- the comparison --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reached:
    """Evaluations and seconds until a mark was met; infinite where it was not."""

    evaluations: float = math.inf
    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Run:
    """One planner on one problem: when it met each mark, and where it ended."""

    marks: tuple[Reached, ...]
    cost: float
    evaluations: int


def compare_planners(model: str, problems: Iterator[Problem], count: int) -> list[Figure]:
    """Evaluations and seconds of each planner until it has the paper's final cost."""
    paper = load_profile('paper').make_planner()
    runs: dict[str, list[Run]] = {name: [] for name in RUNS}
    finals: dict[str, list[float]] = {name: [] for name in RUNS}
    took, ratios = [], []
    for index, problem in enumerate(
        tqdm(
            problems,
            desc=f'{model}: planners',
            file=sys.stderr,
            leave=False,
            unit='problem',
            total=count,
        )
    ):
        cost = problem.cost
        plan, seconds = measured(partial(paper.plan, cost, index=index), torch.device(cost.device))
        took.append(seconds)
        still = float(cost(torch.zeros(1, 3, cost.action_dim, device=cost.device)))
        final = plan.cost
        ratios.append(final / still)
        for name in RUNS:
            if 'proposed' in name and cost.proposal is None:
                continue
            paired = 'cem' in name or cost.proposal is not None and 'mppi' in name
            if paired or index % OTHERS_EVERY == 0:
                runs[name].append(
                    run(name, problem, (still + NEARLY * (final - still), final), index)
                )
                finals[name].append(runs[name][-1].cost / final)
    context = f'{model}, {len(took)} problems, CEM 15 x 300'
    figures = [
        Figure(f'{model}: cem paper seconds', statistics.median(took), 's', context),
        Figure(
            f'{model}: cem paper final cost over standing still',
            statistics.median(ratios),
            '',
            context,
        ),
    ]
    for name, ran in ((name, ran) for name, ran in runs.items() if ran):
        for mark, label in enumerate((f'{NEARLY:.0%} of the way', 'same cost')):
            figures += _figures(f'{model}: {name}, {label},', [r.marks[mark] for r in ran])
        figures.append(
            Figure(
                f"{model}: {name}, final cost over cem's",
                statistics.median(finals[name]),
                '',
                f'{len(ran)} problems, median, worst {max(finals[name]):.3f}, after '
                f'{statistics.median(r.evaluations for r in ran):.0f} evaluations',
            )
        )
    return figures


def run(name: str, problem: Problem, marks: tuple[float, ...], index: int) -> Run:
    """Let planner `name` plan to its end; when a candidate first cost no more than each mark
    (highest first), and where it ended.
    """
    planner_name, changes = RUNS[name]
    planner = make_planner(planner_name, {**BOUNDS, **changes, 'seed': 1000})
    reached: list[Reached] = []

    def look(said, cost: float) -> None:
        while len(reached) < len(marks) and cost <= marks[len(reached)]:
            reached.append(Reached(_evaluations(said), said.seconds))

    plan = planner.plan(
        problem.cost,
        warm_start=_start(name, problem),
        index=index,
        on_iteration=lambda said: look(said, said.best_cost),
        budget=Budget(clock=clock(torch.device(problem.cost.device))),
    )
    look(plan, plan.cost)  # the final mean, scored after the search
    reached += [Reached()] * (len(marks) - len(reached))
    return Run(tuple(reached), plan.cost, _evaluations(plan))


def _start(name: str, problem: Problem) -> torch.Tensor | None:
    if 'proposed' in name:
        return problem.cost.proposal
    return problem.warm_start if 'warm' in name else None


def _evaluations(said) -> int:
    """Of an IterationReport or Plan, gradients counted for what they are worth."""
    return said.evaluations + (GRADIENT_WORTH - 1) * said.gradients


def _figures(title: str, reached: list[Reached]) -> list[Figure]:
    count, evaluations = len(reached), [r.evaluations for r in reached]
    share = sum(map(math.isfinite, evaluations)) / count
    figures = [Figure(f'{title} reached', share, 'of problems', f'{count} problems')]
    if not share:
        return figures
    for part, label in ((3, 'a third'), (10, 'a tenth')):
        within = sum(e <= PAPER_EVALUATIONS / part for e in evaluations) / count
        figures.append(
            Figure(
                f'{title} with {label}',
                within,
                'of problems',
                f'{count} problems, at most {PAPER_EVALUATIONS // part} evaluations',
            )
        )
    middle = statistics.median_high(evaluations)
    if math.isfinite(middle):
        context = f'{count} problems, median, worst {max(evaluations)}'
        figures += [
            Figure(f'{title} evaluations', middle, '', context),
            Figure(
                f'{title} share of {PAPER_EVALUATIONS}', middle / PAPER_EVALUATIONS, '', context
            ),
            Figure(
                f'{title} seconds',
                statistics.median_high([r.seconds for r in reached]),
                's',
                f'{count} problems, median',
            ),
        ]
    return figures
