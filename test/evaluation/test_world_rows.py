# SPDX-License-Identifier: Apache-2.0
"""The table of a world: what was reached at last and ever, by whom, in which tasks."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.errors import JepaWmError  # noqa: E402
from jepa_wm_ros.evaluation import tasks, world_rows  # noqa: E402
from jepa_wm_ros.evaluation.walks import baselines, walked  # noqa: E402
from jepa_wm_ros.tasks import frozen_worlds, task_file  # noqa: E402
from jepa_wm_ros.tasks.frozen_worlds import sampled  # noqa: E402
from jepa_wm_ros.tasks.pusht import PushT  # noqa: E402
from jepa_wm_ros.tasks.wall import Wall  # noqa: E402
from jepa_wm_ros.world_model import build  # noqa: E402
from jepa_wm_ros.world_model.files.checkpoints import save_world_model  # noqa: E402
from support.tiny_models import STEP, tiny_spec  # noqa: E402


def saved(folder, seed, **more):
    """A tiny model of a seed in its own folder, under the name they all have."""
    file = folder / f's{seed}' / 'wall.safetensors'
    file.parent.mkdir(parents=True)
    stds = tuple(0.1 * (i + 1) for i in range(STEP))
    save_world_model(build(tiny_spec('tiny', action_std=stds, **more), seed=seed), file)
    return file


def evaluated(out, *words):
    """What `tasks evaluate wall` keeps of a few small plans."""
    assert tasks.main(['evaluate', 'wall', '--size', '8x1', '--out', str(out), *words]) == 0
    return json.loads(out.read_text())


def test_success_is_of_the_last_step_and_ever_of_any():
    row = world_rows.row(Wall(), [[9, 4, 7], [9, 9, 4], [4, 5, 6], [9, 8, 7]])
    assert (row['success'], row['ever'], row['median']) == (0.25, 0.75, 6.5)
    assert row['ends'] == [7, 4, 6, 7] and row['nearest'] == [4, 4, 4, 7]


def test_a_second_success_is_of_the_hands_place_where_that_is_published():
    world = Wall()
    tasks = frozen_worlds.draw(world, range(4))
    goals = [goal for _, goal in tasks.tasks.values()]
    assert world_rows.hand(world, tasks, goals) == {}
    world.spec = replace(world.spec, hand=(1,))
    ends = [goal.copy() for goal in goals]
    ends[0][1] += world.spec.tolerance - 0.1
    ends[1][1] += world.spec.tolerance + 0.1
    ends[2][0] += 99
    assert world_rows.hand(world, tasks, ends) == {'hand': 0.75}
    still = world_rows.baseline_rows(world, tasks)['no motion']
    near = [abs(s[1] - g[1]) < world.spec.tolerance for s, g in tasks.tasks.values()]
    assert still['hand'] == np.mean(near)
    assert f'hand {np.mean(near):.0%}' in world_rows.line('no motion', still)


def test_a_walk_is_seen_at_the_start_and_after_each_model_step():
    world, task = Wall(), sampled(Wall(), 3)
    walks = dict(baselines(world))
    end, path = walked(world, walks['straight line'], task, 3)
    start, goal = task
    state, expected = start, [float(np.linalg.norm(start[:2] - goal[:2]))]
    for step in range(world.spec.steps):
        state = world.step(state[None], world.straight(state, goal)[None])[0]
        if step % 5 == 4:
            expected.append(float(np.linalg.norm(state[:2] - goal[:2])))
    assert path == pytest.approx(expected) and len(path) == 7
    np.testing.assert_array_equal(end, state)


def test_a_scripted_pusher_is_not_called_an_oracle():
    names = [name for name, _ in baselines(PushT())]
    assert names == ['no motion', 'random actions', 'straight line', 'scripted pusher']


@pytest.mark.parametrize(
    ('told', 'names'),
    [
        (['models/wall.safetensors'], ['wall']),
        (['s1/wall.safetensors', 's2/wall.safetensors'], ['s1/wall', 's2/wall']),
        (['a/s1/x.pth', 'b/s1/x.pth', 'b/y.pth'], ['a/s1/x', 'b/s1/x', 'y']),
        (['wall.safetensors', 's2/wall.safetensors'], ['wall', 's2/wall']),
        (['jepa_wm_wall', 'dino_wm_wall'], ['jepa_wm_wall', 'dino_wm_wall']),
    ],
)
def test_models_are_called_by_what_tells_them_apart(told, names):
    assert list(world_rows.labels(told).values()) == names


def test_a_model_is_not_told_twice():
    with pytest.raises(JepaWmError, match='told twice'):
        world_rows.labels(['a/wall.safetensors', './a/wall.safetensors'])


def test_seeds_of_one_training_have_rows_of_their_own_and_a_mean_with_their_spread(
    tmp_path, capsys
):
    files = [saved(tmp_path, seed, proposal_steps=6) for seed in (1, 2)]
    words = ['--episodes', '2', '--executed', '6', '--model', *map(str, files)]
    kept = evaluated(tmp_path / 'rows.json', *words)
    rows, said = kept['rows'], capsys.readouterr().out
    mean = rows['mean over 2 models, 6 of 6 executed']
    of_seeds = [rows[f's{seed}/wall, 6 of 6 executed'] for seed in (1, 2)]
    assert 's1/wall, behaviour cloning' in rows
    assert 'mean over 2 models, behaviour cloning' in rows
    for name in ('success', 'ever', 'median'):
        values = [row[name] for row in of_seeds]
        assert mean[name] == pytest.approx(np.mean(values))
        assert mean[f'{name}_sd'] == pytest.approx(np.std(values, ddof=1))
    assert mean['median_sd'] > 0
    for seed, file in zip((1, 2), files, strict=True):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert kept['weights'][f's{seed}/wall'] == {'file': str(file), 'sha256': digest}
        assert f'(SHA-256 {digest[:12]})' in said


def test_what_was_asked_and_what_a_plan_cost_are_told(tmp_path, capsys):
    file = saved(tmp_path, 1)
    words = ['--model', str(file), '--executed', '2', '--episodes', '2', '--objective', 'all L1']
    kept = evaluated(tmp_path / 'rows.json', *words)
    said, shipped = capsys.readouterr().out, frozen_worlds.read('wall', Wall())
    assert kept['tasks'] == {'sha256': shipped.sha256, 'seeds': [50000, 50001]}
    assert f'2 tasks of wall (SHA-256 {shipped.sha256[:12]})' in said
    assert 'reached within 4.5; judged after 6 model steps of 5, plans of 6' in said
    row = kept['rows']['wall, 2 of 6 executed']
    assert row['budget'].pop('ms') > 0
    assert row['budget'] == {
        'planner': 'cem',
        'size': '8x1',
        'objective': 'all L1',
        'horizon': 6,
        'executed': 2,
        'evaluations': 9,  # and that of the mean
    }
    assert 'cem 8x1, all L1: 9 evaluations, ' in said
    assert 'wall, no behaviour cloning: the model has no such head' in said
    assert not any('cloning' in name for name in kept['rows'])


def test_tasks_of_ones_own_and_as_many_as_there_are(tmp_path, capsys):
    world, mine = Wall(), tmp_path / 'mine.json'
    task_file.write(frozen_worlds.draw(world, range(3, 6)), mine)
    kept = evaluated(tmp_path / 'rows.json', '--tasks', str(mine), '--episodes', '3')
    away = [world.distance(s[None], g)[0] for s, g in (sampled(world, n) for n in (3, 4, 5))]
    assert kept['rows']['no motion']['ends'] == pytest.approx(away)
    assert kept['tasks']['seeds'] == [3, 4, 5]
    assert tasks.main(['evaluate', 'wall', '--tasks', str(mine)]) == 1
    said = capsys.readouterr().err
    assert '48 episodes are asked for, and the file has 3 tasks of wall' in said
    assert len(said.strip().splitlines()) == 1
    assert tasks.main(['evaluate', 'wall', '--tasks', 'pusht']) == 1
    assert 'pusht: 30 steps of pusht' in capsys.readouterr().err
