# SPDX-License-Identifier: Apache-2.0
"""The stage that learns to draw what was seen."""

import json
import math

import numpy as np
import pytest
import torch
import yaml

from jepa_wm_ros.learning import decoding
from jepa_wm_ros.learning.settings import StageSettings, load_settings
from jepa_wm_ros.learning.stages import going_on_from, new_model
from jepa_wm_ros.learning.windows import Recording
from jepa_wm_ros.world_model import load_world_model
from support.toy_training import SIZE, TOY, optimised, run, toy_episode

STAGE = {
    'iterations': 200,
    'batch': 16,
    'window': 2,
    'warmup': 10,
    'learning_rate': 5e-3,
    'rollout_steps': 1,
}


@pytest.fixture(scope='module')
def trained(folders):
    """Folder `base` of a toy model, beside which its decoder has been put."""
    assert run(folders, 'base', '--stage', 'encoder') == 0
    before = contents(folders / 'base')
    config = folders / 'decoding.yaml'
    config.write_text(yaml.safe_dump(TOY | {'decoder': STAGE}))
    words = ('--stage', 'decoder', '--from', str(folders / 'base' / 'toy.safetensors'))
    assert run(folders, 'base', '--config', str(config), *words) == 0
    return folders / 'base', before


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_nothing_of_the_models_own_is_changed(trained):
    folder, before = trained
    after = contents(folder)
    assert all(after[name] == content for name, content in before.items())
    added = {name for name in after.keys() - before.keys() if not name.startswith('latents-')}
    assert added == {
        'decoder.json',
        'decoder.pt',
        'decoder.png',
        'decoder_losses.png',
        'toy.decoder.safetensors',
        'toy.decoder.safetensors.sha256',
    }


def test_the_decoder_of_another_run_is_not_written_over(trained, folders, capsys):
    folder, _ = trained
    before = contents(folder)
    words = ('--config', str(folders / 'decoding.yaml'), '--stage', 'decoder')
    start = ('--from', str(folder / 'toy.safetensors'))
    assert run(folders, 'base', *words, *start, '--seed', '2') == 1
    said = capsys.readouterr().err
    assert 'toy.decoder.safetensors is there already, of another run (another seed)' in said
    assert contents(folder) == before


def test_what_is_drawn_shows_where_the_spot_is(trained):
    """Independent truth: pictures of new episodes, and the place of the spot in them."""
    folder, _ = trained
    model = load_world_model(folder / 'toy.safetensors')
    episodes = [toy_episode(seed) for seed in range(500, 520)]
    frames = np.stack([episode.frames[3] for episode in episodes])
    with torch.no_grad():
        drawn = model.decode(model.encode_visual(model.prepare_images(frames))).numpy()
    assert drawn.shape == frames.shape
    bright = drawn[..., 0].astype(float) + 1e-3
    place = np.arange(SIZE) / SIZE
    rows = (bright.sum(2) * place).sum(1) / bright.sum((1, 2))
    spots = np.array([episode.proprio[3, 0] for episode in episodes])
    assert np.corrcoef(rows, spots)[0, 1] > 0.9
    (told,) = json.loads((folder / 'decoder.json').read_text())['history']['decoder']
    assert told['val_psnr'] > told['val_psnr_mean'] + 3


def test_the_picture_has_real_frames_above_drawn_ones(trained):
    from matplotlib import image

    folder, _ = trained
    shown = image.imread(folder / 'decoder.png')[..., :3]
    assert shown.shape == (2 * SIZE, 10 * SIZE, 3)
    first = toy_episode(100).frames[0]  # of the validation episodes
    assert np.abs(shown[:SIZE, :SIZE] * 255 - first).max() <= 1
    above, below = shown[:SIZE, ..., 0], shown[SIZE:, ..., 0]
    assert np.corrcoef(above.ravel(), below.ravel())[0, 1] > 0.7


def test_a_few_pictures_are_learnt_by_heart(folders, recording, tmp_path):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=1).eval()
    first = recording.windows(9)[:6]  # of six episodes
    few = Recording(
        recording.frames[first],
        recording.proprio[first],
        recording.actions[first],
        {},
        recording.episode[first],
        recording.fps,
    )
    settings = StageSettings(**STAGE)
    stage = decoding.DecoderStage(model, few, settings, seed=1)
    measured = decoding.validation(model, few)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimised(stage, settings, tmp_path / 'd.pt', every=200)
    told = measured()
    assert told['val_psnr'] > told['val_psnr_mean'] + 4
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith('decoder.') for name in changed)


def test_the_ratio_is_that_of_its_definition():
    drawn, truth = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.1)
    assert decoding.psnr(drawn, truth) == pytest.approx(10 * math.log10(1 / 0.01), abs=1e-4)


def test_a_run_that_was_interrupted_ends_at_the_same_decoder(folders, recording, tmp_path):
    def drawn(*lengths):
        model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=1).eval()
        settings = StageSettings(**STAGE | {'iterations': 10, 'schedule': 'constant'})
        stage = decoding.DecoderStage(model, recording, settings, seed=1)
        path = tmp_path / f'{len(lengths)}.pt'
        for length in lengths:
            model.decoder.load_state_dict(fresh)
            stop = stage.losses if length == 10 else interrupted(stage.losses, length)
            try:
                optimised(stage, settings, path, losses=stop)
            except KeyboardInterrupt:
                pass
        return model.decoder.state_dict()

    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=1)
    decoding.give_decoder(model, seed=1)
    fresh = {name: value.clone() for name, value in model.decoder.state_dict().items()}
    once, twice = drawn(10), drawn(7, 10)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert not all(torch.equal(once[name], fresh[name]) for name in once)


def interrupted(losses, after):
    """The same losses, until somebody presses Ctrl-C."""
    done = iter(range(after))

    def stop(generator):
        if next(done, None) is None:
            raise KeyboardInterrupt
        return losses(generator)

    return stop


def test_an_encoder_that_learns_on_loses_its_decoder(trained, recording):
    folder, _ = trained
    model = load_world_model(folder / 'toy.safetensors')
    assert model.decoder is not None and going_on_from(model, recording).decoder is None


@pytest.mark.parametrize('words', [(), ('--from', 'jepa_wm_cell')])
def test_the_decoder_needs_a_model_and_a_table(folders, words, capsys):
    assert run(folders, 'none', '--stage', 'decoder', *words) == 1
    assert '--stage decoder needs --from' in capsys.readouterr().err
