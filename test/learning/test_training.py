# SPDX-License-Identifier: Apache-2.0
"""Training on a toy, a spot that actions move: losses fall, frozen is frozen, runs resume."""

import contextlib
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from jepa_wm_ros.learning import familiarity, train
from jepa_wm_ros.learning import latents as latents_room
from jepa_wm_ros.learning.latents import encode_frames, encoded_views
from jepa_wm_ros.learning.optimise import cosine, optimise
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, load_settings
from jepa_wm_ros.learning.stages import EncoderStage, PredictorStage, new_model, validation
from jepa_wm_ros.learning.windows import Recording, load_recording
from jepa_wm_ros.learning.world import World, own_device
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import load_world_model

SIZE = 16
TOY = {
    'model': {
        'name': 'toy',
        'family': 'adaln',
        'img_size': SIZE,
        'image_mean': [0.5] * 3,
        'image_std': [0.5] * 3,
        'proprio_position': [0, 1],
        'proprio_wraps': [3],
        'encoder': {
            'kind': 'conv',
            'width': 8,
            'patch_size': 4,
            'channels': [8],
            'strides': [1],
            'hidden': 32,
            'norm': 'batch',
        },
        'predictor': {
            'width': 28,
            'depth': 1,
            'heads': 2,
            'proprio': 'feature',
            'proprio_features': 4,
            'predict_change': True,
        },
    },
    'encoder': {
        'iterations': 120,
        'batch': 16,
        'warmup': 10,
        'learning_rate': 3e-3,
        'sigreg': 0.02,
        'inverse_dynamics': 0.3,
        'proprio': 1.0,
        'stop_gradient': False,
    },
    'retrained': {'width': 20},
    'predictor': {
        'iterations': 240,
        'batch': 16,
        'warmup': 10,
        'learning_rate': 1e-2,
        'rollout_steps': 3,
        'views': 2,
    },
}


def toy_episode(seed: int, steps: int = 8) -> Episode:
    rng = np.random.default_rng(seed)
    actions = np.zeros((steps, 7), np.float32)
    actions[:, :2] = rng.uniform(-0.2, 0.2, (steps, 2))
    poses = np.zeros((steps + 1, 7), np.float32)
    poses[0, :2] = rng.uniform(0.3, 0.7, 2)
    for t in range(steps):
        poses[t + 1, :2] = np.clip(poses[t, :2] + actions[t, :2], 0.1, 0.9)
    row, column = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    shade = [np.exp(-60 * ((row - x) ** 2 + (column - y) ** 2)) for x, y in poses[:, :2]]
    frames = (255 * np.stack(shade)[..., None]).astype(np.uint8).repeat(3, axis=-1)
    return Episode(
        frames, poses, actions, 4.0, seed, {'cube': np.zeros((steps + 1, 7), np.float32)}
    )


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp('toy')
    for name, seeds in (('train', range(40)), ('val', range(100, 110))):
        with EpisodeWriter(base / name, 'a') as writer:
            for seed in seeds:
                writer.write(seed, toy_episode(seed))
    (base / 'toy.yaml').write_text(yaml.safe_dump(TOY))
    return base


@pytest.fixture(scope='module')
def recording(folders) -> Recording:
    return load_recording(folders / 'train')


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(folders, name: str, *more: str) -> int:
    return train.main(
        [
            '--config',
            str(folders / 'toy.yaml'),
            '--data',
            str(folders / 'train'),
            '--val',
            str(folders / 'val'),
            '--out',
            str(folders / name),
            '--threads',
            '1',
            *more,
        ]
    )


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
    assert 'train, episode 1: at 0.00 s the hand is' in said and '--unchecked' in said
    assert not (folders / 'wrong').exists()
    assert run(folders, 'wrong', *told, '--unchecked') == 0


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


def test_stage_two_leaves_every_bit_of_the_encoder_as_it_was(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml')
    model = new_model(settings, recording, seed=1)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    fixed = model.predictor.proprio_encoder.weight.clone()
    stage = PredictorStage(model, recording, settings.predictor, seed=1)
    optimise(
        stage,
        stage.losses,
        settings.predictor,
        seed=1,
        checkpoint=tmp_path / 'c.pt',
        title='',
        every=30,
        validate=validation(model, recording, settings.predictor),
        quiet=True,
    )
    after = model.encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(model.predictor.proprio_encoder.weight, fixed)


def test_an_interrupted_run_ends_at_the_same_weights(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml').with_iterations(12)

    def stage():
        return EncoderStage(new_model(settings, recording, seed=1), recording, settings.encoder)

    def go(module, losses, name):
        optimise(
            module,
            losses,
            settings.encoder,
            seed=1,
            checkpoint=tmp_path / name,
            title='',
            every=5,
            quiet=True,
        )

    whole, broken, resumed = stage(), stage(), stage()
    go(whole, whole.losses, 'whole.pt')
    calls = []

    def power_cut(generator):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return broken.losses(generator)

    with pytest.raises(KeyboardInterrupt):
        go(broken, power_cut, 'cut.pt')
    go(resumed, resumed.losses, 'cut.pt')
    end = resumed.state_dict()
    assert all(torch.equal(value, end[name]) for name, value in whole.state_dict().items())


def test_two_processes_of_torchrun_learn_what_one_learns(folders, capfd):
    run(folders, 'all')
    words = ['--stage', 'predictor', '--encoder-from', str(folders / 'all' / 'toy.safetensors')]
    words += ['--iterations', '40', '--config', str(folders / 'toy.yaml'), '--threads', '1']
    words += ['--data', str(folders / 'train'), '--val', str(folders / 'val'), '--out']
    assert train.main([*words, str(folders / 'one')]) == 0
    two = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    two += ['-m', 'jepa_wm_ros', 'train', *words, str(folders / 'two')]
    subprocess.run(two, check=True, timeout=300)
    ends = [torch.load(folders / name / 'predictor.pt')['module'] for name in ('one', 'two')]
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        pair = [ends[1][name], value]
        if name.endswith('qkv.bias'):  # no key's bias changes a softmax: AdamW follows its rounding
            pair = [torch.cat([each.chunk(3)[0], each.chunk(3)[2]]) for each in pair]
        torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-4, msg=name)
    one, both = (
        json.loads((folders / name / 'metrics.json').read_text())['history']['predictor'][-1]
        for name in ('one', 'two')
    )
    assert both == pytest.approx(one, rel=1e-3)
    assert capfd.readouterr().out.count(f'wrote {folders / "two"}') == 1


def test_what_several_processes_cannot_do_is_told(folders, monkeypatch):
    with pytest.raises(TrainingError, match='batch of 7 windows is not shared evenly by 2'):
        World(0, 2).share(torch.zeros(7))
    assert World(1, 2).share(torch.arange(4)).tolist() == [1, 3]
    monkeypatch.setattr(train, 'joined', lambda device: contextlib.nullcontext(World(0, 2)))
    options = train.parse(['--data', str(folders / 'train'), '--out', str(folders / 'no')])
    with pytest.raises(TrainingError, match='an encoder is trained by one process'):
        train.train(options)
    with pytest.raises(TrainingError, match='device nowhere cannot be used'):
        own_device('nowhere')


def test_a_full_disk_leaves_the_last_good_checkpoint_whole(
    folders, recording, tmp_path, monkeypatch
):
    settings = load_settings(folders / 'toy.yaml').with_iterations(6)
    stage = EncoderStage(new_model(settings, recording, seed=1), recording, settings.encoder)
    whole = []

    def full(state, path):
        if whole:
            path.write_bytes(b'half')
            raise OSError(28, 'No space left on device')
        whole.append(save(state, path))

    save = torch.save
    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(TrainingError, match='No space left.*the one before it is whole'):
        optimise(
            stage,
            stage.losses,
            settings.encoder,
            seed=1,
            checkpoint=tmp_path / 'c.pt',
            title='',
            every=2,
            quiet=True,
        )
    assert torch.load(tmp_path / 'c.pt')['iteration'] == 2
    assert [path.name for path in tmp_path.iterdir()] == ['c.pt']


def test_a_checkpoint_of_another_run_is_refused_by_name(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml').with_iterations(2)
    stage = EncoderStage(new_model(settings, recording, seed=1), recording, settings.encoder)
    for seed, expected in ((1, None), (2, 'another seed')):

        def go(seed=seed):
            optimise(
                stage,
                stage.losses,
                settings.encoder,
                seed=seed,
                title='',
                quiet=True,
                checkpoint=tmp_path / 'c.pt',
            )

        if expected is None:
            go()
        else:
            with pytest.raises(TrainingError, match=expected):
                go()


def test_the_proprio_map_keeps_lengths_and_never_sees_the_jumping_roll(folders, recording):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3)
    weight = model.predictor.proprio_encoder.weight
    assert torch.equal(weight[:, 3], torch.zeros(4))
    assert not weight.requires_grad


def test_a_fresh_model_that_predicts_changes_starts_from_no_change(folders, recording):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    measured = validation(model, recording, StageSettings(iterations=1))()
    assert measured['val_step'] == pytest.approx(measured['val_copy'])


def test_encodings_with_light_differ_by_episode_and_without_it_are_those_of_the_model(
    folders, recording
):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    plain = encode_frames(model, recording)
    direct = model.encoder(model.prepare_images(recording.frames[:9]))
    assert torch.allclose(plain[:9].flatten(1), direct.flatten(1), atol=1e-5)
    lit = encode_frames(model, recording, 0.1, torch.Generator().manual_seed(0))
    assert (lit - plain).abs().mean() > 1e-3


def test_latents_on_disk_are_those_in_memory_and_are_made_once(
    folders, recording, tmp_path, monkeypatch
):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    settings = StageSettings(iterations=1, views=2)
    here = encoded_views(model, recording, settings, 5)
    there = encoded_views(model, recording, settings, 5, tmp_path)
    assert isinstance(there, np.memmap) and np.array_equal(here, there)
    stages = [
        PredictorStage(model, recording, settings, 5, None, place) for place in (None, tmp_path)
    ]
    for stage in stages:
        stage.eval()
    losses = [stage.losses(torch.Generator().manual_seed(1))['prediction'][1] for stage in stages]
    assert losses[0].item() == losses[1].item()
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(latents_room, '_encoded', None)  # nothing is encoded again
        encoded_views(model, recording, settings, 5, tmp_path)
    others = [
        (model, recording, settings, 6),
        (model, recording, StageSettings(iterations=1, views=2, light=0.2), 5),
        (model, dataclasses.replace(recording, frames=255 - recording.frames[:]), settings, 5),
    ]
    for other in others:
        encoded_views(*other, tmp_path)
    with torch.no_grad():
        next(model.encoder.parameters()).mul_(1.5)
    encoded_views(model, recording, settings, 5, tmp_path)
    assert len(list(tmp_path.iterdir())) == 5 and file.exists()


def test_latents_that_cannot_be_kept_are_told_and_leave_nothing(
    folders, recording, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, 'No space left on device')

    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    monkeypatch.setattr(latents_room, '_encoded', full)
    with pytest.raises(TrainingError, match='No space left.*give another --cache'):
        encoded_views(model, recording, StageSettings(iterations=1), 5, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = StageSettings(iterations=110, warmup=10)
    assert cosine(0, settings) == pytest.approx(0.1)
    assert cosine(9, settings) == cosine(10, settings) == 1.0
    assert cosine(60, settings) == pytest.approx(0.5)
    assert cosine(110, settings) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--data', '/nowhere'], 'no episodes in /nowhere'),
        (['--config', '/nowhere.yaml'], 'cannot read /nowhere.yaml'),
        (['--config', 'nothing'], 'nothing.yaml of jepa_wm_ros is missing'),
        (['--stage', 'predictor'], 'needs --encoder-from'),
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
