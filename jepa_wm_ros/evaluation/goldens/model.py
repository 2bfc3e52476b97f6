# SPDX-License-Identifier: Apache-2.0
"""Golden model folders: pictures to latents, predictions, rollouts, costs, losses, plans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.evaluation.goldens.planning import planning_rows
from jepa_wm_ros.evaluation.goldens.row import GoldenError, Row, compared, relative_error
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.world_model.distance import distance, distance_curve
from jepa_wm_ros.world_model.files.checkpoints import load_world_model
from jepa_wm_ros.world_model.files.official import published_name
from jepa_wm_ros.world_model.files.safe_files import read_json
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.scoring.fast_rollout import unroll
from jepa_wm_ros.world_model.training_loss import LossSettings, frame_loss, training_loss

COSTS = {'L2': 'L2', 'L1': 'L1', 'cos': 'cosine'}
ALONE = {  # one term of the loss, by its recorded name, of the pictures alone
    'l1': LossSettings(l1=1.0, l2=0.0, proprio=False),
    'l2': LossSettings(l2=1.0, proprio=False),
    'cos': LossSettings(cosine=1.0, l2=0.0, proprio=False),
    'smooth_l1': LossSettings(smooth_l1=1.0, l2=0.0, proprio=False),
}
FORWARD = re.compile(r'fwd_T(\d+)_pred_(visual|proprio)$')
UNROLL = re.compile(r'unroll_T(\d+)_ctxt(\d+)_(visual|proprio)$')
COST = re.compile(r'cost_(L2|L1|cos)_sum([01])_alpha([\d.]+?)(_keepdims)?$')


class Golden:
    """The recorded inputs in one precision, and what the model makes of them."""

    def __init__(
        self, model: WorldModel, inputs: Mapping, cost_rollout: tuple[int, int], mode: str = 'plain'
    ) -> None:
        self.model, self.inputs, self.cost_rollout = model, inputs, cost_rollout
        self.mode = mode

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.inputs[name]).to(self.model.dtype)

    def latents(self, visual: str, proprio: str) -> Latents:
        """Recorded visual latents, with proprio from its normalised values."""
        features = None
        if self.model.spec.uses_proprio:
            features = self.model.proprio_features(self.tensor(proprio))
        return Latents(self.tensor(visual), features)

    @property
    def frames(self) -> Latents:
        return self.latents('fwd_visual', 'fwd_proprio')

    @property
    def goal(self) -> Latents:
        return self.latents('goal_visual', 'goal_p_normalised')

    @property
    def context(self) -> Latents:
        return self.latents('unroll_z0_visual', 'unroll_p0_normalised')

    def unroll(self, steps: int, window: int) -> Latents:
        actions = self.tensor('unroll_actions')[:steps]
        if self.mode == 'exact':
            return unroll(self.model, self.model.predictor, self.context, actions, window)
        return self.model.unroll(self.context, actions, window)

    def pixels(self, shape: str) -> Tensor:
        frames = torch.from_numpy(self.inputs[f'raw_{shape}']).flatten(0, 1).permute(0, 2, 3, 1)
        return self.model.prepare_images(frames)

    def compute(self, name: str) -> Tensor:
        """The array `name` of outputs.npz."""
        if match := FORWARD.match(name):
            steps, part = int(match[1]), match[2]
            predicted = self.model.predict(
                self.frames[:, :steps], self.tensor('fwd_actions')[:, :steps]
            )
            return getattr(predicted, part)
        if match := UNROLL.match(name):
            return getattr(self.unroll(int(match[1]), int(match[2])), match[3])
        if match := COST.match(name):
            objective = Objective(COSTS[match[1]], match[2] == '1', float(match[3]))
            rollout = self.unroll(*self.cost_rollout)
            measure = distance_curve if match[4] else distance
            return measure(rollout, self.goal, objective)
        return self._compute_encoding(name)

    def _compute_encoding(self, name: str) -> Tensor:
        kind, _, rest = name.partition('_')
        if kind == 'pixels':
            return self.pixels(rest).unsqueeze(1)
        if kind == 'encode':
            shape, _, part = rest.partition('_')
            proprio = None
            if self.model.spec.uses_proprio:
                count = self.inputs[f'raw_{shape}'].shape[0]
                proprio = self.tensor('raw_proprio')[:count]
            return getattr(self.model.encode(self.pixels(shape), proprio), part)
        if name == 'fwd_action_features':
            return self._action_features()
        sources = {
            'fwd_proprio_features': 'frames',
            'unroll_z0_proprio': 'context',
            'goal_proprio': 'goal',
        }
        if name in sources:
            return getattr(self, sources[name]).proprio
        raise GoldenError(f'array {name} is not one this project knows')

    def _action_features(self) -> Tensor:
        actions = self.tensor('fwd_actions')
        if self.model.spec.predictor.conditioning != 'feature':
            return actions
        features = self.model.predictor.action_encoder(actions)
        return features.unsqueeze(-2).expand(-1, -1, self.model.spec.grid**2, -1)


def model_rows(folder: Path) -> Iterator[Row]:
    """Rows of outputs.npz, train_loss.npz, cem*.npz and gd.npz of one model.

    Rollouts and their costs in plain mode, then in exact mode; planners score in exact mode.
    """
    config = read_json(folder / 'config.json')
    model = load_world_model(folder)
    inputs, outputs = np.load(folder / 'inputs.npz'), np.load(folder / 'outputs.npz')
    cost_rollout = _cost_rollout(outputs, config, model)
    names = [(name, 'plain') for name in outputs if '_f64' not in name]
    names += [(name, 'exact') for name, _ in names if UNROLL.match(name) or COST.match(name)]
    for name, mode in names:
        want64 = next((outputs[n] for n in _double_names(name) if n in outputs), None)
        errors = []
        for dtype in (torch.float32, torch.float64):
            with torch.no_grad():
                value = Golden(model.to(dtype), inputs, cost_rollout, mode).compute(name).numpy()
            want = outputs[name] if want64 is None or dtype == torch.float32 else want64
            errors.append(relative_error(value, want))
        single, double = errors
        shown = name if mode == 'plain' else f'{mode}/{name}'
        yield Row(folder.name, shown, single, double, exact=want64 is not None)
    model.to(torch.float32)
    if (folder / 'train_loss.npz').is_file():
        yield from _loss_rows(folder, config, model, inputs)
    yield from planning_rows(folder, config, model, inputs)


def _cost_rollout(outputs: Mapping, config: Mapping, model: WorldModel) -> tuple[int, int]:
    """(steps, window) of the recorded rollout the costs are of: as long as their curves."""
    curves = [len(outputs[name]) - 1 for name in outputs if name.endswith('_keepdims')]
    steps = curves[0] if curves else config['planner']['horizon']
    windows = [int(m[2]) for m in map(UNROLL.match, outputs) if m and int(m[1]) == steps]
    usual = model.spec.context_window
    return steps, usual if usual in windows or not windows else windows[0]


def _double_names(name: str) -> tuple[str, ...]:
    stem, _, part = name.rpartition('_')
    return f'{name}_f64', f'{stem}_f64_{part}'


def _loss_rows(folder: Path, config: Mapping, model: WorldModel, inputs: Mapping) -> Iterator[Row]:
    golden, train = np.load(folder / 'train_loss.npz'), config['train']
    weights = train['loss']
    settings = LossSettings(
        l1=weights['l1_loss_weight'],
        l2=weights['l2_loss_weight'],
        cosine=weights['cos_loss_weight'],
        smooth_l1=weights['smooth_l1_loss_weight'],
        rollout_steps=train['rollout_steps'],
        window=train['ctxt_window_train_rollout'],
        stop_gradient=train['rollout_stop_gradient'],
        proprio=weights.get('proprio_loss', True),
    )
    runs = []
    for dtype in (torch.float32, torch.float64):
        runs.append(_losses(Golden(model.to(dtype), inputs, (0, 0)), settings))
    model.to(torch.float32)
    for name in golden:
        if name in runs[0]:
            values = (run[name].reshape(golden[name].shape) for run in runs)
            yield compared(folder.name, f'train_loss/{name}', values, golden[name])
    norms = [np.array([run['norms'][str(n)] for n in golden['grad_param_names']]) for run in runs]
    yield compared(folder.name, 'train_loss/grad_param_norms', norms, golden['grad_param_norms'])


def _losses(golden: Golden, settings: LossSettings) -> dict[str, Any]:
    """Loss terms, and the gradient's norm for every parameter under its published name."""
    model = golden.model
    model.predictor.requires_grad_(True)
    frames, actions = golden.frames, golden.tensor('fwd_actions')
    loss = training_loss(model, frames, actions, settings)
    names, parameters = zip(*model.predictor.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss.total, parameters, allow_unused=True)
    model.predictor.requires_grad_(False)
    predicted, truth = model.predict(frames, actions)[:, :-1], frames[:, 1:]
    terms = {'tf_loss': loss.teacher_forcing, 'total_loss': loss.total}
    for name, alone in ALONE.items():
        terms[f'tf_visual_{name}'] = frame_loss(predicted, truth, alone)
    features = model.spec.predictor.proprio == 'feature'
    if features and predicted.proprio is not None and truth.proprio is not None:
        terms['tf_proprio_l2'] = frame_loss(
            Latents(predicted.proprio), Latents(truth.proprio), LossSettings()
        )
    if loss.rollout:
        terms['rollout_step2_loss'] = loss.rollout[0]
        rollout = sum(loss.rollout, torch.zeros_like(loss.total))
        terms['rollout_term'] = rollout / settings.rollout_steps
    norms = {}
    for name, gradient in zip(names, gradients, strict=True):
        published = published_name(name, model.spec).replace('/', '.')
        norms[published] = 0.0 if gradient is None else float(gradient.norm())
    return {**{k: v.detach().numpy() for k, v in terms.items()}, 'norms': norms}
