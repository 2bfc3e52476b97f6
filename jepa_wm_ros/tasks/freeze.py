# SPDX-License-Identifier: Apache-2.0
"""Freeze tasks in a file, so that everybody measures the same.

    jepa-wm tasks freeze my_tasks.json --cell 5 --seed 1000 --episodes 40
    jepa-wm tasks freeze my_tasks.json --world wall --seed 50000 --episodes 96

A table names the SHA-256 of what the file says, and a changed file is refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.tasks import frozen, frozen_worlds, task_file
from jepa_wm_ros.tasks.worlds import WORLDS


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog='jepa-wm tasks freeze', description=__doc__.splitlines()[0]
    )
    parser.add_argument('out', type=Path, help='file ending in .json')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--cell', type=int, default=0, help='simulated cell (default 0)')
    where.add_argument('--world', choices=WORLDS, help="one of the paper's tasks, not the cell")
    parser.add_argument('--seed', type=int, default=1000, help='of the first task')
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--steps', type=int, help=f'in the cell (default {frozen.STEPS})')
    options = parser.parse_args(arguments)
    if options.world and options.steps is not None:
        parser.error('--steps are of the cell: those of a world are the published ones')
    seeds = range(options.seed, options.seed + options.episodes)
    tasks: frozen.FrozenTasks | frozen_worlds.WorldTasks = (
        frozen_worlds.draw(WORLDS[options.world](), seeds)
        if options.world
        else frozen.draw(options.cell, seeds, options.steps or frozen.STEPS)
    )
    task_file.write(tasks, options.out)
    print(f'{options.out}: {tasks.summary()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
