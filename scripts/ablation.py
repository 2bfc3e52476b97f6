#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each choice of config/train/grasp.yaml is worth: a short training for each, and its places.

    .venv/bin/python scripts/ablation.py out/ablation --data data/skills
    .venv/bin/python scripts/ablation.py OUT --data DATA --seeds 2 --rows 'no `neck`'

Every row is the recipe with one thing otherwise, trained alike and judged on the same tasks by
direct stepping, three pictures, without the recovery that a long search makes: so that what is
told apart are the models. What is there already is not done again; OUT/ablation.json and
OUT/ablation.md say what came of all that is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from jepa_wm_ros import resources
from jepa_wm_ros.evaluation.closed_loop import cube
from jepa_wm_ros.learning import train

BOTH = 'encoder', 'predictor'  # the stages
ROWS: dict[str, dict[str, Any]] = {
    'the recipe': {},
    'SIGReg 0 for 0.15': {'encoder.sigreg': 0.0},
    'SIGReg 0.05': {'encoder.sigreg': 0.05},
    'SIGReg 0.5': {'encoder.sigreg': 0.5},
    'no inverse dynamics': {'encoder.inverse_dynamics': 0.0},
    'windows drawn alike': {f'{stage}.gripper_windows': 1.0 for stage in BOTH},
    'light by window': {f'{stage}.light_of': 'window' for stage in BOTH},
    'light as recorded': {f'{stage}.views': 1 for stage in BOTH},
    'no `features`': {'encoder.features': 0.0},
    'no `neck`': {'model.encoder.neck': []},
    'latents not asked for place': {'encoder.proprio': 0.0},
    'predictor without proprioception': {
        'model.predictor.proprio': 'none',
        'model.predictor.proprio_features': 0,
    },
    'rollout of 1 step': {'predictor.rollout_steps': 1},
    'rollout of 2 steps': {'predictor.rollout_steps': 2},
    'tokens 2×2': {'model.encoder.grid': 2},
    'tokens 3×3': {'model.encoder.grid': 3},
}
COLUMNS = {
    'tasks': 'tasks',
    'grasped': 'grasped',
    'placed': 'placed',
    'median error, cm': 'cm',
    'steps': 'steps',
    'cube in a probe, cm': 'cube_xy_cm',
    'rank': 'effective_rank',
}
ITERATIONS = {'encoder': 3000, 'predictor': 1000}


def main() -> None:
    """Train and judge what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--data', type=Path, required=True, help='of `jepa-wm record --skills`')
    parser.add_argument('--rows', nargs='*', default=list(ROWS), choices=ROWS, metavar='ROW')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1])
    parser.add_argument('--episodes', type=int, default=20)
    parser.add_argument('--first', type=int, default=26000, help='seed of the first task')
    options = parser.parse_args()
    for seed in options.seeds:
        for row in options.rows:
            train_and_judge(row, seed, options)
    found = collect(options.out)
    (options.out / 'ablation.json').write_text(json.dumps(found, indent=1, ensure_ascii=False))
    (options.out / 'ablation.md').write_text(markdown(found))
    print(markdown(found))


def train_and_judge(row: str, seed: int, options: argparse.Namespace) -> None:
    """One training of a row, unless it is there; the failure of a command ends the script."""
    made = options.out / f'{list(ROWS).index(row):02d}_{seed}'
    made.mkdir(parents=True, exist_ok=True)
    config, trials = made / 'config.yaml', made / 'trials.json'
    if trials.exists():
        return
    config.write_text(yaml.safe_dump(recipe(ROWS[row]), sort_keys=False))
    (made / 'row.txt').write_text(row)
    told = ['--config', config, '--data', options.data, '--seed', seed, '--out', made]
    run(train, *told, '--cache', options.out / 'cache')
    weights = made / 'jepa_wm_cell_grasp.safetensors'
    tasks = ['--seed', options.first, '--episodes', options.episodes]
    run(cube, 'pick_place', '--model', weights, '--recovery', '', *tasks, '--out', trials)


def recipe(changes: Mapping[str, Any]) -> dict[str, Any]:
    """config/train/grasp.yaml, shorter, without its heads, and with what is otherwise."""
    text = resources.find('config', 'train', 'grasp.yaml').read_text(encoding='utf-8')
    values: dict[str, Any] = yaml.safe_load(text)
    for head in 'proposal', 'decoder':
        del values[head]
    for stage, iterations in ITERATIONS.items():
        values[stage]['iterations'] = iterations
    for path, value in changes.items():
        *rooms, name = path.split('.')
        room = values
        for part in rooms:
            room = room[part]
        room[name] = value
    return values


def run(command: Any, *words: object) -> None:
    """A command of the package; its end is ours where it fails."""
    if status := command.main([str(word) for word in words]):
        sys.exit(status)


def collect(out: Path) -> list[dict[str, Any]]:
    """What came of every training that is there."""
    found = []
    for trials in sorted(out.glob('*/trials.json')):
        metrics = json.loads((trials.parent / 'metrics.json').read_text())
        (judged,) = json.loads(trials.read_text()).values()
        found.append(
            {
                'row': (trials.parent / 'row.txt').read_text(),
                'seed': int(trials.parent.name.split('_')[1]),
                'tasks': len(judged),
                'grasped': sum(trial['grasped'] for trial in judged),
                'placed': sum(trial['placed'] for trial in judged),
                'cm': round(100 * float(np.median([trial['error'] for trial in judged])), 1),
                'steps': round(float(np.mean([trial['steps'] for trial in judged])), 1),
                'run': metrics['run'],
                'probes': metrics['probes'],
            }
        )
    return found


def markdown(found: list[dict[str, Any]]) -> str:
    """The table of the card: the seeds of a row in one line."""
    lines = [f'| | {" | ".join(COLUMNS)} |\n|---{"|---" * len(COLUMNS)}|\n']
    for row in ROWS:
        if of_row := [one | one['probes'] for one in found if one['row'] == row]:
            told = (', '.join(f'{one[name]:.3g}' for one in of_row) for name in COLUMNS.values())
            lines.append(f'| {row} | {" | ".join(told)} |\n')
    return ''.join(lines)


if __name__ == '__main__':
    main()
