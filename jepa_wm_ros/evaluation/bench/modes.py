# SPDX-License-Identifier: Apache-2.0
"""Seconds per sample and step of the published models' sizes in the modes plain, exact and fast,
on a GPU also compiled.

A sample-step is one candidate imagined one step further. The modes take turns, so that a busy
machine slows all of them alike; ratios are medians over rounds of times from the same round.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from jepa_wm_ros.evaluation.bench.result import Figure, MatrixRates, measured, seconds
from jepa_wm_ros.objective import MODES
from jepa_wm_ros.world_model import EncoderSpec, LatentCost, Latents, WorldModel, build
from jepa_wm_ros.world_model.files.registry import find
from jepa_wm_ros.world_model.scoring.fast_rollout import unroll

HORIZON, PAPER_SAMPLES, PAPER_ITERATIONS = 3, 300, 15
SIZES = {'jepa_wm_droid': 6, 'dino_wm_droid': 16, 'vjepa2_ac_droid': 4}  # candidates on a CPU
ACTION_STD = 0.05
RESPONSE = 0.4  # jepa_wm_cell's after 3 steps: standard deviation over candidates / features
CALIBRATIONS, LARGEST_FACTOR = 8, 1000.0


@dataclass(slots=True)
class Timed:
    """One mode: its cost function, its times per round and the costs (N,) of the newest round."""

    score: LatentCost
    times: list[float] = field(default_factory=list)
    costs: Tensor = field(default_factory=lambda: torch.empty(0))


def measure_modes(
    name: str, device: torch.device, rates: MatrixRates, samples: int, repeats: int
) -> list[Figure]:
    """Figures of the predictor of model `name`, random weights, on `device`."""
    samples = samples or (PAPER_SAMPLES if device.type == 'cuda' else SIZES[name])
    actions = ACTION_STD * torch.randn(
        samples, HORIZON, 7, device=device, generator=torch.Generator(device).manual_seed(1)
    )
    timed = {mode: Timed(score) for mode, score in scorers(name, device).items()}
    rounds = [(mode, turn) for turn in range(repeats + 1) for mode in timed]
    for mode, turn in tqdm(rounds, desc=f'{name}: modes', file=sys.stderr, leave=False):
        one = timed[mode]
        if turn == 0:  # compiles, converts weights, fills caches
            one.score(actions[:1])
            continue
        one.costs, took = measured(partial(one.score, actions), device)
        one.times.append(took / (samples * HORIZON))
    context = f'{name} sizes, random weights, {device}, {samples} samples x H{HORIZON}'
    return [
        *_speeds(name, timed, rates, actions, context),
        *_slopes(name, timed, actions, device),
        *_deviations(name, timed, actions, context),
    ]


def scorers(name: str, device: torch.device) -> dict[str, LatentCost]:
    """A random model's cost function in each mode; on a CPU not compiled, which gains nothing."""
    spec = find(name).spec
    encoder = EncoderSpec('patch', spec.encoder.width, patch_size=spec.encoder.patch_size)
    spec = spec.replace(encoder=encoder)  # the real encoder runs once per plan, it is not timed
    model = build(spec, device=device, seed=0).freeze()
    generator = torch.Generator(device).manual_seed(2)
    side, width = spec.grid, spec.encoder.width
    context = Latents(torch.randn(1, 1, 1, side, side, width, device=device, generator=generator))
    truth = ACTION_STD * torch.randn(HORIZON, 1, 7, device=device, generator=generator)
    with torch.no_grad(), all_threads():
        make_actions_matter(model, context)
        goal = imagined(model, context, truth)[-1:]
    modes = [mode for mode in MODES if mode != 'compiled' or device.type == 'cuda']
    return {mode: LatentCost(model, context, goal, mode=mode) for mode in modes}


def make_actions_matter(model: WorldModel, context: Latents) -> None:
    """Give random weights the gain of trained ones: every layer keeps the size of its input, and
    imagined frames differ by what was done as much as a trained model's do (RESPONSE). With the
    small weights training begins from they hardly differ, and any rounding looks enormous.
    """
    for layer in model.predictor.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(layer.in_features**-0.5 / layer.weight.std())
    actions = ACTION_STD * torch.randn(HORIZON, 2, 7, generator=torch.Generator().manual_seed(3))
    for _ in range(CALIBRATIONS):
        z = imagined(model, context, actions.to(model.device))[-1].visual.flatten(1)
        response = float((z[0] - z[1]).std() / z.std()) / math.sqrt(2)
        if 0.6 < response / RESPONSE < 1.5:
            break
        model.predictor.action_encoder.weight.mul_(min(RESPONSE / response, LARGEST_FACTOR))


def imagined(model: WorldModel, context: Latents, actions: Tensor) -> Latents:
    """Frames (T + 1, B, ...) of physical actions (T, B, A), without doing anything twice."""
    return unroll(model, model.predictor, context, model.normalize_actions(actions))


@contextlib.contextmanager
def all_threads() -> Iterator[None]:
    """All cores for what is not timed."""
    timed_with = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(timed_with)


def _speeds(
    name: str, timed: dict[str, Timed], rates: MatrixRates, actions: Tensor, context: str
) -> list[Figure]:
    figures = []
    for mode, one in timed.items():
        middle = statistics.median(one.times)
        paper = middle * PAPER_SAMPLES * PAPER_ITERATIONS * HORIZON
        figures += [
            Figure(f'{name} {mode} per sample-step', middle * 1e3, 'ms', context),
            Figure(
                f'{name} {mode} per paper plan',
                paper,
                's',
                f'{context}; 15 x 300 x H3, extrapolated from sample-steps',
            ),
        ]
    for mode in list(timed)[1:]:
        ratios = [a / b for a, b in zip(timed['plain'].times, timed[mode].times, strict=True)]
        figures.append(
            Figure(
                f'{name} {mode} against plain',
                statistics.median(ratios),
                'x',
                f'{context}; median of rounds',
            )
        )
    done = {
        mode: operations(weightless(one.score), actions.to('meta')) for mode, one in timed.items()
    }
    for mode in timed:
        kind = 'float32' if mode in ('plain', 'exact') else 'bfloat16'
        share = done[mode] / statistics.median(timed[mode].times) / getattr(rates, kind)
        figures.append(
            Figure(
                f'{name} {mode} fraction of matrix rate',
                share,
                '',
                f'{done[mode] / 1e9:.1f} GFLOP per sample-step of {done["plain"] / 1e9:.1f} in '
                f'plain mode, over the measured {kind} rate',
            )
        )
    return figures


def _slopes(
    name: str, timed: dict[str, Timed], actions: Tensor, device: torch.device
) -> list[Figure]:
    """What a gradient costs in evaluations (see planners.GRADIENT_WORTH)."""
    figures, one = [], actions[:1]
    for mode in list(timed)[1:]:
        score = timed[mode].score
        alone = seconds(partial(score, one), device)
        slope = seconds(partial(score.gradient, one), device)
        figures.append(
            Figure(
                f'{name} {mode} gradient over score',
                slope / alone,
                'x',
                f'{name} sizes, {device}, one candidate',
            )
        )
    return figures


def weightless(score: LatentCost) -> LatentCost:
    """The same work on tensors without numbers, which takes no time: only to be counted. Compiled
    products cannot be; they are those of fast mode.
    """
    mode = 'fast' if score.mode == 'compiled' else score.mode
    model = build(score.model.spec, device='meta').freeze()
    context, goal = (frame.map(lambda t: t.to('meta')) for frame in (score.context, score.goal))
    return LatentCost(model, context, goal, score.objective, mode)


def operations(score: Callable[[Tensor], Tensor], actions: Tensor) -> float:
    """Floating-point operations of matrix products and attention, per sample-step."""
    with FlopCounterMode(display=False) as counter:
        score(actions)
    return counter.get_total_flops() / (actions.shape[0] * actions.shape[1])


def _deviations(name: str, timed: dict[str, Timed], actions: Tensor, context: str) -> list[Figure]:
    exact = timed['exact'].costs.double()
    spread = float(exact.std())
    elites = max(2, len(exact) // 30)  # the paper's share, 10 of 300
    figures = []
    for mode in (mode for mode in timed if mode != 'exact'):
        off = (timed[mode].costs.double() - exact).abs()
        right, chosen = (
            actions[c.topk(elites, largest=False).indices].mean(dim=0)
            for c in (exact, timed[mode].costs)
        )
        figures += [
            Figure(
                f'{name} {mode} elite mean off exact',
                float((chosen - right).abs().max()),
                'm or rad',
                f'{context}; largest entry, {elites} elites',
            ),
            Figure(
                f'{name} {mode} cost off exact',
                float((off / exact.abs()).max()),
                'relative',
                f'{context}; largest',
            ),
            Figure(
                f'{name} {mode} cost off exact by spread',
                float(off.max()) / spread,
                '',
                f"{context}; over the standard deviation of the candidates' costs",
            ),
        ]
    return figures
