# SPDX-License-Identifier: Apache-2.0
"""The training loop of a stage: optimiser, schedule, progress, history and resumable checkpoints.

What is optimised is a function from the iteration's random numbers to named losses; everything
random comes from the seed and the iteration, so a resumed run ends at the same weights.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from jepa_wm_ros.learning.board import Board
from jepa_wm_ros.learning.kept import Kept, Score
from jepa_wm_ros.learning.schedule import learning_rate, weight_decay
from jepa_wm_ros.learning.settings import StageSettings, TrainingError
from jepa_wm_ros.learning.world import World

LossTerms = dict[str, tuple[float, Tensor]]
_SMOOTHING = 0.98


@dataclass(slots=True)
class Progress:
    """Where a stage stands: iterations done, the loss curves logged on the way, and the seconds it
    took, before an interruption too.
    """

    iteration: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def make_optimizer(module: nn.Module, settings: StageSettings) -> torch.optim.AdamW:
    """AdamW over what is trainable; biases and one-dimensional parameters are not decayed."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {
                'params': [p for p in trainable if p.ndim > 1],
                'weight_decay': settings.weight_decay,
                'decayed': True,
            },
            {
                'params': [p for p in trainable if p.ndim <= 1],
                'weight_decay': 0.0,
                'decayed': False,
            },
        ],
        lr=settings.learning_rate,
        fused=True,
        betas=settings.betas,
    )


def optimise(
    module: nn.Module,
    losses: Callable[[torch.Generator], LossTerms],
    settings: StageSettings,
    *,
    seed: int,
    checkpoint: Path,
    title: str,
    validate: Callable[[], dict[str, float]] | None = None,
    every: int = 500,
    quiet: bool = False,
    world: World | None = None,
    origin: str = '',
    score: Score | None = None,
    patience: int = 0,
    force: bool = False,
) -> Progress:
    """Train the trainable parameters of `module` for the iterations of `settings`.

    `losses` gives {name: (weight, loss)} for an iteration's generator. Every `every` iterations,
    and at the end, `validate` is called, the history grows and `checkpoint` is written; a
    checkpoint found at the start is continued. In a `world` of several processes `losses` gives
    those of a share. `origin` says what the module began as and learns from: the checkpoint of
    another is refused, and with `force` written over. With a `score` of what `validate` measures
    the module ends with the best round's weights, and the run after `patience` rounds that were no
    better, see kept.py.
    """
    world = world or World()
    run = f'{settings} seed={seed} from={origin}'
    # What an earlier stage has left on weights that are frozen now would be clipped with the rest.
    module.zero_grad(set_to_none=True)
    optimizer = make_optimizer(module, settings)
    kept = Kept(module, settings.ema, score, patience)
    progress = _resume(module, optimizer, kept, checkpoint, run, force)
    world.wait()  # all have read it before the first one writes another
    began = time.monotonic() - progress.seconds
    board = Board(checkpoint.parent / 'tensorboard' / title, begun=progress.iteration)
    smooth: dict[str, float] = {}
    bar = tqdm(
        total=settings.iterations,
        initial=progress.iteration,
        desc=title,
        disable=quiet or not world.first,
        mininterval=2.0,
        dynamic_ncols=True,
    )
    for iteration in range(progress.iteration, settings.iterations):
        if kept.given_up:
            tqdm.write(f'{title}: no better for {patience} rounds, the best one is kept')
            break
        _schedule(optimizer, iteration, settings)
        # Two streams: what the module itself draws (SIGReg's directions) and what `losses` draws.
        torch.manual_seed(_mix(seed, iteration))
        module.train()
        draws = torch.Generator().manual_seed(_mix(seed, iteration))
        told = _step(module, optimizer, partial(losses, draws), settings, iteration, world)
        kept.step()
        for name, value in told.items():
            keep = _SMOOTHING if name in smooth else 0.0
            smooth[name] = keep * smooth.get(name, 0.0) + (1 - keep) * world.mean(value).item()
        bar.update()
        bar.set_postfix({name: f'{value:.4f}' for name, value in smooth.items()}, refresh=False)
        if (iteration + 1) % every == 0 or iteration + 1 == settings.iterations:
            measured = {}
            if validate is not None and world.first:
                module.eval()
                with kept.averaged():
                    measured = validate()
                    kept.judge(measured)
                tqdm.write(
                    f'{title} {iteration + 1}: '
                    + '  '.join(
                        f'{name} {value:.4g}' for name, value in {**smooth, **measured}.items()
                    )
                )
            progress.history.append({'iteration': iteration + 1, **smooth, **measured})
            progress.iteration, progress.seconds = iteration + 1, time.monotonic() - began
            if world.first:
                board.write(progress.history[-1])
                _save(module, optimizer, kept, progress, checkpoint, run)
    bar.close()
    board.close()
    kept.end()
    module.eval()
    return progress


def _schedule(optimizer: torch.optim.Optimizer, iteration: int, settings: StageSettings) -> None:
    for group in optimizer.param_groups:
        group['lr'] = learning_rate(iteration, settings)
        if group['decayed']:
            group['weight_decay'] = weight_decay(iteration, settings)


def _step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[], LossTerms],
    settings: StageSettings,
    iteration: int,
    world: World,
) -> dict[str, Tensor]:
    """One step of the optimiser; the losses of its parts on the average."""
    told: dict[str, Tensor] = {}
    optimizer.zero_grad(set_to_none=True)
    for _ in range(settings.accumulate):
        terms = losses()
        total = sum((weight * value for weight, value in terms.values()), torch.zeros(()))
        if not torch.isfinite(total):
            raise TrainingError(
                f'the loss is not finite at iteration {iteration}: '
                + ', '.join(f'{name} {v.item():g}' for name, (_, v) in terms.items())
                + '; lower learning_rate'
            )
        (total / settings.accumulate).backward()
        for name, (_, value) in terms.items():
            told[name] = told.get(name, 0.0) + value.detach() / settings.accumulate
    world.average(module)
    if settings.clip:
        nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
    optimizer.step()
    return told


def _mix(seed: int, iteration: int) -> int:
    return seed * 1_000_003 + iteration


def _save(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    kept: Kept,
    progress: Progress,
    path: Path,
    run: str,
) -> None:
    part = path.with_name(path.name + '.part')
    state = {
        'run': run,
        'iteration': progress.iteration,
        'history': progress.history,
        'seconds': progress.seconds,
        'module': module.state_dict(),
        'optimizer': optimizer.state_dict(),
        'kept': kept.state(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the second
        part.unlink(missing_ok=True)
        before = 'the one before it is whole' if path.exists() else 'there is none before it'
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f'checkpoint {path} cannot be written ({reason}); {before}, and the same command '
            'resumes from it'
        ) from error


def _resume(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    kept: Kept,
    path: Path,
    run: str,
    force: bool,
) -> Progress:
    if not path.exists():
        return Progress()
    try:
        saved = torch.load(path, weights_only=True, map_location='cpu')
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f'{path} is not a usable checkpoint: delete it to start afresh'
        ) from error
    if saved['run'] != run and force:
        return Progress()
    if saved['run'] != run:
        raise TrainingError(
            f'{path} belongs to a run with other settings, other episodes, another seed or another '
            '--from: choose another --out folder, or --force to start afresh'
        )
    module.load_state_dict(saved['module'])
    optimizer.load_state_dict(saved['optimizer'])
    kept.restore(saved['kept'])
    return Progress(saved['iteration'], saved['history'], saved['seconds'])
