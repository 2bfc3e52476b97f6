# SPDX-License-Identifier: Apache-2.0
"""The card that a training leaves beside its weights."""

import json
import shlex

import torch

from jepa_wm_ros.learning import train
from jepa_wm_ros.learning.settings import load_settings
from jepa_wm_ros.learning.windows import fingerprint, load_recording
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model.files.safe_files import read_safetensors
from support.toy_training import TOY, run, toy_episode


def test_a_card_says_what_was_learnt_from_and_what_it_measures(folders):
    run(folders, 'all')
    card = (folders / 'all' / 'toy.md').read_text()
    metrics = json.loads((folders / 'all' / 'metrics.json').read_text())
    assert card.startswith('# Model card: toy')
    for name in ('train', 'val'):
        told = fingerprint(load_recording(folders / name))
        assert f'| {metrics["run"][f"{name}_episodes"]} | `{told}` |' in card
    assert '| encoder | 120 x 16 | 0.003 |' in card and '| predictor | 240 x 16 | 0.01 |' in card
    assert f'| error of one step | {metrics["history"]["predictor"][-1]["val_step"]:.3g} |' in card
    assert f'| {metrics["probes"]["hand_xyz_cm"]:.3g} |' in card


def test_the_command_in_a_card_makes_the_same_weights_again(folders):
    assert run(folders, 'once', '--iterations', '5', '--seed', '7') == 0
    card = (folders / 'once' / 'toy.md').read_text().splitlines()
    (command,) = [line for line in card if line.startswith('    jepa-wm train ')]
    words = shlex.split(command)[2:]
    assert train.main([*words, '--out', str(folders / 'again')]) == 0
    first, second = (
        read_safetensors(folders / name / 'toy.safetensors')[0] for name in ('once', 'again')
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_whole_configuration_is_kept_with_the_weights_and_with_the_figures(folders):
    words = ['--iterations', '5', '--every', '3']
    assert run(folders, 'kept', *words) == 0
    told = json.loads((folders / 'kept' / 'metrics.json').read_text())['run']
    _, metadata = read_safetensors(folders / 'kept' / 'toy.safetensors')
    assert json.loads(metadata['training']) == told
    assert told['model'] == TOY['model'] and told['retrained'] == TOY['retrained']
    assert told['goes_on'] is False and told['every'] == 3 and told['threads'] == 1
    stages = load_settings(folders / 'toy.yaml').with_iterations(5)
    for name in ('encoder', 'predictor'):
        stage = getattr(stages, name)
        for key, value in told['settings'][name].items():
            assert getattr(stage, key) == (tuple(value) if isinstance(value, list) else value)


def test_what_an_encoder_came_from_is_told(folders):
    run(folders, 'all')
    weights = str(folders / 'all' / 'toy.safetensors')
    words = ['--stage', 'predictor', '--encoder-from', weights, '--iterations', '2']
    assert run(folders, 'frozen', *words) == 0
    told = json.loads((folders / 'frozen' / 'metrics.json').read_text())['run']
    assert told['encoder_from'] == weights and told['encoder'] is None
    assert f'on the frozen encoder of {weights}' in (folders / 'frozen' / 'toy.md').read_text()


def test_a_fingerprint_is_of_every_picture_and_action_and_of_nothing_else(tmp_path):
    def written(name: str, *episodes):
        with EpisodeWriter(tmp_path / name, name) as writer:
            for number, episode in enumerate(episodes):
                writer.write(number, episode)
        return fingerprint(load_recording(tmp_path / name))

    one, two = toy_episode(1), toy_episode(2)
    whole = written('whole', one, two)
    assert written('again', toy_episode(1), toy_episode(2)) == whole
    assert written('turned', two, one) != whole
    one.frames[-1, 3, 4, 0] ^= 1
    assert written('picture', one, two) != whole
    two.actions[2, 1] += 1e-4
    assert written('action', toy_episode(1), two) != whole
