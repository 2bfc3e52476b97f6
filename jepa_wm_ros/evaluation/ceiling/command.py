# SPDX-License-Identifier: Apache-2.0
"""The oracle test: plan with the true dynamics, and see what encoder, cost and search allow.

    jepa-wm tasks ceiling wall --planner 64x8 300x30
    jepa-wm tasks ceiling wall --encoder efficientnet_lite0=lite0.pth random

What fails here, no predictor can repair. Each row is a distance (the judge's own, or that of an
encoder's latents), an objective and a planner; beside them who does not move, moves at random, goes
straight, and who knows the world. Tasks are drawn from --seed on: those of config/tasks, which
models are judged on, have seeds from 50000 on, and nothing is to be chosen by them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from jepa_wm_ros.errors import JepaWmError, exit_status
from jepa_wm_ros.evaluation.ceiling.costs import LatentCeiling, TrueCost
from jepa_wm_ros.evaluation.walks import Walk, baselines, half_width, walked
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.overwriting import add_force, refuse_what_is_there
from jepa_wm_ros.planning import make_planner
from jepa_wm_ros.tasks.frozen_worlds import sampled
from jepa_wm_ros.tasks.world import World, random_actions, roll
from jepa_wm_ros.tasks.worlds import WORLDS
from jepa_wm_ros.world_model import (
    EncoderSpec,
    ModelSpec,
    PredictorSpec,
    WorldModel,
    build,
    load_world_model,
)
from jepa_wm_ros.world_model.files.official import load_encoder
from jepa_wm_ros.world_model.files.safe_files import sha256

OBJECTIVES = {
    'last L2': Objective('L2'),
    'last L1': Objective('L1'),
    'all L2': Objective('L2', sum_all=True),
    'all L1': Objective('L1', sum_all=True),
}
WIDTHS = {'efficientnet_lite0': 112, 'efficientnet_lite1': 112, 'efficientnet_lite2': 120}


def encoder_of(told: str, img_size: int) -> tuple[str, WorldModel]:
    """An encoder by KIND=FILE, by the file of a world model whose encoder it is, or `random` for
    EfficientNet-lite0 that was never trained. img_size: of the pictures it sees [px]; a world
    model's own.
    """
    kind, _, file = told.partition('=')
    if Path(told).suffix == '.safetensors':
        known = load_world_model(told)
        return f'{known.spec.name} {known.spec.img_size} px', known
    if kind == 'random':
        kind, file = 'efficientnet_lite0', ''
    if kind not in WIDTHS:
        raise JepaWmError(
            f'{told!r} is no encoder: give KIND=FILE of {", ".join(WIDTHS)}, the .safetensors file '
            'of a world model, or random'
        )
    spec = ModelSpec(
        told,
        'adaln',
        EncoderSpec(kind, WIDTHS[kind], patch_size=16),
        PredictorSpec(16, 1, 1),
        action_dim=1,
        action_mean=(0.0,),
        action_std=(1.0,),
        img_size=img_size,
        image_mean=(0.5,) * 3,
        image_std=(0.5,) * 3,
        antialias=True,
    )
    model = build(spec, seed=0)
    if file:
        load_encoder(model.encoder, Path(file))
    return f'{kind if file else "random"} {img_size} px', model.freeze()


def planned(make_cost: Callable[..., Any], size: tuple[int, int], executed: int) -> Walk:
    """Plans of the published horizon, of which so many steps are carried out before the next."""

    def walk(world: World, state: np.ndarray, goal: np.ndarray, seed: int) -> np.ndarray:
        samples, iterations = size
        left, states = world.spec.model_steps, [state]
        planner = make_planner(
            'cem',
            {
                'horizon': world.spec.horizon,
                'num_samples': samples,
                'iterations': iterations,
                'num_elites': min(10, samples // 2),
                'var_scale': 1.0,
                'seed': seed,
            },
        )
        index = 0
        while left:
            cost = make_cost(state, goal)
            plan = planner.plan(cost, steps_left=left, index=index)
            count = min(executed, left)
            actions = plan.actions[:count].double().numpy() * cost.scale
            for action in actions:
                state = roll(world, state[None], action[None, None])[0]
                states.append(state)
            left, index = left - count, index + 1
        return np.stack(states)

    return walk


def rows(options: argparse.Namespace) -> Iterator[tuple[str, Walk]]:
    """Everything that the table compares."""
    world = WORLDS[options.world]()
    yield from baselines(world)
    scale = float(np.std(random_actions(world)))
    encoders = [encoder_of(told, options.img_size) for told in options.encoder]
    for objective, size, executed in itertools.product(
        options.objective, options.planner, options.executed
    ):
        samples, iterations = (int(n) for n in size.split('x'))
        told = f'{objective}, {size}, {executed} of {world.spec.horizon}'

        def true(state, goal, objective=objective):
            return TrueCost(world, state, goal, OBJECTIVES[objective], scale)

        yield f'true distance, {told}', planned(true, (samples, iterations), executed)
        for name, encoder in encoders:

            def latent(state, goal, objective=objective, encoder=encoder):
                return LatentCeiling(world, state, goal, OBJECTIVES[objective], scale, encoder)

            yield f'{name}, {told}', planned(latent, (samples, iterations), executed)


def evaluate(options: argparse.Namespace) -> Iterator[dict]:
    """Run every row on the same tasks; what each reached, as soon as it has."""
    world = WORLDS[options.world]()
    seeds = range(options.seed, options.seed + options.episodes)
    for name, walk in rows(options):
        begun, errors = time.monotonic(), []
        for seed in tqdm(seeds, desc=name, leave=False, disable=None):
            errors.append(walked(world, walk, sampled(world, seed), seed)[1][-1])
        reached = float(np.mean(np.array(errors) < world.spec.tolerance))
        found = {
            'row': name,
            'success': reached,
            'half_width': half_width(reached, len(errors)),
            'median': float(np.median(errors)),
            'seconds': (time.monotonic() - begun) / len(errors),
        }
        print(
            f'{name:<58} {reached:>5.0%} +-{found["half_width"]:.0%}  median '
            f'{found["median"]:7.2f}  {found["seconds"]:6.2f} s',
            flush=True,
        )
        yield found


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='jepa-wm tasks ceiling', description=__doc__.splitlines()[0]
    )
    parser.add_argument('world', choices=WORLDS)
    parser.add_argument(
        '--encoder', nargs='*', default=[], help='KIND=FILE, a world model, or random'
    )
    parser.add_argument('--objective', nargs='+', choices=OBJECTIVES, default=['last L2'])
    parser.add_argument('--planner', nargs='+', default=['64x8'], help='CANDIDATESxITERATIONS')
    parser.add_argument(
        '--executed', nargs='+', type=int, default=[1], help='model steps carried out of a plan'
    )
    parser.add_argument('--img-size', type=int, default=64, help='that the encoder sees [px]')
    parser.add_argument('--episodes', type=int, default=48)
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the first task (default 0); those of config/tasks, from 50000 on, are not met',
    )
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--out', type=Path, help='JSON file of the rows')
    add_force(parser)
    options = parser.parse_args(arguments)
    refuse_what_is_there(options.out, options.force)
    torch.set_num_threads(options.threads)
    files = {told: Path(told.partition('=')[2] or told) for told in options.encoder}
    record: dict[str, Any] = {
        'options': vars(options),
        'encoders': {told: sha256(file) for told, file in files.items() if file.is_file()},
        'rows': [],
    }
    for row in evaluate(options):
        record['rows'].append(row)
        if options.out:  # what takes hours is not lost when it is interrupted
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(record, default=str, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
