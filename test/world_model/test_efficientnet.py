# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-lite: the map of stride 16 of timm's own net, from a file with other names."""

import pytest
import torch

from jepa_wm_ros.world_model.encoders import build_encoder
from jepa_wm_ros.world_model.files.official import load_encoder
from jepa_wm_ros.world_model.files.safe_files import CheckpointError
from jepa_wm_ros.world_model.spec import EncoderSpec
from jepa_wm_ros.world_model.spec_fields import SpecError
from support.published_encoders import published_lite0

LITE0 = EncoderSpec('efficientnet_lite0', 112, patch_size=16)


def test_tokens_are_the_map_of_stride_16_row_by_row(tmp_path):
    whole, path = published_lite0(tmp_path)
    encoder = build_encoder(LITE0, 96).eval()
    load_encoder(encoder, path)
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        tokens = encoder(pixels)
        (truth,) = whole.forward_intermediates(pixels, indices=[3], intermediates_only=True)
    assert tokens.shape == (2, 36, 112)
    assert torch.allclose(tokens[:, 8], truth[:, :, 1, 2], atol=1e-5)
    assert torch.allclose(tokens.view(2, 6, 6, 112).movedim(-1, 1), truth, atol=1e-5)


def test_a_file_of_another_net_is_refused(tmp_path):
    _, path = published_lite0(tmp_path, lambda content: content.pop('layer.7'))
    with pytest.raises(CheckpointError):
        load_encoder(build_encoder(LITE0, 96), path)


@pytest.mark.parametrize('spec', [(100, 16), (112, 32)])
def test_a_width_that_is_not_the_nets_is_told(spec):
    with pytest.raises(SpecError, match='tokens of 112 numbers, each of 16 px'):
        build_encoder(EncoderSpec('efficientnet_lite0', spec[0], patch_size=spec[1]), 96)
