# SPDX-License-Identifier: Apache-2.0
"""The one image pipeline, and the decoders that go the other way."""

import numpy as np
import pytest
import torch

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model import Latents, build, images
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.heads import ImageHead, ImageHeadSpec, ProprioHead


@pytest.mark.parametrize(
    ('size', 'box'),
    [
        ((480, 640), (0, 80, 480)),
        ((640, 480), (80, 0, 480)),
        ((5, 8), (0, 1, 5)),
        ((7, 7), (0, 0, 7)),
    ],
)
def test_the_crop_is_the_largest_square_in_the_middle(size, box):
    assert images.central_square(*size) == box


def test_a_picture_of_the_models_size_is_only_scaled():
    frame = torch.arange(4 * 6 * 3, dtype=torch.uint8).view(1, 4, 6, 3)
    pixels = images.crop_and_resize(frame, 4, antialias=False)
    assert torch.equal(pixels, frame[:, :, 1:5].permute(0, 3, 1, 2) / 255.0)


def test_halving_without_smoothing_averages_two_by_two():
    frame = torch.randint(0, 256, (1, 8, 8, 3), dtype=torch.uint8)
    pixels = images.crop_and_resize(frame, 4, antialias=False)
    want = frame.float().view(4, 2, 4, 2, 3).mean((1, 3)).permute(2, 0, 1) / 255
    assert torch.allclose(pixels[0], want, atol=1e-6)


def test_smoothing_keeps_fine_stripes_grey_where_sampling_does_not():
    frame = torch.zeros(1, 80, 80, 3, dtype=torch.uint8)
    frame[:, :, ::4] = frame[:, :, 1::4] = 255
    spread = [images.crop_and_resize(frame, 20, antialias=a).std() for a in (False, True)]
    assert spread[1] < 0.5 * spread[0] or spread[0] < 1e-3
    coarse = images.crop_and_resize(frame, 18, antialias=False)
    smooth = images.crop_and_resize(frame, 18, antialias=True)
    assert smooth.std() < 0.6 * coarse.std()


def test_normalising_is_undone():
    pixels, mean, std = torch.rand(2, 3, 4, 4), (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    there = images.normalize(pixels, mean, std)
    assert there[0, 1, 0, 0] == pytest.approx((pixels[0, 1, 0, 0] - 0.2) / 0.25)
    assert torch.allclose(images.denormalize(there, mean, std), pixels, atol=1e-6)


def test_grey_levels_are_cut_off_not_rounded():
    assert images.to_uint8(torch.tensor([-0.1, 0.0, 0.9999, 1.0, 1.5])).tolist() == [
        0,
        0,
        254,
        255,
        255,
    ]


def test_arrays_and_tensors_give_the_same_pixels():
    model = build(cell_spec(depth=1))
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    flipped = frames[:, :, ::-1]  # a view with negative strides, as camera drivers give
    assert torch.equal(
        model.prepare_images(flipped), model.prepare_images(torch.from_numpy(flipped.copy()))
    )
    assert model.prepare_images(frames).shape == (2, 3, 96, 96)


@pytest.mark.parametrize(
    'frames',
    [
        torch.zeros(48, 64, 3, dtype=torch.uint8),
        torch.zeros(1, 3, 48, 64, dtype=torch.uint8),
        torch.zeros(1, 48, 64, 3),
        torch.zeros(1, 0, 64, 3, dtype=torch.uint8),
    ],
)
def test_pictures_of_another_kind_are_refused(frames):
    with pytest.raises(JepaWmError, match='pictures must'):
        images.crop_and_resize(frames, 32, antialias=False)


def test_many_pictures_are_encoded_in_chunks_with_the_same_result(monkeypatch):
    from jepa_wm_ros.world_model import model as module

    model = build(cell_spec(depth=1), seed=0).freeze()
    pixels = torch.randn(5, 3, 96, 96)
    whole = model.encode_visual(pixels).visual
    monkeypatch.setattr(module, 'ENCODE_CHUNK', 2)
    assert torch.allclose(model.encode_visual(pixels).visual, whole, atol=1e-5)


def test_a_model_that_hears_proprioception_says_when_it_is_missing():
    model = build(cell_spec(depth=1)).freeze()
    with pytest.raises(JepaWmError, match='give proprio'):
        model.encode(torch.randn(1, 3, 96, 96))


def test_proprioception_comes_back_from_its_features():
    model = build(
        cell_spec(depth=1).replace(proprio_mean=(0.5,) * 7, proprio_std=(2.0,) * 7), seed=0
    ).freeze()
    pose = torch.randn(3, 7)
    latents = model.encode(torch.randn(3, 3, 96, 96), pose)
    assert torch.allclose(model.decode_proprio(latents)[:, 0], pose, atol=1e-4)
    assert model.decode_proprio(Latents(latents.visual)) is None


def test_a_proprioception_head_reads_what_is_linear_in_the_latents():
    torch.manual_seed(0)
    visual, weight = torch.randn(200, 1, 1, 2, 2, 5), torch.randn(20, 7)
    pose = (visual.flatten(1) @ weight + 3).unsqueeze(1)
    head = ProprioHead.fit(visual, pose, ridge=1e-9)
    assert torch.allclose(head(visual), pose, atol=1e-3)


def test_a_picture_decoder_puts_every_patch_in_its_place():
    spec = ImageHeadSpec(
        latent_width=4,
        img_size=6,
        width=12,
        depth=0,
        heads=1,
        patch_size=2,
        image_mean=(0.0,) * 3,
        image_std=(1.0,) * 3,
    )
    head = ImageHead(spec)
    colours = torch.arange(3 * 3 * 12).view(1, 1, 1, 3, 3, 12) / 255 + 1e-4
    head.patches = lambda _: colours
    picture = head(torch.zeros(1, 1, 1, 3, 3, 4))[0, 0, 0]
    assert picture.shape == (6, 6, 3) and picture.dtype == torch.uint8
    for row, col, p, q, channel in ((0, 0, 0, 0, 0), (1, 2, 0, 1, 2), (2, 0, 1, 0, 1)):
        assert picture[2 * row + p, 2 * col + q, channel] == (
            (row * 3 + col) * 12 + p * 6 + q * 3 + channel
        )


def test_a_model_without_a_decoder_says_so():
    model = build(cell_spec(depth=1))
    with pytest.raises(JepaWmError, match='no picture decoder'):
        model.decode(Latents(torch.zeros(1, 1, 1, 1, 1, 128)))
