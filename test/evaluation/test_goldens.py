# SPDX-License-Identifier: Apache-2.0
"""The published code's numbers, reproduced: every golden array in float32 and float64."""

import shutil

import pytest
import torch

from jepa_wm_ros.evaluation.goldens import __main__ as goldens
from support.paths import GOLDENS

FOLDERS = sorted(path.name for path in GOLDENS.iterdir() if path.is_dir())
LOSS_TOLERANCE = 1e-5  # of training losses and the norms of their gradients


@pytest.mark.parametrize('folder', FOLDERS)
def test_every_array_of_the_published_code_is_reproduced(folder):
    rows = list(goldens.check(GOLDENS / folder))
    assert rows
    assert [str(row) for row in rows if not row.passed] == []
    losses = [row for row in rows if row.array.startswith('train_loss/')]
    assert [str(row) for row in losses if max(row.float32, row.float64) > LOSS_TOLERANCE] == []
    if (GOLDENS / folder / 'train_loss.npz').is_file():
        assert {'train_loss/total_loss', 'train_loss/grad_param_norms'} <= {r.array for r in losses}


def test_every_family_and_kind_of_golden_data_is_here():
    assert len(FOLDERS) == 10
    assert len(list(GOLDENS.glob('*/train_loss.npz'))) == 6


def test_a_folder_that_is_not_golden_data_fails_the_command(tmp_path, capsys):
    (tmp_path / 'something').mkdir()
    assert goldens.main([str(tmp_path)]) == 1
    assert 'not laid out like golden data' in capsys.readouterr().err


def test_nothing_to_compare_fails_the_command(tmp_path, capsys):
    assert goldens.main([str(tmp_path)]) == 1
    assert goldens.main([str(tmp_path / 'absent')]) == 1
    assert capsys.readouterr().err.count('error: ') == 2


def test_a_weight_changed_in_the_fifth_digit_fails_the_command(tmp_path, capsys):
    folder = tmp_path / 'adaln'
    shutil.copytree(GOLDENS / 'adaln_rope_noprop', folder)
    content = torch.load(folder / 'checkpoint.pth.tar', weights_only=True)
    content['predictor']['module.predictor_proj.weight'] *= 1 + 2e-4
    torch.save(content, folder / 'checkpoint.pth.tar')
    assert goldens.main([str(tmp_path)]) == 1
    assert 'FAIL' in capsys.readouterr().out


def test_a_golden_folder_without_its_outputs_fails_the_command(tmp_path, capsys):
    folder = tmp_path / 'adaln'
    shutil.copytree(GOLDENS / 'adaln_rope_noprop', folder)
    (folder / 'outputs.npz').unlink()
    assert goldens.main([str(tmp_path)]) == 1
    assert 'incomplete or damaged' in capsys.readouterr().err
