# SPDX-License-Identifier: Apache-2.0
"""Learning on what others have published, with small random weights in the published layouts: a
predictor goes on on a new camera's pictures, and a fresh one begins on a frozen encoder.
"""

import dataclasses
import json

import pytest
import torch
import yaml

from jepa_wm_ros.learning import train
from jepa_wm_ros.learning.settings import TrainingError
from jepa_wm_ros.learning.stages import going_on_from
from jepa_wm_ros.learning.windows import load_recording
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import load_world_model
from support.paths import GOLDENS
from support.published_encoders import published_lite0
from support.toy_training import SIZE, TOY, run, toy_episode

SIDE = 32  # px of the goldens' pictures


@pytest.fixture(scope='module')
def camera(tmp_path_factory):
    """Episodes of another camera, in pictures as large as the goldens' models see them."""
    folder = tmp_path_factory.mktemp('camera') / 'data'
    with EpisodeWriter(folder, 'a') as writer:
        for seed in range(20):
            episode = toy_episode(seed)
            frames = episode.frames.repeat(SIDE // SIZE, axis=1).repeat(SIDE // SIZE, axis=2)
            writer.write(seed, dataclasses.replace(episode, frames=frames))
    return folder


@pytest.mark.parametrize(
    'name', ['adaln_rope_noprop', 'dinowm_ftcond_noprop', 'vjepa2ac_seqcond_state']
)
def test_the_predictor_of_a_published_model_goes_on_on_a_new_camera(folders, camera, name):
    words = ['--stage', 'predictor', '--from', str(GOLDENS / name), '--iterations', '6']
    words += ['--data', str(camera), '--val', str(camera), '--name', 'mine']
    assert run(folders, name, *words, '--every', '2') == 0
    before, after = (
        load_world_model(path) for path in (GOLDENS / name, folders / name / 'mine.safetensors')
    )
    assert after.spec.name == 'mine' and after.spec.action_std == before.spec.action_std
    for key, value in after.encoder.state_dict().items():
        assert torch.equal(value, before.encoder.state_dict()[key].half().float()), key
    weights = before.predictor.state_dict()
    moved = [
        key
        for key, value in after.predictor.state_dict().items()
        if not torch.equal(value, weights[key].half().float())
    ]
    assert moved
    history = json.loads((folders / name / 'metrics.json').read_text())['history']['predictor']
    assert [told['iteration'] for told in history] == [2, 4, 6]
    assert history[-1]['val_step'] < history[0]['val_step']


def test_a_model_that_knows_no_rate_learns_that_of_the_recording(camera):
    model = load_world_model(GOLDENS / 'adaln_rope_noprop')
    model.spec = model.spec.replace(fps=0.0)  # as those of the simulated tasks
    assert going_on_from(model, load_recording(camera)).spec.fps == 4.0
    model.spec = model.spec.replace(fps=5.0)
    with pytest.raises(TrainingError, match='at 5 steps/s, the recording has .* at 4 steps/s'):
        going_on_from(model, load_recording(camera))


@pytest.mark.parametrize('stage', ['all', 'encoder'])
def test_a_published_encoder_is_not_trained_end_to_end(folders, camera, stage, capsys):
    words = ['--from', str(GOLDENS / 'vjepa2ac_seqcond_state'), '--data', str(camera)]
    assert run(folders, 'refused', *words, '--stage', stage) == 1
    said = capsys.readouterr().err
    assert 'vjepa2ac_seqcond_state has a published one (vjepa2): give --stage predictor' in said
    assert not (folders / 'refused').exists()


def test_a_fresh_predictor_begins_on_a_published_encoder(folders, camera, tmp_path):
    whole, file = published_lite0(tmp_path)
    model = TOY['model'] | {
        'name': 'lite',
        'img_size': SIDE,
        'encoder': {'kind': 'efficientnet_lite0', 'width': 112, 'patch_size': 16},
        'normalize_latents': True,
    }
    config = tmp_path / 'lite.yaml'
    stage = TOY['predictor'] | {'iterations': 4, 'batch': 4}
    config.write_text(yaml.safe_dump({'model': model, 'predictor': stage}))
    words = ['--config', str(config), '--encoder', str(file), '--data', str(camera)]
    assert train.main([*words, '--threads', '1', '--out', str(folders / 'lite')]) == 0
    made = load_world_model(folders / 'lite' / 'lite.safetensors')
    assert made.spec.encoder.kind == 'efficientnet_lite0' and made.spec.reached_distance > 0
    pixels = made.prepare_images(torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8))
    with torch.no_grad():
        (truth,) = whole.forward_intermediates(pixels, indices=[3], intermediates_only=True)
    seen = made.encoder(pixels).view(2, 2, 2, 112).movedim(-1, 1)
    assert torch.allclose(seen, truth, atol=0.02 * float(truth.abs().max()))
    told = json.loads((folders / 'lite' / 'metrics.json').read_text())
    assert told['run']['encoder'] == str(file) and told['history'].keys() == {'predictor'}
