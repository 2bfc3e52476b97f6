#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped model from nothing, within an hour on two cores: record the cell, train, judge.

    make weights                      # or .venv/bin/python scripts/weights.py out/weights

Ends with OUT/model/jepa_wm_cell.safetensors and its card, jepa_wm_cell.md. What is there already is
not done again. The files in weights/ stay as they are: copy over them what you want to be yours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

EPISODES, HELD_OUT, ITERATIONS = 2000, 150, 4000
TASKS, FIRST_TASK = 20, 1000


def main() -> None:
    """Record, train, judge, and say in the card what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--episodes', type=int, default=EPISODES)
    parser.add_argument('--iterations', type=int, default=ITERATIONS, help='of each stage')
    options = parser.parse_args()
    data, held_out, made = (options.out / name for name in ('cell', 'cell_val', 'model'))
    weights = made / 'jepa_wm_cell.safetensors'
    begun, minutes = time.monotonic(), {}
    for part, words in {
        'record': f'record --episodes {options.episodes} --seed 0 --jobs 2 --out {data}',
        'record what is held out': f'record --episodes {HELD_OUT} --seed 100000 --jobs 2 '
        f'--out {held_out}',
        'train': f'train --data {data} --val {held_out} --out {made} --seed 1 '
        f'--iterations {options.iterations}',
    }.items():
        run('jepa_wm_ros', words)
        minutes[part] = (time.monotonic() - begun) / 60 - sum(minutes.values())
    judging = f'--model {weights} --episodes {TASKS} --seed {FIRST_TASK}'
    told = run('jepa_wm_ros.evaluation.closed_loop', judging)
    minutes['judge'] = (time.monotonic() - begun) / 60 - sum(minutes.values())
    with weights.with_suffix('.md').open('a', encoding='utf-8') as card:
        card.write(f'\n## What it reaches in the simulated cell\n\n```\n{told}```\n')
        card.write('\n## How long it took\n\n| | minutes |\n|---|---|\n')
        card.writelines(f'| {part} | {taken:.1f} |\n' for part, taken in minutes.items())
        card.write(f'| **together** | **{sum(minutes.values()):.1f}** |\n')
    print(f'{weights} and its card, in {sum(minutes.values()):.0f} minutes')


def run(module: str, words: str) -> str:
    """Run a command to its end; what it said on standard output, which is shown."""
    said = []
    command = [sys.executable, '-m', module, *words.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end='', flush=True)
            said.append(line)
    if process.returncode:
        sys.exit(f'{module} {words.split()[0]} ended with {process.returncode}')
    return ''.join(said)


if __name__ == '__main__':
    main()
