# SPDX-License-Identifier: Apache-2.0
"""The published trainings: their models, their schedules, and one step of each."""

import dataclasses

import pytest
import torch

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.learning.optimise import optimise
from jepa_wm_ros.learning.settings import load_settings
from jepa_wm_ros.learning.stages import prediction_loss, prepare_predictor
from jepa_wm_ros.world_model import Latents, build
from jepa_wm_ros.world_model.files.registry import find
from support.paths import ROOT

FOLDER = ROOT / 'config' / 'train' / 'published'
NAMES = sorted(path.stem for path in FOLDER.glob('*.yaml'))


@pytest.mark.parametrize('name', NAMES)
def test_a_published_training_names_its_model_and_its_schedule(name):
    settings = load_settings(FOLDER / f'{name}.yaml')
    spec = find(name).spec
    assert settings.model == spec.to_dict() and settings.encoder is None
    stage = settings.predictor
    family = spec.family
    assert stage.rollout_steps == (1 if family == 'dino_wm' else 2)
    assert stage.context_window == (8 if family == 'vjepa2_ac' else 3)
    assert stage.schedule == ('hold' if family == 'vjepa2_ac' else 'constant')
    assert stage.clip == (0.0 if family == 'vjepa2_ac' else 1.0)


def step(name, tmp_path):
    """One step of the optimiser on a clip of random latents; how far the predictor went."""
    stage = load_settings(FOLDER / f'{name}.yaml').predictor
    stage = dataclasses.replace(stage, iterations=1, batch=1, bfloat16=False, warmup=0)
    spec = find(name).spec
    model = build(spec, seed=0)
    prepare_predictor(model)
    model.encoder.requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    shape = (1, stage.window, 1, spec.grid, spec.grid, spec.encoder.width)
    visual = torch.randn(shape, generator=generator)
    proprio = torch.randn(1, stage.window, spec.proprio_dim, generator=generator)
    latents = Latents(visual, model.encode_proprio(proprio, 1, stage.window))
    actions = torch.randn(1, stage.window, spec.action_dim, generator=generator)
    before = {n: p.detach().clone() for n, p in model.predictor.named_parameters()}
    told = []

    def losses(draws):
        loss = prediction_loss(model, latents, actions, stage, draws)
        told.append(float(loss.detach()))
        return {'prediction': (1.0, loss)}

    optimise(model, losses, stage, seed=1, checkpoint=tmp_path / 'c' / 'p.pt', title='', quiet=True)
    moved = [not torch.equal(before[n], p) for n, p in model.predictor.named_parameters()]
    return told, sum(moved) / len(moved)


@pytest.mark.parametrize('name', [n for n in NAMES if n.endswith('_wall')])
def test_a_step_of_a_published_training_moves_the_predictor(name, tmp_path):
    told, moved = step(name, tmp_path)
    assert told[0] > 0 and moved > 0.9


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in NAMES if not n.endswith('_wall')])
def test_a_step_of_every_published_training_moves_the_predictor(name, tmp_path):
    test_a_step_of_a_published_training_moves_the_predictor(name, tmp_path)


def test_an_encoder_that_is_never_trained_is_asked_for(tmp_path, capsys):
    from jepa_wm_ros.learning import train

    config = str(FOLDER / 'jepa_wm_wall.yaml')
    assert train.main(['--config', config, '--data', str(tmp_path), '--out', str(tmp_path)]) == 1
    assert 'give --encoder' in capsys.readouterr().err


def test_a_model_that_nobody_published_is_told(tmp_path):
    (tmp_path / 'x.yaml').write_text('model: nobody\npredictor: {iterations: 1}\n')
    with pytest.raises(JepaWmError, match='nobody'):
        load_settings(tmp_path / 'x.yaml')
