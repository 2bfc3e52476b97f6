# SPDX-License-Identifier: Apache-2.0
"""The head that proposes actions: its numbers, its file, and what a scorer says of it."""

import pytest
import torch

from jepa_wm_ros.world_model import (
    EncoderSpec,
    LatentCost,
    Latents,
    build,
    load_world_model,
    save_world_model,
)
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.spec import SpecError


def model_of(**changes):
    spec = cell_spec(depth=1, predictor_width=32, heads=4)
    spec = spec.replace(action_mean=(0.1,) * 7, action_std=(0.5,) * 7, **changes)
    return build(spec, seed=0).freeze()


def two_frames(model):
    torch.manual_seed(1)
    size = model.spec.img_size
    latents = model.encode(torch.randn(2, 3, size, size), torch.randn(2, 7))
    return latents[:1], latents[1:]


def test_what_is_proposed_is_physical_and_depends_on_both_pictures():
    model = model_of(proposal_steps=4)
    here, there = two_frames(model)
    proposed = model.propose(here, there)
    flat = torch.cat([here.visual.flatten(1), there.visual.flatten(1)], dim=1)
    want = model.proposal.net(flat).view(1, 4, 7) * 0.5 + 0.1
    assert torch.allclose(proposed, want, atol=1e-6)
    assert not torch.allclose(model.propose(there, here), proposed, atol=1e-3)
    assert torch.equal(LatentCost(model, here, there).proposal, proposed[0])


def test_a_model_without_the_head_proposes_nothing():
    model = model_of()
    here, there = two_frames(model)
    assert model.propose(here, there) is None and LatentCost(model, here, there).proposal is None


def test_a_fine_grid_is_averaged_so_that_the_head_stays_small():
    model = model_of(proposal_steps=2, img_size=64, encoder=EncoderSpec('patch', 48, patch_size=8))
    assert model.proposal.net[0].in_features == 2 * 48 * 4 * 4
    tokens = torch.randn(1, 8, 8, 48)
    same = tokens.view(1, 4, 2, 4, 2, 48).mean((2, 4)).repeat_interleave(2, 1)
    same = same.repeat_interleave(2, 2)
    goal = torch.randn(1, 8, 8, 48)
    assert torch.allclose(model.proposal(tokens, goal), model.proposal(same, goal), atol=1e-6)


def test_the_head_lies_in_the_models_file(tmp_path):
    model = model_of(proposal_steps=3)
    save_world_model(model, tmp_path / 'a.safetensors')
    again = load_world_model(tmp_path / 'a.safetensors')
    here, there = two_frames(model)
    assert again.spec.proposal_steps == 3
    assert torch.equal(again.propose(here, there), model.propose(here, there))


def test_latents_of_several_frames_propose_from_the_last():
    model = model_of(proposal_steps=3)
    here, there = two_frames(model)
    both = Latents(torch.cat([there.visual, here.visual], dim=1))
    assert torch.equal(model.propose(both, there), model.propose(here, there))


@pytest.mark.parametrize('steps', [-1, 10_000])
def test_a_head_of_no_or_very_many_steps_is_refused_before_it_is_made(steps):
    with pytest.raises(SpecError, match='proposal_steps'):
        model_of(proposal_steps=steps)
