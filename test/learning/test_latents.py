# SPDX-License-Identifier: Apache-2.0
"""Latents of a frozen encoder: in memory and on disk, plain and lit."""

import dataclasses

import numpy as np
import pytest
import torch

from jepa_wm_ros.learning import latents as latents_room
from jepa_wm_ros.learning.latents import encode_frames, encoded_views
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, load_settings
from jepa_wm_ros.learning.stages import PredictorStage, new_model


def test_encodings_with_light_differ_by_episode_and_without_it_are_those_of_the_model(
    folders, recording
):
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=3).eval()
    plain = encode_frames(model, recording)
    direct = model.encoder(model.prepare_images(recording.frames[:9]))
    assert torch.allclose(plain[:9].flatten(1), direct.flatten(1), atol=1e-5)
    settings = StageSettings(iterations=1, views=2, light=0.1)
    first, lit = torch.from_numpy(encoded_views(model, recording, settings, 0))
    assert torch.allclose(first, plain, atol=1e-6) and (lit - plain).abs().mean() > 1e-3


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
