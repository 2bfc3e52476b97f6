# SPDX-License-Identifier: Apache-2.0
"""Every family learns on the latents its planner compares, whatever its proprioception holds."""

import json

import pytest
import torch

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.learning.latents import encode_frames
from jepa_wm_ros.learning.settings import StageSettings
from jepa_wm_ros.learning.stages import (
    EncoderStage,
    PredictorStage,
    draw_views,
    position_entries,
    validation,
)
from jepa_wm_ros.world_model.files.official_config import spec_from_official
from jepa_wm_ros.world_model.training_loss import draw_prefix, published_settings
from support.paths import GOLDENS
from support.small_models import FAMILIES, model, recording


def total(terms):
    return sum(weight * loss for weight, loss in terms.values())


@pytest.mark.parametrize('proprio', [2, 4, 7])
@pytest.mark.parametrize('family', FAMILIES)
def test_both_stages_learn_in_every_family_with_any_proprioception(family, proprio):
    settings = StageSettings(iterations=1, batch=3, sigreg=0.1, inverse_dynamics=0.1, proprio=0.1)
    data = recording(proprio=proprio)
    for stage in (
        EncoderStage(model(family, proprio), data, settings),
        PredictorStage(model(family, proprio), data, settings, seed=1),
    ):
        loss = total(stage.losses(torch.Generator().manual_seed(1)))
        loss.backward()
        assert loss.isfinite()
        learns = {name.split('.')[1] for name, p in stage.named_parameters() if p.grad is not None}
        assert 'predictor' in learns
        assert ('encoder' in learns) == isinstance(stage, EncoderStage)


@pytest.mark.parametrize('family', FAMILIES)
def test_the_predictor_learns_on_the_latents_that_planning_compares(family):
    """Two frames, one window: all that is learnt from is what `encode` makes of the second."""
    data = recording(frames=2, episodes=1)
    one = model(family, normalize_latents=True).eval()
    settings = StageSettings(iterations=1, batch=1, window=2, rollout_steps=1, light=0.0)
    stage = PredictorStage(one, data, settings, seed=1)
    with torch.no_grad():
        seen = one.encode(one.prepare_images(data.frames)[None], data.proprio[None])
        said = one.predict(seen[:, :1], one.normalize_actions(data.actions[None, :1]))
        measured = stage.losses(torch.Generator())['prediction'][1]
    miss = said.visual - seen.visual[:, 1:]
    want = miss.abs().mean() if family == 'vjepa2_ac' else miss.square().mean()
    if said.proprio is not None and family != 'vjepa2_ac':
        want = want + (said.proprio - seen.proprio[:, 1:]).square().mean()
    assert measured.item() == pytest.approx(want.item() / 2, rel=1e-5)


def test_normalised_latents_are_what_stage_two_probes_and_validation_see():
    data, one = recording(), model('vjepa2_ac', proprio_rollout='integrate').eval()
    latents = encode_frames(one, data)
    assert torch.allclose(latents.mean(-1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(latents.std(-1, unbiased=False), torch.ones(()), atol=1e-3)
    copied = validation(one, data, StageSettings(iterations=1, window=3))()['val_copy']
    starts = data.windows(3)
    assert copied == pytest.approx(float((latents[starts] - latents[starts + 1]).abs().mean()))


@pytest.mark.parametrize('stage', [EncoderStage, PredictorStage])
def test_everything_that_is_learnt_from_is_on_the_model_s_device(stage):
    """On a device whose tensors have no numbers, one that lies elsewhere is an error."""
    settings = StageSettings(iterations=1, batch=2, views=1)
    one = model('adaln', device='meta')
    if stage is EncoderStage:
        made = EncoderStage(one, recording(), settings)
    else:
        made = PredictorStage(model('adaln'), recording(), settings, seed=1)
        made.model = one
    assert total(made.losses(torch.Generator())).device.type == 'meta'


def test_entries_that_jump_are_not_heard_and_a_position_is_what_latents_should_tell():
    told = model('adaln', proprio_position=(0, 1), proprio_wraps=(5,))
    weight = told.predictor.proprio_encoder.weight
    assert torch.equal(weight[:, 5], torch.zeros(4)) and weight[:, 3].abs().sum() > 0
    assert position_entries(told.spec) == (0, 1)
    assert position_entries(model('adaln', proprio_wraps=(5,)).spec) == (0, 1, 2, 3, 4, 6)
    with pytest.raises(JepaWmError, match='entries of 2 numbers'):
        model('adaln', proprio=2, proprio_wraps=(3,))


def test_a_pose_that_is_a_token_is_read_by_a_map_that_learns():
    assert model('vjepa2_ac').predictor.proprio_encoder.weight.requires_grad
    assert not model('adaln').predictor.proprio_encoder.weight.requires_grad


@pytest.mark.parametrize(
    'folder', sorted(path.parent.name for path in GOLDENS.glob('*/train_loss.npz'))
)
def test_a_family_s_loss_is_the_one_its_published_models_were_trained_with(folder):
    config = json.loads((GOLDENS / folder / 'config.json').read_text())
    mine = published_settings(spec_from_official(config, folder))
    train = config['train']
    for name, key in (('l1', 'l1'), ('l2', 'l2'), ('cosine', 'cos'), ('smooth_l1', 'smooth_l1')):
        assert getattr(mine, name) == train['loss'][f'{key}_loss_weight']
    assert mine.rollout_steps == train['rollout_steps']
    assert mine.stop_gradient == train['rollout_stop_gradient']
    assert mine.proprio == train['loss'].get('proprio_loss', True)


def test_a_rollout_starts_anywhere_it_fits_or_at_the_first_frame():
    generator = torch.Generator().manual_seed(0)
    droid = published_settings(model('adaln').spec)
    assert {draw_prefix(5, droid, generator) for _ in range(99)} == {0, 1, 2}
    ac = published_settings(model('vjepa2_ac').spec)
    assert {draw_prefix(5, ac, generator) for _ in range(9)} == {0}


def test_frames_in_a_light_of_their_own_are_drawn_apart():
    settings = StageSettings(iterations=1, window=4, views=3, light_of='frame')
    views = draw_views(settings, 64, torch.Generator().manual_seed(0))
    assert views.shape == (64, 4) and len(views.unique()) == 3
    assert (views.max(1).values != views.min(1).values).float().mean() > 0.9
