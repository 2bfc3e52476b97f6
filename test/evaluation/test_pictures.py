# SPDX-License-Identifier: Apache-2.0
"""Latents as pictures: decoded, nearest, and compared by LPIPS where there is one."""

import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from jepa_wm_ros.evaluation.offline import perceptual
from jepa_wm_ros.evaluation.offline.illustrate import Studio, counterfactual_actions
from jepa_wm_ros.evaluation.offline.pictures import Gallery, square
from jepa_wm_ros.evaluation.offline.trial import ClipTrial
from jepa_wm_ros.world_model import Latents, build
from jepa_wm_ros.world_model.files.registry import cell_spec


class Grey(nn.Module):
    """A decoder whose pictures say the mean of the latent in their brightness."""

    def forward(self, visual):
        value = visual.mean(dim=(-3, -2, -1)).clamp(0, 255).to(torch.uint8)
        return value[..., None, None, None].expand(*value.shape, 16, 16, 3)


@pytest.fixture
def model():
    return build(cell_spec(depth=1, predictor_width=32, heads=2), seed=0).freeze()


def latents_of(model, *values):
    size = (1, 1, model.spec.grid, model.spec.grid, model.spec.encoder.width)
    return Latents(torch.stack([torch.full(size, float(v)) for v in values]))


def test_square_takes_the_middle_and_keeps_flat_colours():
    frame = np.zeros((40, 80, 3), np.uint8)
    frame[:, 20:60] = (10, 200, 30)
    assert (square(frame, 24) == (10, 200, 30)).all()


def test_the_gallery_gives_the_recorded_picture_with_the_nearest_latent(model):
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (50, 100, 150)]
    gallery = Gallery.of(pictures, [latents_of(model, v) for v in (0, 10, 20)])
    chosen = gallery.nearest(latents_of(model, 13, 1, 99).visual)
    assert chosen[:, 0, 0, 0].tolist() == [100, 50, 150]


def test_imagined_frames_are_decoded_where_the_model_has_a_decoder(model):
    model.decoder = Grey()
    studio = Studio(ClipTrial(model, 'grey', [], [1]), recorded=None)
    strip = studio.strip(latents_of(model, 0, 40, 80), np.full((30, 30, 3), 7, np.uint8))
    assert 'decoded' in studio.note
    assert [int(strip[5, 128 * i + 3 * i + 5, 0]) for i in range(3)] == [7, 40, 80]


def test_lpips_says_in_one_line_what_it_lacks(model, monkeypatch, tmp_path):
    assert 'no picture decoder' in perceptual.find_perceptual(model)[1]
    model.decoder = Grey()
    monkeypatch.setattr(perceptual, 'find_spec', lambda name: None)
    assert 'pip install lpips' in perceptual.find_perceptual(model)[1]
    monkeypatch.setattr(perceptual, 'find_spec', lambda name: object())
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    assert 'alexnet-owt-7be5be79.pth' in perceptual.find_perceptual(model)[1]


def test_lpips_compares_decoded_with_recorded_frames_of_the_decoders_size(
    model, monkeypatch, tmp_path
):
    class LPIPS(nn.Module):
        """Stands in for the network: mean absolute difference of inputs in [-1, 1]."""

        def __init__(self, net, verbose):
            super().__init__()
            assert net == 'alex'

        def forward(self, first, second):
            assert first.shape == second.shape == (1, 3, 16, 16)
            assert float(first.min()) >= -1 and float(first.max()) <= 1
            return (first - second).abs().mean()

    monkeypatch.setitem(sys.modules, 'lpips', types.SimpleNamespace(LPIPS=LPIPS))
    monkeypatch.setattr(perceptual, 'find_spec', lambda name: object())
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / perceptual.BACKBONE).write_bytes(b'weights')
    model.decoder = Grey()
    lpips, reason = perceptual.find_perceptual(model)
    assert reason == ''
    frames = [np.full((48, 64, 3), value, np.uint8) for value in (40, 100)]
    values = lpips.distances(latents_of(model, 40, 80), frames)
    assert values == pytest.approx([0.0, 20 / 127.5], abs=1e-6)


def test_counterfactuals_differ_in_the_gripper_alone():
    opened, closed = counterfactual_actions(-0.5), counterfactual_actions(0.5)
    np.testing.assert_array_equal(opened[:, :6], closed[:, :6])
    assert (opened[2:, 2] > 0).all() and not opened[:2, :6].any()  # it strokes standing
    assert opened[:, 6].sum() == -1.0 and closed[:, 6].sum() == 1.0
