# SPDX-License-Identifier: Apache-2.0
"""Several processes under torchrun: they learn what one learns."""

import contextlib
import json
import subprocess
import sys

import pytest
import torch

from jepa_wm_ros.learning import train
from jepa_wm_ros.learning.settings import TrainingError
from jepa_wm_ros.learning.world import World, own_device
from support.toy_training import run


def test_two_processes_of_torchrun_learn_what_one_learns(folders, capfd):
    run(folders, 'all')
    words = ['--stage', 'predictor', '--encoder-from', str(folders / 'all' / 'toy.safetensors')]
    words += ['--iterations', '40', '--config', str(folders / 'toy.yaml'), '--threads', '1']
    words += ['--data', str(folders / 'train'), '--val', str(folders / 'val'), '--out']
    assert train.main([*words, str(folders / 'one')]) == 0
    two = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    two += ['-m', 'jepa_wm_ros', 'train', *words, str(folders / 'two')]
    subprocess.run(two, check=True, timeout=300)
    ends = [torch.load(folders / name / 'predictor.pt')['module'] for name in ('one', 'two')]
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        pair = [ends[1][name], value]
        if name.endswith('qkv.bias'):  # no key's bias changes a softmax: AdamW follows its rounding
            pair = [torch.cat([each.chunk(3)[0], each.chunk(3)[2]]) for each in pair]
        torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-4, msg=name)
    one, both = (
        json.loads((folders / name / 'metrics.json').read_text())['history']['predictor'][-1]
        for name in ('one', 'two')
    )
    assert both == pytest.approx(one, rel=1e-3)
    assert capfd.readouterr().out.count(f'wrote {folders / "two"}') == 1


def test_what_several_processes_cannot_do_is_told(folders, monkeypatch):
    with pytest.raises(TrainingError, match='batch of 7 windows is not shared evenly by 2'):
        World(0, 2).share(torch.zeros(7))
    assert World(1, 2).share(torch.arange(4)).tolist() == [1, 3]
    monkeypatch.setattr(train, 'joined', lambda device: contextlib.nullcontext(World(0, 2)))
    options = train.parse(['--data', str(folders / 'train'), '--out', str(folders / 'no')])
    with pytest.raises(TrainingError, match='an encoder is trained by one process'):
        train.train(options)
    with pytest.raises(TrainingError, match='device nowhere cannot be used'):
        own_device('nowhere')
