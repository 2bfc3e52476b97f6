# SPDX-License-Identifier: Apache-2.0
"""A head that learns on kept convolutions, and what it is asked to tell of the pictures."""

import pytest
import torch

from jepa_wm_ros.learning.head_stage import HeadStage
from jepa_wm_ros.learning.losses import FeatureDecoder
from jepa_wm_ros.learning.settings import StageSettings, TrainingError
from jepa_wm_ros.learning.stages import EncoderStage
from jepa_wm_ros.world_model import build, save_world_model
from jepa_wm_ros.world_model.files.decoders import encoder_digest
from jepa_wm_ros.world_model.spec import EncoderSpec
from support.small_models import SIZE, model, recording


def conv_model(seed, channels=(8, 8), neck=()):
    encoder = EncoderSpec(
        'conv',
        12,
        patch_size=4,
        channels=channels,
        strides=(1, 2),
        neck=neck,
        grid=1,
        hidden=16,
        norm='batch',
    )
    spec = model('adaln').spec.replace(encoder=encoder, img_size=SIZE)
    return build(spec, seed=seed)


@pytest.fixture(name='kept')
def kept_convolutions(tmp_path):
    other = conv_model(seed=5)
    path = tmp_path / 'other.safetensors'
    save_world_model(other, path)
    return other, str(path)


@pytest.mark.parametrize('neck', [(), (6,)])
def test_a_head_learns_on_kept_convolutions_as_it_would_on_pictures(kept, neck, tmp_path):
    other, path = kept
    settings = StageSettings(iterations=1, batch=8, window=3, sigreg=0.1, light=0.0, stem=path)
    on_features, whole = conv_model(seed=1, neck=neck), conv_model(seed=1, neck=neck)
    whole.encoder.stem.load_state_dict(other.encoder.stem.state_dict())
    whole.encoder.stem.requires_grad_(False)
    gradients = []
    for make in (
        lambda: HeadStage(on_features, recording(), settings, 0, tmp_path),
        lambda: EncoderStage(whole, recording(), settings),
    ):
        torch.manual_seed(3)  # of the heads that only training needs
        stage = make()
        torch.manual_seed(7)
        terms = stage.train().losses(torch.Generator().manual_seed(2))
        total = sum(weight * value for weight, value in terms.values())
        total.backward()
        gradients.append((total.item(), [p.grad for p in stage.model.encoder.head.parameters()]))
        assert all(p.grad is None for p in stage.model.encoder.stem.parameters())
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-3)
    for learnt, wanted in zip(gradients[0][1], gradients[1][1], strict=True):
        assert torch.allclose(learnt, wanted, rtol=0.02, atol=1e-3)


def test_other_convolutions_are_refused(kept):
    settings = StageSettings(iterations=1, batch=8, window=3, stem=kept[1])
    with pytest.raises(TrainingError, match='has other convolutions'):
        HeadStage(conv_model(seed=1, channels=(8, 16)), recording(), settings, 0)


def test_features_are_told_of_the_picture_as_it_was_recorded(kept):
    """Whatever light the head sees it in, and with the proprioception that belongs to it."""
    other, path = kept
    data = recording()
    settings = StageSettings(
        iterations=1, batch=4, window=3, light=0.5, views=3, stem=path, features=0.7
    )
    stage = HeadStage(conv_model(seed=1), data, settings, 0)
    asked = []
    measured = stage.features.loss
    stage.features.loss = lambda *of: asked.append(of) or measured(*of)
    weight, loss = stage.losses(torch.Generator().manual_seed(1))['features']
    latents, proprio, features = asked[0]
    with torch.no_grad():
        wanted = other.encoder.stem(other.prepare_images(data.frames)).flatten(1)
    apart, frame = torch.cdist(features.flatten(0, 1), wanted).min(1)
    assert features.shape == (4, 3, wanted.shape[1]) and apart.max() < 0.02  # half precision
    assert torch.equal(proprio.flatten(0, 1), data.proprio[frame])
    loss.backward()
    assert weight == 0.7 and latents.shape == (4, 3, 12)
    assert stage.model.encoder.head[1].weight.grad.abs().sum() > 0


def test_features_without_a_stem_are_refused():
    with pytest.raises(TrainingError, match='features are those of a stem'):
        StageSettings(iterations=1, window=3, features=1.0)


def test_what_proprioception_tells_of_a_picture_is_not_asked_of_the_latent():
    torch.manual_seed(0)
    proprio, thing = torch.randn(500, 2), torch.randn(500, 1)
    features = torch.cat([proprio @ torch.randn(2, 5), thing @ torch.randn(1, 5)], 1)

    def best_loss(latents):
        torch.manual_seed(1)
        decoder = FeatureDecoder(latents.shape[1] + 2, features, hidden=64)
        optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
        for _ in range(150):
            optimizer.zero_grad()
            loss = decoder.loss(latents, proprio, features)
            loss.backward()
            optimizer.step()
        return loss.item()

    assert best_loss(thing) < 0.02  # all is told by the two together
    assert best_loss(proprio) > 0.2  # the thing is not


def test_the_digest_of_an_encoder_without_a_neck_does_not_know_of_necks():
    """Else every decoder made before there were any would be refused."""
    spec = conv_model(seed=1).spec.encoder
    assert 'neck' not in repr(spec)
    plain, necked = conv_model(seed=1), conv_model(seed=1, neck=(6,))
    assert encoder_digest(plain) != encoder_digest(necked)
