# SPDX-License-Identifier: Apache-2.0
"""The paper's questions on a tiny setting, end to end: every variant trains and is judged, a second
call does nothing again, a table says what was not run.
"""

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import yaml

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')
pytest.importorskip('h5py')

from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.evaluation import tasks  # noqa: E402
from jepa_wm_ros.findings import beside, command, expected, runs  # noqa: E402
from jepa_wm_ros.findings.frozen import ENCODERS  # noqa: E402
from jepa_wm_ros.findings.questions import QUESTIONS, Variant  # noqa: E402
from jepa_wm_ros.findings.recipes import configuration  # noqa: E402
from jepa_wm_ros.learning import train  # noqa: E402
from jepa_wm_ros.learning.settings import load_settings  # noqa: E402
from jepa_wm_ros.learning.stages import loss_settings  # noqa: E402
from jepa_wm_ros.tasks import frozen_worlds  # noqa: E402
from jepa_wm_ros.tasks.worlds import WORLDS  # noqa: E402
from jepa_wm_ros.world_model import EncoderSpec, ModelSpec, build, load_world_model  # noqa: E402
from jepa_wm_ros.world_model.files.registry import find  # noqa: E402


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Words of a call that is over in a moment."""
    base = tmp_path_factory.mktemp('findings')
    words = ['wall', '--out', str(base / 'data'), '--episodes', '20']
    assert tasks.main(['collect', *words, '--steps', '9', '--size', '16']) == 0
    config = configuration('wall', Variant('base'))
    config['model'] |= {'img_size': 16}
    config['model']['encoder'] |= {'width': 8, 'channels': [8], 'strides': [1], 'hidden': 16}
    config['model']['predictor'] |= {'width': 16, 'depth': 1}
    config['retrained'] = {'width': 16}
    assert 'proposal' not in config  # no question is about it
    (base / 'tiny.yaml').write_text(yaml.safe_dump(config))
    words = ['wall', '--data', str(base / 'data'), '--out', str(base / 'out'), '--iterations', '2']
    return [*words, '--config', str(base / 'tiny.yaml'), '--episodes', '2', '--size', '4x1']


def run_of(tiny, variant, seed=1, **files):
    """A run of the tiny setting; files: of encoders, by their kinds."""
    plan = command.plan_of(command.parse(tiny))
    return runs.Run(replace(plan, encoders=files), variant, seed)


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


def test_figures_say_which_data_tasks_and_weights_made_them(tiny, capsys):
    assert command.main([*tiny, '--question', '3', '--seeds', '1']) == 0
    tasks = frozen_worlds.read('wall', WORLDS['wall']())
    assert f'judged on 2 tasks of wall (SHA-256 {tasks.sha256[:12]})' in capsys.readouterr().out
    run = run_of(tiny, QUESTIONS[3].variants[0])
    figures = run.figures()
    weights = hashlib.sha256(run._trained().read_bytes()).hexdigest()
    data = beside.data_sha256(run.plan.data)
    assert [figures[of] for of in ('data', 'tasks', 'weights')] == [data, tasks.sha256, weights]
    with (run.plan.out / 'wall_3.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]['weights'] == weights and rows[0]['data'] == data
    assert [row['variant'] for row in rows[2:]] == [
        'no motion',
        'random actions',
        'straight line',
        'oracle',
    ]
    assert '| *oracle* |' in (run.plan.out / 'wall_3.md').read_text()


def test_who_needs_no_model_is_tried_once(tiny, monkeypatch):
    plan = command.plan_of(command.parse(tiny))
    first = beside.baselines_of(plan.judged_on(), plan.out)
    monkeypatch.setattr(beside, 'baseline_rows', None)
    assert beside.baselines_of(plan.judged_on(), plan.out) == first
    assert first['no motion']['success'] == 0 and len(first['oracle']['ends']) == 2


def test_other_data_or_other_tasks_are_another_run(tiny, tmp_path):
    run = run_of(tiny, Variant('as it is'))

    def moved(**changes):
        return runs.Run(replace(run.plan, **changes), run.variant, run.seed)

    same = copytree(run.plan.data, tmp_path / 'same')
    assert moved(data=same).result == run.result
    other = tmp_path / 'other'
    words = ['wall', '--out', str(other), '--episodes', '20', '--seed', '50']
    assert tasks.main(['collect', *words, '--steps', '9', '--size', '16']) == 0
    assert moved(data=other).result != run.result
    assert moved(data=other)._data(24) != run._data(24)
    mine = tmp_path / 'mine.json'
    assert tasks.main(['freeze', str(mine), '--world', 'wall', '--seed', '3']) == 0
    assert moved(tasks=str(mine)).result != run.result


def test_more_episodes_than_there_are_tasks_are_refused(tiny, capsys):
    assert command.main([*tiny, '--episodes', '97']) == 1
    assert '97 episodes are asked for' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('number', [1, 6, 7, 8])
def test_every_other_question_runs_to_its_end(tiny, number):
    assert command.main([*tiny, '--question', str(number), '--seeds', '1']) == 0


def test_what_a_variant_changes_is_what_its_model_is_made_of(tiny):
    five = next(v for v in QUESTIONS[5].variants if v.name == 'W = 5')
    spec = load_world_model(run_of(tiny, five)._trained()).spec
    assert spec.context_window == 5
    assert load_world_model(run_of(tiny, Variant('as it is'))._trained()).spec.context_window == 2


def test_published_world_models_are_trained_and_judged_as_published_but_for_size(tiny):
    said = {}
    for variant in QUESTIONS[9].variants:
        run = run_of(tiny, variant)
        assert len(run.figures()['ends']) == 2
        assert run.figures()['budget']['evaluations'] == 5  # four, and the mean of the best
        assert run.figures()['budget']['ms'] > 0
        weights = run._trained()
        spec, settings = (
            load_world_model(weights).spec,
            load_settings(weights.parent / 'config.yaml'),
        )
        published = find(variant.published).spec
        alike = ('family', 'context_window', 'normalize_latents')
        assert [getattr(spec, n) for n in alike] == [getattr(published, n) for n in alike]
        assert spec.predictor.depth == 1 and spec.predictor.heads == 4  # the tiny setting's
        assert spec.encoder.width == 8 and not spec.predictor.predict_change
        loss, stage = loss_settings(spec, settings.predictor), settings.predictor
        said[variant.name] = (
            spec.predictor.conditioning,
            spec.predictor.position,
            spec.predictor.proprio,
            (loss.l1, loss.l2, loss.rollout_steps, loss.window, loss.stop_gradient),
            (stage.window, stage.learning_rate, stage.clip),
        )
    assert said == {
        'JEPA-WM': ('adaln', 'rope', 'feature', (0, 1, 2, 3, True), (4, 5e-4, 1)),
        'DINO-WM': ('feature', 'learned', 'feature', (0, 1, 1, 3, True), (4, 5e-4, 1)),
        'V-JEPA-2-AC': ('sequence', 'rope', 'none', (1, 0, 2, 8, False), (8, 4.25e-4, 0)),
    }


def test_encoders_whose_files_were_not_given_are_not_run(tiny, capsys):
    assert command.main([*tiny, '--question', '4', '--seeds', '4']) == 0
    said = capsys.readouterr().out
    assert '2 of 2 runs to do' in said and 'DINOv2: not run, needs dinov2_vits14' in said
    rows = {line.split(' | ')[0]: line for line in said.splitlines() if line.startswith('| ')}
    assert 'not run: needs dinov2_vits14_pretrain.pth' in rows['| DINOv2']
    assert 'not run: needs efficientnet-lite0-57934424.pth' in rows['| EfficientNet-lite0']
    assert 'not run' not in rows['| EfficientNet-lite0, random'] + rows['| trained on the task']
    assert '**cannot tell**' in said
    results = Path(tiny[4]) / 'results'
    made = len(list(results.iterdir()))
    assert command.main([*tiny, '--question', '4', '5', '--seeds', '4', '5', '--plan']) == 0
    said = capsys.readouterr().out
    assert '2 of 4 runs to do' in said and '8 of 8 runs to do' in said
    assert len(list(results.iterdir())) == made
    done = [line for line in said.splitlines() if line.startswith('| trained on the task')]
    assert '| 1 | 2 |' in done[0] and '| W = 1 | below W = 2, W = 3 | not run |' in said


def test_an_encoder_from_a_file_is_frozen_as_it_is(tiny, tmp_path, monkeypatch):
    import torch

    small = replace(ENCODERS['dinov2'], spec=EncoderSpec('patch', 12, patch_size=6))
    monkeypatch.setitem(ENCODERS, 'dinov2', small)
    variant = next(v for v in QUESTIONS[4].variants if v.encoder == 'dinov2')
    told = configuration(tiny[8], variant)['model'] | {'action_dim': 1}
    spec = ModelSpec.from_dict(
        told
        | {'action_mean': [0.0], 'action_std': [1.0], 'proprio_dim': 2}
        | {'proprio_mean': [0.0] * 2, 'proprio_std': [1.0] * 2}
    )
    files = [tmp_path / f'{seed}.pth' for seed in (7, 8)]
    for seed, file in zip((7, 8), files, strict=True):
        torch.save(build(spec, seed=seed).encoder.state_dict(), file)
    first, second = (run_of(tiny, variant, dinov2=file) for file in files)
    assert first.result != second.result  # another file is another run
    model = load_world_model(first._trained())
    assert model.spec.img_size == 24 and model.spec.grid == 4  # pictures were made of that size
    stored = torch.load(files[0], weights_only=True)['proj.weight']
    assert torch.allclose(model.encoder.state_dict()['proj.weight'], stored, atol=1e-3)
    assert len(first.figures()['ends']) == 2


def test_words_that_are_no_encoder_are_refused(tiny, capsys, tmp_path):
    for word in ('dinov2', f'random={tmp_path}', 'resnet=x.pth'):
        assert command.main([*tiny, '--encoder', word]) == 1
        assert f'--encoder {word}: give KIND=FILE' in capsys.readouterr().err
    with pytest.raises(JepaWmError, match='nothing.pth'):
        command.plan_of(command.parse([*tiny, '--encoder', f'dinov2={tmp_path}/nothing.pth']))


def test_changes_reach_the_model_the_stage_and_what_is_retrained():
    changes = {'predictor.width': 48, 'stage.rollout_steps': 6, 'context_window': 5}
    config = configuration('cell', Variant('x', changes))
    assert config['model']['predictor']['width'] == config['retrained']['width'] == 48
    assert config['predictor']['rollout_steps'] == 6 and config['model']['context_window'] == 5
    assert configuration('cell', Variant('y'))['model']['context_window'] == 2


def test_the_plan_says_how_long_by_what_has_ended(tiny):
    def figures(variant, seconds, **more):
        made_of = {'world': 'wall', 'iterations': 2, **more}
        return {'variant': variant, 'seconds': seconds, 'ends': [0, 0], 'made_of': made_of}

    question, (one, other) = QUESTIONS[3], QUESTIONS[3].variants
    missing = [run_of(tiny, one, 2), run_of(tiny, one, 3), run_of(tiny, other, 2)]
    assert expected.expected_seconds(question, missing, []) is None
    third = [figures('third', 900)]  # of another question
    assert expected.expected_seconds(question, missing, third) == 3 * 900
    known = [figures('with', 100), figures('with', 200), *third]
    assert expected.expected_seconds(question, missing, known) == 150 + 150 + 150
    known[1]['variant'] = 'without'
    assert expected.expected_seconds(question, missing, known) == 100 + 100 + 200
    results = missing[0].plan.out / 'more' / 'results'
    results.mkdir(parents=True)
    others = figures('one', 9, world='maze'), figures('one', 9, iterations=3)
    for number, told in enumerate((*known, *others, figures('one', 9) | {'ends': [0]})):
        (results / f'{number}.json').write_text(json.dumps(told))
    plan = replace(missing[0].plan, out=results.parent)
    found = sorted(expected.ended(plan), key=lambda told: told['seconds'])
    assert [told['seconds'] for told in found] == [100, 200, 900]
    said = [expected.in_words(seconds) for seconds in (None, 700, 9000, 12)]
    assert said == ['how long is not known yet', 'about 11.7 min', 'about 2.5 h', 'about 12 s']


def test_the_plan_is_announced_with_its_time(tiny, capsys):
    from shutil import rmtree

    words = [*tiny[:4], f'{tiny[4]}_again', *tiny[5:], '--question', '3']
    rmtree(words[4], ignore_errors=True)
    assert command.main([*words, '--seeds', '1']) == 0
    assert '2 of 2 runs to do, how long is not known yet' in capsys.readouterr().out
    plan = command.plan_of(command.parse(words))
    command.announce([QUESTIONS[3]], plan, [1, 2])
    known = {told['variant']: told['seconds'] for told in expected.ended(plan)}
    said = capsys.readouterr().out
    told = expected.in_words(sum(known.values()))
    assert f'2 of 4 runs to do, {told}' in said and f'in all 2 runs, {told}' in said


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
