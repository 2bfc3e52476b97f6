# SPDX-License-Identifier: Apache-2.0
"""bfloat16 where a stage wants it: computed in it, and near what float32 says."""

import dataclasses

import pytest
import torch

from jepa_wm_ros.learning.decoding import DecoderStage
from jepa_wm_ros.learning.proposing import ProposalStage
from jepa_wm_ros.learning.settings import StageSettings, load_settings
from jepa_wm_ros.learning.stages import EncoderStage, PredictorStage, new_model
from support.toy_training import PROPOSAL

DECODER = {'iterations': 1, 'batch': 16, 'window': 2, 'rollout_steps': 1}


def stage_of(name, folders, recording, narrow):
    """A fresh stage of the toy, in bfloat16 or not, with the same weights each time."""
    settings = load_settings(folders / 'toy.yaml')
    torch.manual_seed(1)
    model = new_model(settings, recording, seed=1)
    tables = {
        'encoder': settings.encoder,
        'predictor': settings.predictor,
        'proposal': StageSettings(**PROPOSAL),
        'decoder': StageSettings(**DECODER),
    }
    chosen = dataclasses.replace(tables[name], bfloat16=narrow)
    if name == 'encoder':
        return EncoderStage(model, recording, chosen)
    kinds = {'predictor': PredictorStage, 'proposal': ProposalStage, 'decoder': DecoderStage}
    return kinds[name](model, recording, chosen, 1)


def step(stage):
    """Losses and gradients of one step, and the types in which its layers have computed."""
    types = set()

    def note(module, seen, made):
        if torch.is_grad_enabled():
            types.add(made.dtype)

    for module in stage.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            module.register_forward_hook(note)
    torch.manual_seed(3)
    terms = stage.train().losses(torch.Generator().manual_seed(2))
    sum(weight * value for weight, value in terms.values()).backward()
    slopes = [p.grad.flatten() for p in stage.parameters() if p.grad is not None]
    return {name: value for name, (_, value) in terms.items()}, torch.cat(slopes), types


@pytest.mark.parametrize('name', ['encoder', 'predictor', 'proposal', 'decoder'])
def test_a_step_in_bfloat16_is_near_the_one_in_float32(folders, recording, name):
    wide, slope, types = step(stage_of(name, folders, recording, narrow=False))
    assert types == {torch.float32}
    narrow, narrow_slope, types = step(stage_of(name, folders, recording, narrow=True))
    assert torch.bfloat16 in types
    assert narrow.keys() == wide.keys()
    for part, value in wide.items():
        assert narrow[part].dtype == torch.float32
        assert narrow[part].item() == pytest.approx(value.item(), rel=0.03), part
        assert narrow[part].item() != value.item(), part
    assert torch.cosine_similarity(slope, narrow_slope, dim=0) > 0.99
