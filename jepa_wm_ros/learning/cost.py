# SPDX-License-Identifier: Apache-2.0
"""What a training costs on GPUs, told before it is paid for.

    python -m jepa_wm_ros.learning.cost config/train/published/*.yaml --sustained 125

One step of the optimiser on one window is counted by torch.utils.flop_counter, a multiplication and
an addition as two operations, on the device `meta`, where nothing is computed: sizes are enough.
What grows with the number of windows is multiplied by it. Counted are matrix products, convolutions
and attention, forwards and backwards; not what is done number by number, the optimiser's update
included, nor reading data: an estimate, and a low one where these are slow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch.utils.flop_counter import FlopCounterMode

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, TrainSettings, load_settings
from jepa_wm_ros.learning.stages import loss_settings, prepare_predictor
from jepa_wm_ros.world_model import Latents, ModelSpec, WorldModel, build
from jepa_wm_ros.world_model.training_loss import prefixes, training_loss

SUSTAINED = 125.0  # TFLOP/s: 40 % of the 312 that an A100 multiplies in bfloat16


@dataclass(frozen=True, slots=True)
class Cost:
    """What stage 2, the predictor on a frozen encoder, is made of.

    trained     parameters that learn
    encoder     floating-point operations of the encoder on the frames of one window
    predictor   of the loss of one window, forwards and backwards
    windows     of the whole training
    """

    trained: int
    encoder: float
    predictor: float
    windows: int

    def hours(self, sustained: float, *, encoded: bool) -> float:
        """GPU-hours at `sustained` FLOP/s; encoded: with the encoder in every step, as published,
        and not once for every picture, as `train` does it.
        """
        operations = self.predictor + (self.encoder if encoded else 0.0)
        return self.windows * operations / sustained / 3600


def cost_of(settings: TrainSettings) -> Cost:
    """The cost of a configuration's predictor stage. Raises TrainingError where its model is not a
    published one, and takes numbers that only a recording tells.
    """
    if 'action_dim' not in settings.model:
        raise TrainingError(
            f'{settings.model["name"]} is no published model: how many numbers it takes is told by '
            'what it is trained on'
        )
    stage = settings.predictor
    model = build(ModelSpec.from_dict(settings.model), device='meta')
    prepare_predictor(model)
    model.encoder.requires_grad_(False)
    model.train()
    return Cost(
        sum(p.numel() for p in model.predictor.parameters() if p.requires_grad),
        _counted(lambda: _encode(model, stage)),
        _step(model, stage),
        stage.iterations * stage.batch * stage.accumulate,
    )


@torch.no_grad()
def _encode(model: WorldModel, stage: StageSettings) -> None:
    side = model.spec.img_size
    model.encode_visual(torch.empty(1, stage.window, 3, side, side, device='meta'))


def _step(model: WorldModel, stage: StageSettings) -> float:
    """Operations of one window's loss, the mean over where its rollout may start."""
    spec = model.spec
    wanted = loss_settings(spec, stage)

    def one(prefix: int) -> None:
        frames = (1, stage.window)
        shape = (*frames, 1, spec.grid, spec.grid, spec.encoder.width)
        told = torch.empty(*frames, spec.proprio_dim, device='meta')
        latents = Latents(torch.empty(shape, device='meta'), model.encode_proprio(told, *frames))
        actions = torch.empty(*frames, spec.action_dim, device='meta')
        training_loss(model, latents, actions, wanted, prefix).total.backward()

    return mean(_counted(partial(one, prefix)) for prefix in prefixes(stage.window, wanted))


def _counted(work: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def table(costs: dict[str, Cost], sustained: float) -> str:
    """A row for every configuration, in Markdown; sustained: FLOP/s of one GPU."""
    lines = [
        '| | weights that learn [M] | GFLOP a window: encoder | predictor | windows [M] '
        '| EFLOP in all | GPU-hours | without the encoder |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for name, cost in costs.items():
        operations = cost.windows * (cost.encoder + cost.predictor)
        lines.append(
            f'| {name} | {cost.trained / 1e6:.1f} | {cost.encoder / 1e9:.0f} '
            f'| {cost.predictor / 1e9:.0f} | {cost.windows / 1e6:.1f} | {operations / 1e18:.3g} '
            f'| {cost.hours(sustained, encoded=True):.3g} '
            f'| {cost.hours(sustained, encoded=False):.3g} |'
        )
    return '\n'.join(lines)


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='cost', description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='+', help='training configurations with a published model')
    parser.add_argument(
        '--sustained',
        type=float,
        default=SUSTAINED,
        help='TFLOP/s that a GPU is assumed to hold (default %(default)g, 40 %% of an A100)',
    )
    options = parser.parse_args(arguments)
    if not options.sustained > 0:
        raise TrainingError(f'--sustained {options.sustained:g}: give TFLOP/s, more than 0')
    costs = {Path(told).stem: cost_of(load_settings(told)) for told in options.config}
    print(table(costs, options.sustained * 1e12))
    print(f'at {options.sustained:g} TFLOP/s a GPU')
    return 0


if __name__ == '__main__':
    sys.exit(main())
