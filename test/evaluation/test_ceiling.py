# SPDX-License-Identifier: Apache-2.0
"""The oracle test: true costs by hand, latent costs of true pictures, a table that tells."""

import hashlib
import json

import numpy as np
import pytest
import torch

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.evaluation import tasks  # noqa: E402
from jepa_wm_ros.evaluation.ceiling import command  # noqa: E402
from jepa_wm_ros.evaluation.ceiling.command import encoder_of  # noqa: E402
from jepa_wm_ros.evaluation.ceiling.costs import LatentCeiling, TrueCost  # noqa: E402
from jepa_wm_ros.objective import Objective  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.world_model import build  # noqa: E402
from jepa_wm_ros.world_model.files.checkpoints import save_world_model  # noqa: E402
from support.tiny_models import tiny_spec  # noqa: E402

START, GOAL = np.array([10.0, 20.0, 40.0]), np.array([20.0, 20.0, 40.0])


def right(size):
    """One model step to the right (1, 1, 10) of 5 x 2 x size pixels."""
    return torch.tensor([size, 0.0] * 5).view(1, 1, 10)


@pytest.mark.parametrize(('objective', 'cost'), [(Objective('L1'), 5.0), (Objective('L2'), 25.0)])
def test_true_costs_by_hand(objective, cost):
    true = TrueCost(Wall(), START, GOAL, objective, scale=0.5)
    assert true(right(1.0)).tolist() == pytest.approx([cost])  # five pixels of ten
    two = right(1.0).repeat(1, 2, 1)
    assert true(two).tolist() == pytest.approx([0.0])
    summed = TrueCost(Wall(), START, GOAL, Objective(objective.kind, sum_all=True), 0.5)
    assert summed(two).tolist() == pytest.approx([cost])


def test_latent_costs_are_zero_where_the_picture_is_the_goals_and_nowhere_else():
    name, encoder = encoder_of('random', 64)
    latent = LatentCeiling(Wall(), START, GOAL, Objective('L2'), 1.0, encoder)
    costs = latent(torch.cat([right(1.0), right(0.5), right(0.0)]))
    assert costs[0] < 1e-6 < costs[1] and costs[0] < 1e-6 < costs[2]
    assert name == 'random 64 px'


def test_the_table_says_what_success_is_worth(tmp_path, capsys):
    words = ['wall', '--episodes', '3', '--planner', '16x2', '--out', str(tmp_path / 'w.json')]
    assert tasks.main(['ceiling', *words]) == 0
    rows = {row['row']: row for row in json.loads((tmp_path / 'w.json').read_text())['rows']}
    assert list(rows)[:4] == ['no motion', 'random actions', 'straight line', 'oracle']
    assert rows['no motion']['success'] == 0.0 and len(rows) == 5
    assert rows['oracle']['success'] == 1.0  # at the last step, not at the first
    assert 'true distance, last L2, 16x2, 1 of 6' in capsys.readouterr().out


def test_rows_that_have_ended_are_kept_with_the_hash_of_each_encoder(tmp_path, monkeypatch):
    save_world_model(build(tiny_spec('own', img_size=32), seed=0), tmp_path / 'own.safetensors')
    walks = command.walked

    def interrupted(world, walk, task, seed):
        if len(reached) == 5:
            raise KeyboardInterrupt
        reached.append(seed)
        return walks(world, walk, task, seed)

    reached: list[int] = []
    monkeypatch.setattr(command, 'walked', interrupted)
    words = ['wall', '--episodes', '2', '--encoder', str(tmp_path / 'own.safetensors')]
    assert tasks.main(['ceiling', *words, '--out', str(tmp_path / 'w.json')]) != 0
    kept = json.loads((tmp_path / 'w.json').read_text())
    assert [row['row'] for row in kept['rows']] == ['no motion', 'random actions']
    truth = hashlib.sha256((tmp_path / 'own.safetensors').read_bytes()).hexdigest()
    assert list(kept['encoders'].values()) == [truth]


def test_the_encoder_of_a_world_model_sees_pictures_of_its_own_size(tmp_path):
    model = build(tiny_spec('own', img_size=32), seed=0)
    save_world_model(model, tmp_path / 'own.safetensors')
    name, encoder = encoder_of(str(tmp_path / 'own.safetensors'), 64)
    assert name == 'own 32 px'
    picture = encoder.prepare_images(Wall().render(START[None]))
    assert torch.equal(
        encoder.encode_visual(picture).visual, model.freeze().encode_visual(picture).visual
    )


def test_an_encoder_that_nobody_knows_is_refused():
    with pytest.raises(JepaWmError, match='is no encoder'):
        encoder_of('resnet=x.pth', 64)
