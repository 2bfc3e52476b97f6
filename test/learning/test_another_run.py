# SPDX-License-Identifier: Apache-2.0
"""What one run has left in a folder, another one does not write over unless somebody wants it."""

import re

import pytest
import torch

from jepa_wm_ros.world_model import load_world_model
from jepa_wm_ros.world_model.files.safe_files import read_safetensors
from support.toy_training import run

SHORT = ('--iterations', '4')


@pytest.fixture
def finished(folders, tmp_path):
    """Its name in `folders`, and what it has left there."""
    name = tmp_path.name
    assert run(folders, name, *SHORT, '--stage', 'encoder') == 0
    return name, left(folders / name)


def left(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (
            ['--stage', 'encoder', '--seed', '2'],
            'toy.safetensors is there already, .*(another seed)',
        ),
        (['--stage', 'all'], 'another stage'),
        (['--stage', 'encoder', '--iterations', '5'], 'another settings'),
        (['--stage', 'encoder', '--seed', '2', '--name', 'other'], 'metrics.json is there already'),
    ],
)
def test_another_run_is_refused_before_anything_is_trained(folders, finished, capsys, words, told):
    name, before = finished
    assert run(folders, name, *SHORT, *words) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(told, said) and 'another --out, or --force' in said
    assert left(folders / name) == before


def test_the_predictor_is_not_written_over_the_encoder_it_is_trained_on(folders, finished, capsys):
    name, before = finished
    weights = str(folders / name / 'toy.safetensors')
    words = ['--stage', 'predictor', '--encoder-from', weights]
    assert run(folders, name, *SHORT, *words) == 1
    assert 'another encoder_from, stage' in capsys.readouterr().err
    assert left(folders / name) == before
    assert run(folders, name, *SHORT, *words, '--force') == 0
    assert load_world_model(weights).spec.predictor.width == 20  # that of a fresh predictor


def test_the_same_command_goes_on_where_it_had_finished_and_whatever_the_machine(folders, finished):
    name, before = finished
    assert run(folders, name, *SHORT, '--stage', 'encoder', '--threads', '2') == 0
    assert left(folders / name)['encoder.pt'] == before['encoder.pt']
    (folders / name / 'metrics.json').unlink()  # as if killed after the weights were written
    assert run(folders, name, *SHORT, '--stage', 'encoder') == 0
    after = left(folders / name)
    assert after.keys() == before.keys() and after['encoder.pt'] == before['encoder.pt']


def test_force_writes_over_weights_and_checkpoints_of_another_run(folders, finished, tmp_path):
    name, _ = finished
    words = [*SHORT, '--stage', 'encoder', '--seed', '2']
    assert run(folders, name, *words, '--force') == 0
    assert run(folders, f'{name}_fresh', *words) == 0
    forced, fresh = (
        read_safetensors(folders / folder / 'toy.safetensors')[0]
        for folder in (name, f'{name}_fresh')
    )
    assert all(torch.equal(value, fresh[key]) for key, value in forced.items())
    assert run(folders, name, *words) == 0  # it is this run's own now


@pytest.mark.parametrize('content', [b'', b'{"run": 3}', b'{"history": {}}'])
def test_figures_that_tell_of_no_run_are_not_written_over(folders, tmp_path, capsys, content):
    folder = folders / tmp_path.name
    folder.mkdir(exist_ok=True)
    (folder / 'metrics.json').write_bytes(content)
    assert run(folders, folder.name, *SHORT, '--stage', 'encoder') == 1
    assert 'of another run (nobody knows which)' in capsys.readouterr().err
    assert (folder / 'metrics.json').read_bytes() == content
