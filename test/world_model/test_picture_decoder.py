# SPDX-License-Identifier: Apache-2.0
"""The small picture decoder: its shapes, its file, and whom it belongs to."""

import pytest
import torch

from jepa_wm_ros.world_model import (
    CheckpointError,
    EncoderSpec,
    build,
    load_world_model,
    save_world_model,
)
from jepa_wm_ros.world_model.files.checkpoints import weights_file
from jepa_wm_ros.world_model.files.decoders import decoder_file, save_decoder
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.images import to_uint8
from jepa_wm_ros.world_model.picture_decoder import PictureDecoder, map_sides


def model_of(seed=0, **changes):
    spec = cell_spec(depth=1, predictor_width=32, heads=4).replace(**changes)
    return build(spec, seed=seed).freeze()


def with_decoder(model):
    torch.manual_seed(5)
    model.decoder = PictureDecoder(model.spec).half().float()  # as it is stored
    return model.freeze()


@pytest.fixture
def stored(tmp_path):
    """A model with a decoder, and the file of it; the decoder's is beside it."""
    model, path = with_decoder(model_of()), tmp_path / 'mine.safetensors'
    save_world_model(model, path)
    save_decoder(model, decoder_file(path), {})
    return model, path


@pytest.mark.parametrize(
    'size, encoder',
    [
        (96, None),
        (64, EncoderSpec('patch', 8, patch_size=16)),  # 4 x 4 tokens
        (65, EncoderSpec('patch', 8, patch_size=13)),  # an odd side
        (224, EncoderSpec('patch', 8, patch_size=14)),  # 16 x 16
    ],
)
def test_a_picture_has_the_size_that_the_model_sees(size, encoder):
    model = model_of(img_size=size, **({'encoder': encoder} if encoder else {}))
    model = with_decoder(model)
    latents = model.encode(torch.randn(2, 3, 3, size, size), torch.zeros(2, 3, 7))
    pictures = model.decode(latents)
    assert pictures.shape == (6, size, size, 3) and pictures.dtype == torch.uint8
    assert model.decoder(latents.visual).shape == (2, 3, 1, size, size, 3)


def test_the_maps_double_from_the_tokens_to_half_the_picture():
    assert map_sides(96, 1) == [6, 12, 24, 48]
    assert map_sides(256, 16) == [16, 32, 64, 128]
    assert map_sides(65, 5) == [9, 17, 33]


def test_every_picture_is_decoded_from_its_own_latents_in_their_order():
    """Each alone gives what it gives among the others, and rows are not columns."""
    model = with_decoder(model_of())
    latents = model.encode(torch.randn(2, 2, 3, 96, 96), torch.zeros(2, 2, 7))
    together = model.decoder(latents.visual)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        alone = model.decoder.pixels(latents.visual[i : i + 1, j : j + 1])
        want = to_uint8(alone)[0].permute(1, 2, 0)
        assert (together[i, j, 0].int() - want.int()).abs().max() <= 1
    assert not torch.equal(together[0, 0], together[1, 1])


def test_a_grid_of_tokens_is_drawn_where_it_lies():
    """A token that changes changes the picture around its own place."""
    model = with_decoder(model_of(img_size=64, encoder=EncoderSpec('patch', 8, patch_size=16)))
    quiet = torch.zeros(1, 1, 1, 4, 4, 8)
    loud = quiet.clone()
    loud[..., 0, 3, :] = 5.0  # above, on the right
    # the norm of a map hears every place: where most changes counts
    change = (model.decoder.pixels(loud) - model.decoder.pixels(quiet)).abs().mean((0, 1))
    corners = {
        (a, b): change[32 * a : 32 * a + 32, 32 * b : 32 * b + 32].mean()
        for a in (0, 1)
        for b in (0, 1)
    }
    assert max(corners, key=corners.get) == (0, 1)


def test_the_decoder_lies_beside_the_model_and_is_loaded_with_it(stored):
    model, path = stored
    assert decoder_file(path).name == 'mine.decoder.safetensors'
    again = load_world_model(path)
    latents = model.encode(torch.randn(2, 3, 96, 96), torch.zeros(2, 7))
    assert torch.equal(again.decode(latents), model.decode(latents))
    assert not any(p.requires_grad for p in again.decoder.parameters())
    narrow = load_world_model(path, dtype=torch.bfloat16)
    assert narrow.decode(narrow.encode(torch.randn(1, 3, 96, 96), torch.zeros(1, 7))).ndim == 4
    decoder_file(path).unlink()
    assert load_world_model(path).decoder is None


def test_the_models_own_file_has_nothing_of_it(stored, tmp_path):
    _, path = stored
    save_world_model(model_of(), tmp_path / 'bare.safetensors')
    assert path.read_bytes() == (tmp_path / 'bare.safetensors').read_bytes()


def test_a_decoder_of_another_model_is_refused_in_one_line(stored, tmp_path):
    _, path = stored
    other = tmp_path / 'other.safetensors'
    save_world_model(model_of(seed=1), other)
    decoder_file(path).rename(decoder_file(other))
    with pytest.raises(CheckpointError) as refused:
        load_world_model(other)
    said = str(refused.value)
    assert 'other.decoder.safetensors decodes latents of another encoder' in said
    assert '--stage decoder' in said and '\n' not in said


def test_a_decoder_fits_every_predictor_on_its_encoder(stored, tmp_path):
    model, path = stored
    retrained = build(model.spec.replace(name='retrained'), seed=7)
    retrained.encoder.load_state_dict(model.encoder.state_dict())
    save_world_model(retrained, tmp_path / 'retrained.safetensors')
    decoder_file(path).rename(tmp_path / 'retrained.decoder.safetensors')
    assert load_world_model(tmp_path / 'retrained.safetensors').decoder is not None


def test_the_same_encoder_on_other_pixels_is_another(stored, tmp_path):
    model, path = stored
    model.spec = model.spec.replace(image_mean=(0.4, 0.5, 0.5))
    save_world_model(model, path)
    with pytest.raises(CheckpointError, match='another encoder'):
        load_world_model(path)


def test_a_damaged_decoder_is_named(stored):
    _, path = stored
    content = bytearray(decoder_file(path).read_bytes())
    content[-1] ^= 1
    decoder_file(path).write_bytes(content)
    with pytest.raises(CheckpointError, match='mine.decoder.safetensors has SHA-256'):
        load_world_model(path)


def test_a_model_that_is_called_as_a_shipped_one_is_not_given_its_decoder(tmp_path):
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'weights' / 'jepa_wm_cell.decoder.safetensors').write_bytes(b'of another')
    model = model_of()
    assert model.spec.name == 'jepa_wm_cell'
    save_world_model(model, tmp_path / 'run.safetensors')
    again = load_world_model(tmp_path / 'run.safetensors', weights_dir=tmp_path / 'weights')
    assert again.decoder is None


def test_the_shipped_model_comes_with_its_decoder():
    decoder = load_world_model('jepa_wm_cell').decoder
    assert isinstance(decoder, PictureDecoder)
    assert decoder_file(weights_file('jepa_wm_cell')).stat().st_size < 3e6
