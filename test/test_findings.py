# SPDX-License-Identifier: Apache-2.0
"""The paper's questions on a tiny setting, end to end: every variant trains and is judged, a second
call does nothing again, a table says what was not run.
"""

import json

import pytest
import yaml

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')
pytest.importorskip('h5py')

from jepa_wm_ros.evaluation import tasks  # noqa: E402
from jepa_wm_ros.findings import command, runs  # noqa: E402
from jepa_wm_ros.findings.questions import QUESTIONS  # noqa: E402
from jepa_wm_ros.findings.report import markdown, summary  # noqa: E402
from jepa_wm_ros.learning import train  # noqa: E402
from jepa_wm_ros.tasks.worlds import WORLDS  # noqa: E402


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Words of a call that is over in a moment."""
    base = tmp_path_factory.mktemp('findings')
    words = ['wall', '--out', str(base / 'data'), '--episodes', '20']
    assert tasks.main(['collect', *words, '--steps', '9', '--size', '16']) == 0
    config = runs.configuration('wall', {})
    config['model'] |= {'img_size': 16}
    config['model']['encoder'] |= {'width': 8, 'channels': [8], 'strides': [1], 'hidden': 16}
    config['model']['predictor'] |= {'width': 16, 'depth': 1}
    config['retrained'] = {'width': 16}
    config.pop('proposal')
    (base / 'tiny.yaml').write_text(yaml.safe_dump(config))
    words = ['wall', '--data', str(base / 'data'), '--out', str(base / 'out'), '--iterations', '2']
    return [*words, '--config', str(base / 'tiny.yaml'), '--episodes', '2', '--size', '4x1']


@pytest.mark.parametrize('number', [2, 3, 5])
def test_a_question_is_answered_and_not_asked_twice(tiny, number, capsys, monkeypatch):
    assert command.main([*tiny, '--question', str(number), '--seeds', '1', '2']) == 0
    out = tiny[4]
    said = capsys.readouterr().out
    variants = QUESTIONS[number].variants
    assert f'{2 * len(variants)} of {2 * len(variants)} runs to do' in said
    assert all(f'| {variant.name} |' in said for variant in variants) and 'not run' not in said
    monkeypatch.setattr(runs.Run, '_trained', None)
    assert command.main([*tiny, '--question', str(number), '--seeds', '1', '2']) == 0
    assert '0 of' in capsys.readouterr().out and out


@pytest.mark.slow
@pytest.mark.parametrize('number', [1, 6, 7, 8])
def test_every_other_question_runs_to_its_end(tiny, number):
    assert command.main([*tiny, '--question', str(number), '--seeds', '1']) == 0


def test_changes_reach_the_model_the_stage_and_what_is_retrained():
    config = runs.configuration(
        'wall', {'predictor.width': 48, 'stage.rollout_steps': 6, 'context_window': 5}
    )
    assert config['model']['predictor']['width'] == config['retrained']['width'] == 48
    assert config['predictor']['rollout_steps'] == 6 and config['model']['context_window'] == 5
    assert runs.configuration('wall', {})['model']['context_window'] == 2


def test_the_spread_is_over_seeds_and_what_was_not_run_says_so():
    figures = [{'success': 0.5, 'ends': [1, 2]}, {'success': 1.0, 'ends': [1, 2]}]
    mean, deviation = summary(figures)
    assert mean == 0.75 and deviation == pytest.approx(0.125**0.5)
    said = markdown(QUESTIONS[3], 'wall', {'with': figures})
    assert '| with | 75% | ± 35% | 2 | 2 |' in said and '| without | not run |' in said
    assert json.dumps(figures)


@pytest.mark.slow
@pytest.mark.parametrize('world', WORLDS)
def test_every_world_is_collected_trained_and_judged(world, tmp_path):
    data, out = str(tmp_path / 'data'), str(tmp_path / 'run')
    assert tasks.main(['collect', world, '--out', data, '--episodes', '20', '--expert', '0.5']) == 0
    config = WORLDS[world]().spec.data
    words = ['--config', config, '--data', data, '--out', out, '--iterations', '1']
    assert train.main([*words, '--name', 'tiny']) == 0
    model = f'{out}/tiny.safetensors'
    assert (
        tasks.main(['evaluate', world, '--model', model, '--episodes', '1', '--size', '4x1']) == 0
    )
