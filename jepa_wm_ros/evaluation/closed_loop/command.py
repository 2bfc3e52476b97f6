# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials in the simulated cell by direct stepping: no ROS, no arm protocol, fast.

    python -m jepa_wm_ros.evaluation.closed_loop --model jepa_wm_cell --planner cell cell/icem
    python -m jepa_wm_ros.evaluation.closed_loop --tasks reach --model a.safetensors b.safetensors

Every row of the table sees the same tasks: start, goal, cube and light come from the seed alone, or
from a file of frozen tasks (tasks/frozen.py). Several models, say of several seeds of one training,
also get a row of their mean and spread.
The goal is a picture; the true pose serves the judge and the straight line (the ceiling). The loop
is the one of the planner node.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch

from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.closed_loop.baselines import (
    Cloned,
    NoMotion,
    RandomActions,
    StraightLine,
)
from jepa_wm_ros.evaluation.closed_loop.table import faults, spread, summarise, table
from jepa_wm_ros.evaluation.closed_loop.trials import Policy, Trial, run_trial
from jepa_wm_ros.overwriting import add_force, refuse_what_is_there
from jepa_wm_ros.planning import PLANNERS, load_profile
from jepa_wm_ros.tasks import frozen
from jepa_wm_ros.tasks.cell import ReachCell
from jepa_wm_ros.tasks.frozen import FrozenTasks
from jepa_wm_ros.world_model import load_world_model


def policies(options: argparse.Namespace) -> Iterator[Policy]:
    """The rows asked for: baselines, then every model with every planner."""
    if not options.no_baselines:
        yield Policy('no motion', lambda task, seed: NoMotion())
        yield Policy('random actions', lambda task, seed: RandomActions(seed))
        yield Policy(
            'straight line (knows the pose)',
            lambda task, seed: StraightLine(cast(ReachCell, task)),  # all tasks here are
        )
    for name in options.model:
        model = load_world_model(name, weights_dir=options.weights_dir)
        session = ModelSession(model)
        if model.proposal is not None and not options.no_baselines:
            yield Policy(
                f'{Path(name).stem} behaviour cloning',
                lambda task, seed: Cloned(),
                session,
                load_profile('cell'),
            )
        for choice in options.planner:
            label = choice if len(options.model) == 1 else f'{Path(name).stem} {choice}'
            yield Policy.planned(label, session, load_profile(*_profile_and_planner(choice)))


def _profile_and_planner(choice: str) -> tuple[str, str | None]:
    """`cell/icem` names a profile and another planner for it; a file may have slashes too."""
    profile, _, planner = choice.rpartition('/')
    return (profile, planner) if profile and planner in PLANNERS else (choice, None)


def chosen_tasks(options: argparse.Namespace) -> FrozenTasks:
    """Those of a file, or those that the seeds mean now."""
    if options.tasks:
        return frozen.read(options.tasks)
    seeds = range(options.seed, options.seed + options.episodes)
    return frozen.draw(options.cell, seeds, options.steps)


def evaluate(options: argparse.Namespace, tasks: FrozenTasks) -> dict[str, list[Trial]]:
    """Run all policies on all tasks; the trials of each."""
    from tqdm import tqdm

    from jepa_wm_ros.sim.design import cell_design
    from jepa_wm_ros.sim.direct import DirectCell

    chosen = list(policies(options))
    trials: dict[str, list[Trial]] = {policy.name: [] for policy in chosen}
    with (
        DirectCell(design=cell_design(tasks.cell)) as cell,
        tqdm(total=len(chosen) * len(tasks.tasks), unit='episode') as bar,
    ):
        task = ReachCell(cell, tasks)
        for policy, seed in itertools.product(chosen, tasks.tasks):
            bar.set_postfix_str(policy.name)
            trials[policy.name].append(
                run_trial(
                    task, policy, seed, tasks.steps, no_progress_steps=options.no_progress_steps
                )
            )
            bar.update()
    return trials


def report(trials: dict[str, list[Trial]], out: Path | None) -> str:
    """The table of all trials; rows, distances and successes also as JSON in `out`."""
    rows = [summarise(name, ran) for name, ran in trials.items()]
    rows += spread(rows)
    if out:
        record = {
            'rows': rows,
            'errors_cm': {
                name: [[100 * e for e in t.errors] for t in r] for name, r in trials.items()
            },
            'success': {name: [t.success for t in ran] for name, ran in trials.items()},
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1))
    said = [faults(name, ran) for name, ran in trials.items()]
    return '\n'.join([table(rows), *filter(None, said)])


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='closed_loop', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--model',
        nargs='+',
        default=['jepa_wm_cell'],
        help='model names or weights files (default %(default)s)',
    )
    parser.add_argument(
        '--planner',
        nargs='+',
        default=['cell'],
        help='profiles, or PROFILE/PLANNER for a profile with another planner '
        '(default %(default)s)',
    )
    parser.add_argument(
        '--tasks',
        help='frozen tasks, in place of --episodes, --steps, --seed and --cell: a name in '
        'config/tasks or a .json file',
    )
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--steps', type=int, default=15, help='steps per episode')
    parser.add_argument(
        '--no-progress-steps',
        type=int,
        default=0,
        help='steps without a new lowest cost after which the loop stops, as in the planner node; '
        '0: never (default)',
    )
    parser.add_argument('--seed', type=int, default=1000, help='seed of the first task')
    parser.add_argument('--cell', type=int, default=0, help='which cell: 0 is the usual one')
    parser.add_argument('--weights-dir', type=Path, default=None)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--no-baselines',
        action='store_true',
        help='leave out no motion, random actions and the straight line',
    )
    parser.add_argument('--out', type=Path, default=None, help='JSON file for rows and errors')
    add_force(parser)
    options = parser.parse_args(arguments)
    refuse_what_is_there(options.out, options.force)
    torch.set_num_threads(options.threads)
    tasks = chosen_tasks(options)
    table_of_all = report(evaluate(options, tasks), options.out)
    print(f'{tasks.summary()}; closed loop\n{table_of_all}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
