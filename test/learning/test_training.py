# SPDX-License-Identifier: Apache-2.0
"""Training on a toy, a spot that actions move: losses fall, frozen is frozen."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import yaml

from jepa_wm_ros.learning import familiarity, train
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, load_settings
from jepa_wm_ros.learning.stages import PredictorStage, new_model, validation
from jepa_wm_ros.learning.train import check_episodes, load_both
from jepa_wm_ros.learning.windows import load_recording
from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import load_world_model
from support.bags import make_bag
from support.toy_training import SIZE, TOY, optimised, run, toy_episode


def test_nothing_is_learnt_from_episodes_that_are_wrong_unless_somebody_wants_it(
    folders, tmp_path, capsys
):
    wrong = toy_episode(3)
    wrong.proprio[:, :2] *= 1000
    with EpisodeWriter(tmp_path / 'train', 'a') as writer:
        writer.write(0, toy_episode(0))
        writer.write(1, wrong)
    told = ['--data', str(tmp_path / 'train'), '--stage', 'encoder', '--iterations', '1']
    assert run(folders, 'wrong', *told) == 1
    said = capsys.readouterr().err
    place = f'{tmp_path}/train/episodes_a_0000.h5:episode_000001'
    assert f'error: {place}: at 0.00 s the hand is' in said and '--unchecked' in said
    assert not (folders / 'wrong').exists()
    assert run(folders, 'wrong', *told, '--unchecked') == 0


def test_a_set_of_two_cameras_is_not_learnt_from(folders, tmp_path, capsys):
    with EpisodeWriter(tmp_path / 'train', 'a') as writer:
        for number in range(12):
            episode = toy_episode(number)
            frames = 255 - episode.frames if number >= 7 else episode.frames
            frames[:, :8] = np.uint8(0.4 * frames[:, :8])  # which the negative of is no other light
            writer.write(number, dataclasses.replace(episode, frames=frames))
    assert run(folders, 'swapped', '--data', str(tmp_path / 'train')) == 1
    said = capsys.readouterr().err
    assert 'episode_000007: from here on the pictures are others' in said and 'error: ' in said


def test_what_is_odd_about_a_bag_is_told_and_it_is_learnt_from(folders, tmp_path, capsys):
    bag = make_bag(tmp_path / 'bag', seconds=12.0, skip=lambda seconds: 5.0 < seconds < 6.0)
    check_episodes(bag)
    assert 'FAULT gap' in capsys.readouterr().err
    words = ['--data', str(bag), '--val', str(bag), '--camera', '/nowhere']
    assert run(folders, 'bag', *words) == 1
    assert 'no topic /nowhere' in capsys.readouterr().err
    data, val = load_both(bag, bag, '/image')
    assert len(data.episode) == len(val.episode) > 40
    with pytest.raises(BagError, match='no topic /nowhere'):
        load_both(bag, None, '/nowhere')


def test_the_train_command_beats_copying_and_leaves_weights_plot_and_metrics(folders, capsys):
    assert run(folders, 'all') == 0
    model = load_world_model(folders / 'all' / 'toy.safetensors')
    metrics = json.loads((folders / 'all' / 'metrics.json').read_text())
    for stage in ('encoder', 'predictor'):
        last = metrics['history'][stage][-1]
        assert last['val_step'] < 0.7 * last['val_copy']
    assert model.spec.reached_distance == pytest.approx(metrics['probes']['reached_distance'])
    val = load_recording(folders / 'val')
    novelty = model.familiarity(model.features(model.prepare_images(val.frames[:20])))
    noise = torch.randint(0, 256, (20, SIZE, SIZE, 3), dtype=torch.uint8)
    assert float(novelty.max()) < 1.0
    told = ['--data', str(folders / 'train'), '--val', str(folders / 'val')]
    assert familiarity.main([str(folders / 'all' / 'toy.safetensors'), *told]) == 0
    again = load_world_model(folders / 'all' / 'toy.safetensors').familiarity
    assert float(again.limit) == pytest.approx(float(model.familiarity.limit), rel=1e-2)
    assert float(model.familiarity(model.features(model.prepare_images(noise))).min()) > 1.0
    assert model.spec.fps == 4.0 and len(model.spec.action_std) == 7
    assert (folders / 'all' / 'losses.png').stat().st_size > 1000
    assert 'hand_xyz_cm' in capsys.readouterr().out


def test_a_model_goes_on_in_another_cell_from_where_it_was_with_the_statistics_it_has(folders):
    run(folders, 'all')
    shipped = folders / 'all' / 'toy.safetensors'
    more = folders / 'elsewhere'
    with EpisodeWriter(more, 'a') as writer:
        for seed in range(200, 230):
            episode = toy_episode(seed)
            other = Episode(  # another light, and nobody says where the cube is
                255 - episode.frames, episode.proprio, episode.actions, 4.0, seed
            )
            writer.write(seed, other)
    words = ['--config', str(folders / 'toy.yaml'), '--data', str(more), '--threads', '1']
    words += ['--from', str(shipped), '--name', 'mine', '--out', str(folders / 'mine')]
    assert train.main([*words, '--iterations', '60']) == 0
    before, after = load_world_model(shipped), load_world_model(folders / 'mine/mine.safetensors')
    assert after.spec.name == 'mine' and after.spec.action_std == before.spec.action_std
    assert after.spec.predictor == before.spec.predictor
    kept, changed = (dict(model.named_parameters()) for model in (before, after))
    fixed = {name for name in kept if torch.equal(kept[name], changed[name])}
    assert fixed == {'predictor.proprio_encoder.weight', 'predictor.proprio_encoder.bias'}
    metrics = json.loads((folders / 'mine' / 'metrics.json').read_text())
    assert metrics['run']['train_episodes'] == 27 and metrics['run']['val_episodes'] == 3
    first, last = metrics['history']['encoder'][0], metrics['history']['predictor'][-1]
    assert last['val_step'] < 0.7 * last['val_copy'] and first['iteration'] == 60


def test_the_predictor_alone_goes_on_from_a_model_on_its_frozen_encoder(folders):
    run(folders, 'all')
    shipped = folders / 'all' / 'toy.safetensors'
    more = ['--stage', 'predictor', '--from', str(shipped), '--iterations', '20']
    assert run(folders, 'alone', *more) == 0
    before, after = (
        dict(load_world_model(path).named_parameters())
        for path in (shipped, folders / 'alone' / 'toy.safetensors')
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith('predictor.') for name in changed)


def test_a_recording_that_a_model_cannot_go_on_from_is_told(folders, tmp_path, capsys):
    words = ['--data', str(folders / 'train'), '--out', str(tmp_path / 'out')]
    assert train.main([*words, '--from', 'jepa_wm_cell']) == 1
    said = capsys.readouterr().err
    assert 'jepa_wm_cell takes 96 px' in said and 'the recording has 16 px' in said
    assert 'dataset convert --size 96' in said
    with EpisodeWriter(tmp_path / 'few', 'a') as writer:
        writer.write(0, toy_episode(0))
    assert train.main(['--data', str(tmp_path / 'few'), '--out', str(tmp_path / 'out')]) == 1
    assert 'holds too few episodes (1)' in capsys.readouterr().err


def test_another_encoder_is_not_gone_on_with_from_the_checkpoint_of_the_first(folders, capsys):
    run(folders, 'all')
    weights = folders / 'all' / 'toy.safetensors'
    other = folders / 'other.safetensors'
    other.write_bytes(weights.read_bytes())
    words = ['--stage', 'predictor', '--iterations', '2', '--encoder-from']
    assert run(folders, 'one', *words, str(weights)) == 0
    unfinished(folders / 'one')
    assert run(folders, 'one', *words, str(other)) == 1
    assert 'belongs to a run with other settings' in capsys.readouterr().err


def test_what_is_known_of_an_encoder_and_these_episodes_is_not_measured_again(folders):
    """And of other episodes is."""
    run(folders, 'all')
    first = load_world_model(folders / 'all' / 'toy.safetensors')
    words = ['--stage', 'predictor', '--iterations', '2', '--encoder-from']
    words += [str(folders / 'all' / 'toy.safetensors')]
    assert run(folders, 'same', *words) == 0
    same = load_world_model(folders / 'same' / 'toy.safetensors')
    assert 'probes' not in json.loads((folders / 'same' / 'metrics.json').read_text())
    assert same.spec.reached_distance == first.spec.reached_distance
    assert torch.equal(same.familiarity.mean, first.familiarity.mean)
    assert run(folders, 'other', *words, '--data', str(folders / 'val')) == 0
    other = load_world_model(folders / 'other' / 'toy.safetensors')
    assert 'probes' in json.loads((folders / 'other' / 'metrics.json').read_text())
    assert not torch.equal(other.familiarity.mean, first.familiarity.mean)


def test_other_episodes_are_not_gone_on_with_from_the_checkpoint_of_the_first(folders, capsys):
    words = ['--stage', 'encoder', '--iterations', '2']
    assert run(folders, 'first', *words) == 0
    unfinished(folders / 'first')
    assert run(folders, 'first', *words, '--data', str(folders / 'val')) == 1
    assert 'belongs to a run with other settings, other episodes' in capsys.readouterr().err


def unfinished(folder):
    """Leave of a run what it leaves that is interrupted."""
    (folder / 'toy.safetensors').unlink()
    (folder / 'metrics.json').unlink()


def test_patience_without_trials_is_told(folders, capsys):
    assert run(folders, 'patient', '--patience', '3') == 1
    assert '--patience counts rounds of --trials' in capsys.readouterr().err


def test_stage_two_leaves_every_bit_of_the_encoder_as_it_was(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml')
    model = new_model(settings, recording, seed=1)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    fixed = model.predictor.proprio_encoder.weight.clone()
    stage = PredictorStage(model, recording, settings.predictor, seed=1)
    seen = validation(model, recording, settings.predictor)
    optimised(stage, settings.predictor, tmp_path / 'c.pt', every=30, validate=seen)
    after = model.encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(model.predictor.proprio_encoder.weight, fixed)


def test_the_proprio_map_keeps_lengths_and_never_sees_the_jumping_roll(folders, recording):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3)
    weight = model.predictor.proprio_encoder.weight
    assert torch.equal(weight[:, 3], torch.zeros(4))
    assert not weight.requires_grad


def test_a_fresh_model_that_predicts_changes_starts_from_no_change(folders, recording):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    measured = validation(model, recording, StageSettings(iterations=1))()
    assert measured['val_step'] == pytest.approx(measured['val_copy'])


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--data', '/nowhere'], 'no episodes in /nowhere'),
        (['--config', '/nowhere.yaml'], 'cannot read /nowhere.yaml'),
        (['--config', 'nothing'], 'nothing.yaml of jepa_wm_ros is missing'),
        (['--stage', 'predictor'], 'needs --encoder-from'),
        (['--encoder-from', 'a', '--from', 'b'], 'give one'),
        (['--encoder-from', 'a'], '--encoder-from is for --stage predictor'),
        (['--every', '0'], '--every 0: give iterations, at least 1'),
    ],
)
def test_bad_input_is_one_line_and_exit_status_1(folders, capsys, arguments, message):
    assert run(folders, 'bad', *arguments) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith('error: ') and message in error and '\n' not in error


def test_a_configuration_with_an_unknown_key_or_too_short_windows_is_refused(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_text(yaml.safe_dump({**TOY, 'encoder': {**TOY['encoder'], 'speed': 3}}))
    with pytest.raises(TrainingError, match='speed'):
        load_settings(path)
    with pytest.raises(TrainingError, match='at least 5 frames'):
        StageSettings(iterations=1, rollout_steps=4)
