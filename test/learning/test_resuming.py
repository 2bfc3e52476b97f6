# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a run resumes to the same weights, and no trouble costs the last good one."""

import pytest
import torch

from jepa_wm_ros.learning.settings import TrainingError, load_settings
from jepa_wm_ros.learning.stages import EncoderStage, PredictorStage, new_model
from support.toy_training import optimised


def test_an_interrupted_run_ends_at_the_same_weights(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml').with_iterations(12)

    def stage():
        return EncoderStage(new_model(settings, recording, seed=1), recording, settings.encoder)

    def go(module, name, losses=None):
        optimised(module, settings.encoder, tmp_path / name, losses=losses or module.losses)

    whole, broken, resumed = stage(), stage(), stage()
    go(whole, 'whole.pt')
    calls = []

    def power_cut(generator):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return broken.losses(generator)

    with pytest.raises(KeyboardInterrupt):
        go(broken, 'cut.pt', power_cut)
    before = torch.load(tmp_path / 'cut.pt')['seconds']
    go(resumed, 'cut.pt')
    assert torch.load(tmp_path / 'cut.pt')['seconds'] > before > 0
    end = resumed.state_dict()
    assert all(torch.equal(value, end[name]) for name, value in whole.state_dict().items())


def test_gradients_that_an_earlier_stage_has_left_on_frozen_weights_change_no_step(
    folders, recording, tmp_path
):
    settings = load_settings(folders / 'toy.yaml').with_iterations(3)
    ends = []
    for left in (0.0, 100.0):
        model = new_model(settings, recording, seed=1)
        for parameter in model.encoder.parameters():
            parameter.grad = torch.full_like(parameter, left)
        stage = PredictorStage(model, recording, settings.predictor, seed=1)
        optimised(stage, settings.predictor, tmp_path / f'{left}.pt')
        ends.append(stage.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


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
        optimised(stage, settings.encoder, tmp_path / 'c.pt', every=2)
    assert torch.load(tmp_path / 'c.pt')['iteration'] == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ['c.pt']


def test_a_checkpoint_of_another_run_is_refused_by_name(folders, recording, tmp_path):
    settings = load_settings(folders / 'toy.yaml').with_iterations(2)
    stage = EncoderStage(new_model(settings, recording, seed=1), recording, settings.encoder)
    optimised(stage, settings.encoder, tmp_path / 'c.pt')
    with pytest.raises(TrainingError, match='another seed'):
        optimised(stage, settings.encoder, tmp_path / 'c.pt', seed=2)
    with pytest.raises(TrainingError, match='another --from'):
        optimised(stage, settings.encoder, tmp_path / 'c.pt', origin='jepa_wm_cell')
