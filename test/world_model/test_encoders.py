# SPDX-License-Identifier: Apache-2.0
"""Encoders beyond what the golden arrays show: sizes, clips of one picture, stored positions."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model.encoders import build_encoder
from jepa_wm_ros.world_model.encoders.conv import ConvEncoder, conv_spec
from jepa_wm_ros.world_model.files.official import allocate
from jepa_wm_ros.world_model.files.registry import cell_spec, dinov2, dinov3, vjepa, vjepa2


@pytest.mark.parametrize(
    ('spec', 'millions'),
    [
        (dinov2('s'), 22.06),
        (dinov2('b'), 86.58),
        (dinov2('l'), 304.37),
        (dinov3('s'), 21.60),
        (dinov3('b'), 85.66),
        (dinov3('l'), 303.13),
        (vjepa2('l'), 303.89),
        (vjepa2('g'), 1012.17),
    ],
    ids=[
        'dinov2-s',
        'dinov2-b',
        'dinov2-l',
        'dinov3-s',
        'dinov3-b',
        'dinov3-l',
        'vjepa2-l',
        'vjepa2-g',
    ],
)
def test_an_encoder_has_as_many_parameters_as_its_paper_says(spec, millions):
    with torch.device('meta'):
        encoder = build_encoder(spec, 224)
    count = sum(p.numel() for p in encoder.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.02)


def small(spec, **changes):
    torch.manual_seed(0)
    return build_encoder(replace(spec, width=48, depth=2, heads=2, **changes), 32).eval()


@pytest.mark.parametrize('spec', [vjepa(), vjepa2('l')], ids=['vjepa', 'vjepa2'])
@torch.no_grad()
def test_a_picture_is_a_clip_of_equal_frames(spec):
    encoder = small(spec, patch_size=8)
    picture = torch.randn(2, 3, 32, 32)
    clip = picture.unsqueeze(2).expand(-1, -1, 2, -1, -1)
    assert encoder(picture).shape == (2, 16, 48)
    assert torch.equal(encoder(picture), encoder(clip))


@torch.no_grad()
def test_vjepa_uses_its_stored_positions_as_they_are_at_their_native_size():
    encoder = small(vjepa(), patch_size=8, native_size=32, frames=4)
    assert encoder._positions((2, 4, 4)) is encoder.pos_embed
    smaller = encoder._positions((1, 2, 2))
    table = encoder.pos_embed.view(2, 4, 4, 48)
    assert torch.allclose(
        smaller.view(2, 2, 48), table.view(2, 2, 2, 2, 2, 48).mean((0, 2, 4)), atol=1e-6
    )


@torch.no_grad()
def test_dinov2_resizes_its_positions_with_the_authors_offset():
    encoder = small(dinov2('s'), native_size=70)
    torch.nn.init.normal_(encoder.vit.pos_embed)
    table = encoder.position_table(torch.zeros(1, 3, 42, 56))
    assert table.shape == (1, 1 + 3 * 4, 48)
    stored = encoder.vit.pos_embed[:, 1:].view(1, 5, 5, 48).movedim(-1, 1)
    plain = F.interpolate(stored, size=(3, 4), mode='bicubic').flatten(2).mT
    offset = F.interpolate(stored, scale_factor=(3.1 / 5, 4.1 / 5), mode='bicubic').flatten(2).mT
    assert torch.equal(table[:, 1:], offset)
    assert (table[:, 1:] - plain).abs().max() > 1e-2
    assert encoder.position_table(torch.zeros(1, 3, 70, 70)) is encoder.vit.pos_embed


@torch.no_grad()
def test_dinov3_keys_have_no_bias_whatever_the_file_says():
    encoder = small(dinov3('s'))
    bias = torch.arange(3 * 48.0)
    state = encoder.convert(
        {
            'blocks.0.attn.qkv.bias': bias,
            'blocks.0.attn.qkv.bias_mask': torch.ones(144),
            'blocks.1.ls2.gamma': torch.ones(48),
            'mask_token': torch.ones(1),
        }
    )
    assert sorted(state) == [
        'vit.blocks.0.attn.q_bias',
        'vit.blocks.0.attn.v_bias',
        'vit.blocks.1.gamma_2',
    ]
    assert torch.equal(state['vit.blocks.0.attn.q_bias'], bias[:48])
    assert torch.equal(state['vit.blocks.0.attn.v_bias'], bias[96:])
    assert not encoder.vit.blocks[0].attn.k_bias.any()


def test_memory_that_is_filled_later_holds_no_leftovers_outside_the_state():
    model = allocate(
        cell_spec(depth=1).replace(
            encoder=replace(dinov3('s'), width=48, depth=1, heads=2), img_size=32
        )
    )
    attention = model.encoder.vit.blocks[0].attn
    assert not attention.k_bias.any()
    stored = set(model.state_dict())
    assert [name for name, _ in model.named_buffers() if name not in stored] == [
        'encoder.vit.blocks.0.attn.k_bias'
    ]


@pytest.mark.parametrize('grid', [2, 3])
def test_tokens_of_a_convolution_lie_in_rows_from_above(grid):
    """What changes in a corner of the picture changes the token of that corner most."""
    torch.manual_seed(0)
    encoder = ConvEncoder(conv_spec(width=16, grid=grid, norm='none'), 96).eval()
    pixels = torch.rand(1, 3, 96, 96)
    for token, (row, column) in {grid - 1: (0, 80), grid * (grid - 1): (80, 0)}.items():
        other = pixels.clone()
        other[..., row : row + 16, column : column + 16] += 3.0
        change = (encoder(other) - encoder(pixels)).norm(dim=-1)
        assert change.shape == (1, grid**2) and int(change.argmax()) == token


def test_tokens_that_a_map_cannot_be_cut_into_are_refused():
    with pytest.raises(JepaWmError, match='ends in a 6x6 map at 96 px, which is not 4x4 cells'):
        ConvEncoder(conv_spec(grid=4), 96)
