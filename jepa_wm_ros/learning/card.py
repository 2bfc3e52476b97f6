# SPDX-License-Identifier: Apache-2.0
"""A model's card: what it is, what it was trained on and how, and what it measures, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from jepa_wm_ros.learning.settings import STAGES
from jepa_wm_ros.world_model import WorldModel

ERRORS = {'val_step': 'error of one step', 'val_copy': 'error of "nothing changes", one step'}
PROBES = {
    'hand_xyz_cm': 'linear probe of the hand, median error [cm]',
    'cube_xy_cm': 'linear probe of the cube, median error [cm]',
    'correlation': 'correlation of latent distance and hand distance',
    'effective_rank': 'effective rank of the latents',
    'reached_distance': 'latent distance of hands 0.5 to 1 cm apart (`reached_distance`)',
}


def write_card(model: WorldModel, metrics: dict[str, Any], path: Path) -> None:
    """Write the card of a model whose training left these metrics (metrics.json)."""
    path.write_text('\n'.join(_lines(model, metrics)) + '\n', encoding='utf-8')


def _lines(model: WorldModel, metrics: dict[str, Any]) -> Iterator[str]:
    spec, run = model.spec, metrics['run']
    yield f'# Model card: {spec.name}\n'
    yield f'A world model of the family `{spec.family}`, for pictures of {spec.img_size} px and'
    yield f'{spec.fps:g} steps/s. Licence: {spec.licence or "not said"}.\n'
    yield '| part | what | parameters |'
    yield '|---|---|---|'
    yield f'| encoder, frozen | `{spec.encoder.kind}` | {_millions(model.encoder)} |'
    conditioned = f'{spec.predictor.conditioning}, {spec.predictor.position}'
    yield f'| predictor | {conditioned} | {_millions(model.predictor)} |'
    if model.proposal is not None:
        yield f'| proposal | what to try first | {_millions(model.proposal)} |'
    yield '\n## How it was made\n'
    yield f'    {run["command"]}\n'
    begun = f', going on from {run["from"]}' if run['from'] else ''
    frozen = run['encoder'] or run['encoder_from']
    begun += f', on the frozen encoder of {frozen}' if frozen else ''
    yield f'Stage {run["stage"]} with seed {run["seed"]}{begun}, on {run["machine"]} with torch'
    yield f'{run["torch"]}. The whole configuration is in metrics.json and in the file of the'
    yield 'weights.\n'
    yield '| episodes | | SHA-256 of pictures, proprioception and actions |'
    yield '|---|---|---|'
    for name, told in (('train', 'learnt from'), ('val', 'held out')):
        yield f'| {told} | {run[f"{name}_episodes"]} | `{run[f"{name}_sha256"]}` |'
    yield '\n| stage | iterations x windows | learning rate | minutes |'
    yield '|---|---|---|---|'
    for name in STAGES:
        if f'{name}_seconds' in run:
            told = run['settings'][name]
            size = f'{told["iterations"]} x {told["batch"] * told["accumulate"]}'
            minutes = run[f'{name}_seconds'] / 60
            yield f'| {name} | {size} | {told["learning_rate"]:g} | {minutes:.1f} |'
    yield '\n![losses](losses.png)\n'
    yield '## What it measures on the held-out episodes\n'
    yield '| | |'
    yield '|---|---|'
    trained = [stage for stage in ('predictor', 'encoder') if metrics['history'].get(stage)]
    errors = metrics['history'][trained[0]][-1] if trained else {}
    steps = {n: f'error of {n.removeprefix("val_step")} steps' for n in errors if n[8:].isdigit()}
    for names, found in ((steps | ERRORS, errors), (PROBES, metrics.get('probes', {}))):
        for name, told in names.items():
            if found.get(name) is not None:
                yield f'| {told} | {found[name]:.3g} |'


def _millions(part: nn.Module) -> str:
    return f'{sum(p.numel() for p in part.parameters()) / 1e6:.2f} M'
