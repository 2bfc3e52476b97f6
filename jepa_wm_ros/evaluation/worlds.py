# SPDX-License-Identifier: Apache-2.0
"""How models reach in the paper's simulated tasks.

    jepa-wm tasks evaluate wall --model wall.safetensors --executed 6 1

Success is the published one, within the tolerance at the last step, of episodes of the published
length, by the control loop of the planner node. 6 executed steps are one open-loop plan, as
published; 1 plans anew after each. Beside them who does not move, moves at random, goes straight,
and who knows the world. Tasks are those of config/tasks, which nothing has been chosen by.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.closed_loop.baselines import Cloned
from jepa_wm_ros.evaluation.closed_loop.trials import Policy, Trial, run_trial
from jepa_wm_ros.evaluation.normalized import NormalizedMpc
from jepa_wm_ros.evaluation.world_rows import (
    Row,
    baseline_rows,
    head,
    labels,
    line,
    means,
    offsets,
    planned_row,
)
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.overwriting import add_force, refuse_what_is_there
from jepa_wm_ros.planning import PLANNERS, Profile, load_profile
from jepa_wm_ros.tasks.frozen_worlds import FrozenTask, WorldTasks, read
from jepa_wm_ros.tasks.world import World
from jepa_wm_ros.tasks.worlds import WORLDS
from jepa_wm_ros.world_model import load_world_model
from jepa_wm_ros.world_model.files.checkpoints import weights_file
from jepa_wm_ros.world_model.files.safe_files import sha256

ADAM_LR = 0.1  # in normalised actions; as to var_scale, what its default is on an arm
CLONING = 'behaviour cloning'


def profile_for(
    *,
    profile: str = 'tasks/paper',
    planner: str = 'cem',
    size: str = '',
    objective: str = 'last L2',
    alpha: float = 0.1,
    executed: int = 6,
) -> Profile:
    """The profile, of searches in normalised actions (normalized.py), with what is told in place
    of its own. size: CANDIDATESxITERATIONS.
    """
    base = load_profile(profile, planner=planner)
    settings: dict[str, Any] = {}
    if planner == 'adam' != load_profile(profile).planner:
        settings['lr'] = ADAM_LR
    if size:
        samples, iterations = (int(number) for number in size.split('x'))
        settings |= {'num_samples': samples, 'iterations': iterations}
        if hasattr(base.settings, 'num_elites'):
            settings['num_elites'] = min(base.settings.num_elites, max(2, samples // 2))
    counted, kind = objective.split()
    return dataclasses.replace(
        load_profile(profile, planner=planner, settings=settings),
        steps_executed=executed,
        objective=Objective(kind, sum_all=counted == 'all', alpha=alpha),
    )


def trials(world: World, policy: Policy, tasks: WorldTasks) -> list[tuple[Trial, np.ndarray]]:
    """Of a policy in each of these tasks, with the state (S,) that it ended in."""
    task, steps = FrozenTask(world, tasks), world.spec.model_steps
    bar = tqdm(tasks.tasks, desc=policy.name, leave=False, disable=None)
    return [(run_trial(task, policy, seed, steps), task.state) for seed in bar]


def session_of(name: str | Path, device: str = 'cpu') -> ModelSession:
    """A model whose plans never end before the episode does, as the published ones, and that looks
    at every picture: here a foreign one moves no arm.
    """
    model = load_world_model(name, device=device)
    model.familiarity = None
    model.spec = model.spec.replace(reached_distance=None)
    return ModelSession(model)


def planned(name: str, session: ModelSession, profile: Profile) -> Policy:
    """Model-predictive control in the normalised actions of the session's model."""
    spec = session.model.spec
    return Policy(name, lambda task, seed: NormalizedMpc(profile, spec), session, profile)


def cloned(session: ModelSession, name: str) -> Policy:
    """Behaviour cloning by the model's own head."""
    return Policy(name, lambda task, seed: Cloned(), session, profile_for())


def rows(
    world: World, tasks: WorldTasks, options: argparse.Namespace
) -> Iterator[tuple[str, Row | None]]:
    """The name of each row, and what was reached; None where a model cannot."""
    yield from baseline_rows(world, tasks).items()
    for told, label in labels(options.model).items():
        session, name = session_of(told, options.device), f'{label}, {CLONING}'
        if session.model.proposal is None:
            yield name, None
        else:
            ran = trials(world, cloned(session, name), tasks)
            yield name, planned_row(world, tasks, ran, None)
        published = load_profile(world.spec.profile).steps_executed
        for executed in options.executed or [published, 1]:
            name = f'{label}, {executed} of {world.spec.horizon} executed'
            profile = profile_for(
                profile=options.profile or world.spec.profile,
                planner=options.planner,
                size=options.size,
                objective=options.objective,
                alpha=options.alpha,
                executed=executed,
            )
            ran = trials(world, planned(name, session, profile), tasks)
            yield name, planned_row(world, tasks, ran, profile)


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='jepa-wm tasks evaluate', description=__doc__.splitlines()[0]
    )
    parser.add_argument('world', choices=WORLDS)
    parser.add_argument('--model', nargs='+', default=[], help='names or weights files')
    parser.add_argument('--profile', help="planner's (default: the world's)")
    parser.add_argument('--planner', default='cem', choices=sorted(PLANNERS))
    parser.add_argument('--size', default='', help="CANDIDATESxITERATIONS (default: the profile's)")
    parser.add_argument(
        '--objective', default='last L2', choices=('last L2', 'last L1', 'all L2', 'all L1')
    )
    parser.add_argument('--alpha', type=float, default=0.1, help="weight of proprioception's part")
    parser.add_argument('--executed', nargs='+', type=int, help='(default: as published, and 1)')
    parser.add_argument(
        '--tasks',
        help="frozen tasks: a name in config/tasks or a .json file (default: the world's)",
    )
    parser.add_argument(
        '--episodes', type=int, default=48, help='the first of the file (default %(default)s)'
    )
    parser.add_argument('--device', default='cpu', help='torch device (default cpu)')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, help='JSON file of the rows')
    add_force(parser)
    options = parser.parse_args(arguments)
    refuse_what_is_there(options.out, options.force)
    torch.set_num_threads(options.threads)
    world, found = WORLDS[options.world](), dict[str, Row]()
    tasks = read(options.tasks or options.world, world).first(options.episodes)
    weights = {
        label: {'file': str(file), 'sha256': sha256(file)}
        for told, label in labels(options.model).items()
        for file in [weights_file(told)]
    }
    print(offsets(world, tasks))
    for label, of in weights.items():
        print(f'{label}: {of["file"]} (SHA-256 {of["sha256"][:12]})')
    print(head(), flush=True)
    for name, row in rows(world, tasks, options):
        if row is None:
            print(f'{name.removesuffix(CLONING)}no {CLONING}: the model has no such head')
            continue
        found[name] = row
        print(line(name, row), flush=True)
    for name, row in means(found).items():
        found[name] = row
        print(line(name, row), flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        told = {
            'options': vars(options),
            'tasks': {'sha256': tasks.sha256, 'seeds': list(tasks.tasks)},
            'weights': weights,
            'rows': found,
        }
        options.out.write_text(json.dumps(told, default=str, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
