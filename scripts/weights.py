#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped model from nothing, within an hour on two cores: record the cell, train, judge.

    make weights                      # or .venv/bin/python scripts/weights.py out/weights

Ends with OUT/model/jepa_wm_cell.safetensors and its card, jepa_wm_cell.md. What is there already is
not done again. The files in weights/ stay as they are: copy over them what you want to be yours.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path

from jepa_wm_ros.evaluation.closed_loop import command as closed_loop
from jepa_wm_ros.learning import train
from jepa_wm_ros.sim import record

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
    weights, table = made / 'jepa_wm_cell.safetensors', io.StringIO()
    minutes = {
        'record': run(record, '--episodes', options.episodes, '--out', data),
        'record what is held out': run(
            record, '--episodes', HELD_OUT, '--seed', 100_000, '--out', held_out
        ),
        'train': run(
            train,
            '--data',
            data,
            '--val',
            held_out,
            '--out',
            made,
            '--iterations',
            options.iterations,
        ),
    }
    with contextlib.redirect_stdout(table):
        minutes['judge'] = run(
            closed_loop, '--model', weights, '--episodes', TASKS, '--seed', FIRST_TASK
        )
    together = sum(minutes.values())
    with weights.with_suffix('.md').open('a', encoding='utf-8') as card:
        card.write(f'\n## What it reaches in the simulated cell\n\n```\n{table.getvalue()}```\n')
        card.write('\n## How long it took\n\n| | minutes |\n|---|---|\n')
        card.writelines(f'| {part} | {taken:.1f} |\n' for part, taken in minutes.items())
        card.write(f'| **together** | **{together:.1f}** |\n')
    print(f'{table.getvalue()}{weights} and its card, in {together:.0f} minutes')


def run(command, *words) -> float:
    """The minutes that a command of the package took; its end is ours where it fails."""
    begun = time.monotonic()
    if status := command.main([str(word) for word in words]):
        sys.exit(status)
    return (time.monotonic() - begun) / 60


if __name__ == '__main__':
    main()
