# SPDX-License-Identifier: Apache-2.0
"""The stage that learns what to try first."""

import json

import numpy as np
import pytest
import torch
import yaml

from jepa_wm_ros.learning.proposing import give_head, proposal_loss
from jepa_wm_ros.learning.settings import load_settings
from jepa_wm_ros.learning.stages import new_model
from jepa_wm_ros.world_model import load_world_model, save_world_model
from jepa_wm_ros.world_model.files.safe_files import read_safetensors
from support.toy_training import PROPOSAL, TOY, run, toy_episode


@pytest.fixture(scope='module')
def trained(folders):
    """Folder of a toy model and of the same one with a head."""
    assert run(folders, 'base') == 0
    config = folders / 'proposing.yaml'
    config.write_text(yaml.safe_dump(TOY | {'proposal': PROPOSAL}))
    start = ('--stage', 'proposal', '--from', str(folders / 'base' / 'toy.safetensors'))
    assert run(folders, 'head', '--config', str(config), *start) == 0
    return folders


def test_after_the_goal_the_arm_is_to_stand_still(folders, recording):
    """By hand: a head of zeros proposes the mean action; its error is that of what was done."""
    model = new_model(load_settings(folders / 'toy.yaml'), recording, seed=1)
    give_head(model, 3, seed=0)
    for parameter in model.proposal.parameters():
        torch.nn.init.zeros_(parameter)
    actions = torch.randn(2, 3, 7)
    done = actions.clone()
    done[0, 1:] = 0
    latents = torch.zeros(2, 1, 1, 1, model.spec.encoder.width)
    loss = proposal_loss(model, latents, latents, actions, torch.tensor([1, 3]))
    assert torch.isclose(loss, model.normalize_actions(done).square().mean())


def test_the_model_stays_the_bits_it_was(trained):
    before, _ = read_safetensors(trained / 'base' / 'toy.safetensors')
    after, _ = read_safetensors(trained / 'head' / 'toy.safetensors')
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    added = after.keys() - before.keys()
    assert added and all(name.startswith('proposal.') for name in added)
    spec = load_world_model(trained / 'head' / 'toy.safetensors').spec
    old = load_world_model(trained / 'base' / 'toy.safetensors').spec
    assert spec == old.replace(proposal_steps=3)


def test_what_is_proposed_leads_to_the_goal(trained):
    """Independent truth: where the spot of a new episode has to go."""
    model = load_world_model(trained / 'head' / 'toy.safetensors')
    episodes = [toy_episode(seed) for seed in range(500, 540)]
    here = np.stack([episode.frames[0] for episode in episodes])
    there = np.stack([episode.frames[2] for episode in episodes])
    with torch.no_grad():
        now, goal = (model.encode_visual(model.prepare_images(frames)) for frames in (here, there))
        proposed = model.propose(now, goal)[..., :2].sum(dim=1).numpy()
    way = np.stack([episode.proprio[2, :2] - episode.proprio[0, :2] for episode in episodes])
    assert np.corrcoef(proposed.ravel(), way.ravel())[0, 1] > 0.9
    (told,) = json.loads((trained / 'head' / 'metrics.json').read_text())['history']['proposal']
    assert told['val_proposal'] < 0.8 * told['val_still']  # the way there is random


@pytest.mark.parametrize('words', [(), ('--config', 'cell')])
def test_the_head_alone_needs_a_model_and_a_table(folders, words, capsys):
    start = () if words else ('--from', 'jepa_wm_cell')
    assert run(folders, 'none', '--stage', 'proposal', *words, *start) == 1
    assert '--stage proposal needs --from' in capsys.readouterr().err


def test_a_model_in_full_precision_is_not_rounded_for_it(trained, folders):
    tensors, _ = read_safetensors(trained / 'base' / 'toy.safetensors')
    fine = folders / 'fine.safetensors'
    model = load_world_model(trained / 'base' / 'toy.safetensors')
    with torch.no_grad():
        model.predictor.predictor_norm.weight.mul_(1 + 1e-5)
    save_world_model(model, fine)
    words = ('--config', str(folders / 'proposing.yaml'), '--iterations', '2')
    assert run(folders, 'fine', *words, '--stage', 'proposal', '--from', str(fine)) == 0
    after, _ = read_safetensors(folders / 'fine' / 'toy.safetensors')
    weight = after['predictor.predictor_norm.weight']
    assert torch.equal(weight, model.predictor.predictor_norm.weight)
    assert tensors['predictor.predictor_norm.weight'].dtype == torch.float16
