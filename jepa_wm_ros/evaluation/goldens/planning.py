# SPDX-License-Identifier: Apache-2.0
"""Golden planner runs: the cross-entropy method and gradient descent, replayed noise by noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.evaluation.goldens.row import Row, compared, relative_error
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.planning.protocol import IterationReport
from jepa_wm_ros.planning.registry import make_planner
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.scoring.scorer import LatentCost

OBJECTIVE = {'L2': 'L2', 'L1': 'L1', 'repr_sim': 'cosine'}


def planning_rows(
    folder: Path, config: Mapping[str, Any], model: WorldModel, inputs: Mapping
) -> Iterator[Row]:
    """Rows of cem*.npz and gd.npz; `model` is in float32 before and after."""
    spec = model.spec
    plain = spec.replace(
        action_mean=(0.0,) * len(spec.action_mean), action_std=(1.0,) * len(spec.action_std)
    )
    model.spec = plain  # the recorded planners searched normalised actions
    try:
        for path in sorted(folder.glob('cem*.npz')):
            yield from _cem_rows(folder.name, path, config['planner'], model, inputs)
        if (folder / 'gd.npz').is_file():
            yield from _gd_rows(folder, config['planner'], model, inputs)
    finally:
        model.spec = spec


def _cem_rows(
    family: str, path: Path, planner: Mapping, model: WorldModel, inputs: Mapping
) -> Iterator[Row]:
    golden = dict(np.load(path))
    settings = {
        key: planner[key]
        for key in (
            'horizon',
            'num_samples',
            'num_elites',
            'var_scale',
            'max_norms',
            'max_norm_dims',
            'momentum_mean',
            'momentum_std',
        )
    }
    settings['iterations'] = len(golden['noise'])
    for key in ('momentum_mean', 'momentum_std'):
        if key in golden:
            settings[key] = float(golden[key])
    stepped = int(golden.get('num_act_stepped', planner['num_act_stepped']))
    runs = {}
    for dtype in (torch.float32, torch.float64):
        cost = _cost({**inputs, **golden}, planner, model.to(dtype))
        runs[dtype] = _replay('cem', settings, cost, list(golden['noise']), stepped)
    model.to(torch.float32)
    single, double = runs.values()
    for name in single:
        if name in golden:
            want64 = golden.get(f'{name}_f64')
            pair = golden[name], golden[name] if want64 is None else want64
            # A spread of nearly equal costs is as uncertain as the costs it is computed from.
            scale = np.abs(golden['losses']).max() if name == 'elite_std' else None
            yield Row(
                family,
                f'{path.stem}/{name}',
                relative_error(single[name], pair[0], scale),
                relative_error(double[name], pair[1], scale),
                exact=want64 is not None,
                note='relative to the largest cost' if scale else '',
            )
    yield _elites_row(family, path.stem, golden, single, double)


def _elites_row(family: str, stem: str, golden: Mapping, single: Mapping, double: Mapping) -> Row:
    """0 when both precisions pick the recorded elites at every iteration, else infinite."""
    want = np.sort(golden['elite_idx'])
    error32, error64 = (
        0.0
        if np.array_equal(np.sort(elite_indices(run['costs'], want.shape[1])), want)
        else float('inf')
        for run in (single, double)
    )
    return Row(
        family, f'{stem}/elite_idx', error32, error64, note=f'sets of {len(want)} iterations'
    )


def elite_indices(costs: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(costs, axis=1, kind='stable')[:, :count]


def _gd_rows(folder: Path, planner: Mapping, model: WorldModel, inputs: Mapping) -> Iterator[Row]:
    golden = np.load(folder / 'gd.npz')
    settings = {key: planner[key] for key in ('horizon', 'var_scale', 'max_norms', 'max_norm_dims')}
    settings |= {
        'iterations': int(golden['iterations']),
        'lr': float(golden['lr']),
        'action_noise': float(golden['action_noise']),
    }
    noise = [golden['init_noise'], *golden['step_noise']]
    runs = []
    for dtype in (torch.float32, torch.float64):
        cost = _cost(inputs, planner, model.to(dtype))
        runs.append(_replay('gd', settings, cost, noise, len(golden['gd_actions'])))
    model.to(torch.float32)
    for name, key in (('actions', 'result_actions'), ('losses', 'losses')):
        for method in ('gd', 'adam'):
            array = f'{method}_{name}'
            results = (run[key] for run in runs)
            yield compared(folder.name, f'gd/{array}', results, golden[array])


@torch.no_grad()
def _cost(arrays: Mapping, planner: Mapping, model: WorldModel) -> LatentCost:
    """The recorded planner's cost; proprio is encoded anew in the model's own precision."""

    def latents(visual: str, proprio: str) -> Latents:
        return Latents(_tensor(arrays[visual], model), _features(arrays, proprio, model))

    wanted = planner['planning_objective']
    objective = Objective(
        OBJECTIVE[wanted['objective_type']],
        bool(arrays.get('sum_all_diffs', wanted['sum_all_diffs'])),
        wanted['alpha'],
    )
    start = 'z0_visual' if 'z0_visual' in arrays else 'unroll_z0_visual'
    return LatentCost(
        model,
        latents(start, 'unroll_p0_normalised'),
        latents('goal_visual', 'goal_p_normalised'),
        objective,
    )


def _features(arrays: Mapping, name: str, model: WorldModel) -> Tensor | None:
    if not model.spec.uses_proprio:
        return None
    return model.proprio_features(_tensor(arrays[name], model))


def _tensor(array: np.ndarray, model: WorldModel) -> Tensor:
    return torch.from_numpy(array).to(model.dtype)


def _replay(
    method: str, settings: Mapping, cost: LatentCost, noise: list[np.ndarray], stepped: int
) -> dict[str, np.ndarray]:
    """The arrays of a planner run whose random numbers are `noise`, in order."""
    draws, log = iter(noise), []

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(next(draws)).to(cost.dtype).view(shape)

    def keep(report: IterationReport) -> None:
        log.append(replace(report, actions=report.actions.clone(), costs=report.costs.clone()))

    plan = make_planner(method, dict(settings)).plan(cost, on_iteration=keep, draw=draw)
    costs = torch.stack([report.costs for report in log])
    arrays = {
        'costs': costs,
        'result_actions': plan.actions[:stepped],
        'losses': costs.amin(dim=1, keepdim=True),
    }
    if method == 'cem':
        elites = costs.topk(settings['num_elites'], dim=1, largest=False).values
        arrays |= {
            'actions': torch.stack([report.actions.transpose(0, 1) for report in log]),
            # CEM reports both at every iteration.
            'means': torch.stack([r.mean for r in log if r.mean is not None]),
            'stds': torch.stack([r.std for r in log if r.std is not None]),
            'elite_mean': elites.mean(dim=1, keepdim=True),
            'elite_std': elites.std(dim=1, keepdim=True),
        }
    return {name: value.numpy() for name, value in arrays.items()}
