# SPDX-License-Identifier: Apache-2.0
"""Planning problems for the benchmark: the second step of a closed loop.

A first plan was made and its first action carried out, by the simulated arm for a model of the
cell, by the model itself with the inaccuracy of an arm for random weights. (With random weights an
action of zero does not stand still, so their goal is four steps away at first, then three.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.evaluation.bench.modes import make_actions_matter
from jepa_wm_ros.planning import make_planner
from jepa_wm_ros.planning.mpc import candidates, shifted
from jepa_wm_ros.world_model import (
    CheckpointError,
    EncoderSpec,
    LatentCost,
    Latents,
    WorldModel,
    build,
    load_world_model,
)
from jepa_wm_ros.world_model.files.registry import find

BOUNDS = {'max_norms': [0.1, 0.75], 'max_norm_dims': [[0, 1, 2, 3, 4, 5], [6]]}
ARM_ERROR = (0.005,) * 3 + (0.01,) * 3 + (0.0,)  # m, rad, closure; standard deviations
FIRST_SEED = 50_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A cost function, and what a first plan leaves to a warm start."""

    cost: Any
    warm_start: Tensor


def random_problems(count: int, device: torch.device, width: int) -> Iterator[Problem]:
    """Problems of a small model with random weights and reachable goals; 64 numbers per token are
    the size of the golden models.
    """
    spec = find('jepa_wm_droid').spec
    spec = spec.replace(
        img_size=32,
        encoder=EncoderSpec('patch', 48, patch_size=8),
        predictor=replace(spec.predictor, width=width, depth=2, heads=4),
    )
    model = build(spec, device=device, seed=0).freeze()
    generator = torch.Generator(device).manual_seed(FIRST_SEED)
    make_actions_matter(
        model,
        Latents(torch.randn(1, 1, 1, spec.grid, spec.grid, 48, device=device, generator=generator)),
    )
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        generator = torch.Generator(device).manual_seed(seed)
        context = Latents(
            torch.randn(1, 1, 1, spec.grid, spec.grid, 48, device=device, generator=generator)
        )
        truth = 0.07 * torch.randn(4, 1, 7, device=device, generator=generator)
        with torch.no_grad():
            goal = model.unroll(context, model.normalize_actions(truth.clamp(-0.1, 0.1)))[-1:]
        yield _imagined_second_step(model, context, goal, seed)


def _imagined_second_step(model: WorldModel, context: Latents, goal: Latents, seed: int) -> Problem:
    planner = make_planner('icem', {**BOUNDS, 'horizon': 4, 'seed': seed})
    plan = planner.plan(LatentCost(model, context, goal))
    error = torch.tensor(ARM_ERROR) * torch.randn(7, generator=torch.Generator().manual_seed(seed))
    action = plan.actions[:1, None] + error.to(plan.actions)
    with torch.no_grad():
        now = model.unroll(context, model.normalize_actions(action))[-1:]
    return Problem(LatentCost(model, now, goal), candidates(plan)[:, 1:])


def shipped_problems(
    name: str, weights_dir: str | None, count: int, device: torch.device
) -> Iterator[Problem] | None:
    """Problems of a model in the simulated cell, tasks as in the demo; None without weights."""
    try:
        model = load_world_model(name, weights_dir=weights_dir, device=device)
    except CheckpointError:
        return None
    return _second_steps_in_the_cell(model, count)


def _second_steps_in_the_cell(model: WorldModel, count: int) -> Iterator[Problem]:
    from jepa_wm_ros.sim.direct import DirectCell
    from jepa_wm_ros.tasks.cell import ReachCell

    def encode(frame: np.ndarray, pose: np.ndarray) -> Latents:
        with torch.no_grad():
            return model.encode(
                model.prepare_images(frame[None]), torch.as_tensor(pose[None], dtype=torch.float32)
            )

    with DirectCell() as cell:
        task = ReachCell(cell)
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            task.reset(seed)
            frame, pose = task.observe()
            here, goal = encode(frame, pose), encode(task.goals()[0], task.goal)
            planner = make_planner('icem', {**BOUNDS, 'seed': seed})
            plan = planner.plan(LatentCost(model, here, goal))
            task.act(task.waypoints(pose, plan.actions.double().cpu().numpy())[1], math.nan)
            now = encode(*task.observe())
            yield Problem(LatentCost(model, now, goal), shifted(candidates(plan), 1))
