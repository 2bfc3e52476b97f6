# SPDX-License-Identifier: Apache-2.0
"""Command `tasks`: the paper's simulated tasks, from the data of their worlds to who masters them.

jepa-wm tasks collect wall --out data/wall
jepa-wm tasks ceiling wall --planner 64x8
jepa-wm tasks evaluate wall --model models/wall/wall.safetensors
jepa-wm tasks freeze my_tasks.json --world wall
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from jepa_wm_ros.evaluation import worlds
from jepa_wm_ros.evaluation.ceiling import command as ceiling
from jepa_wm_ros.tasks import collect, freeze

PARTS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    'collect': (collect.main, 'collect episodes of a world to train on'),
    'ceiling': (ceiling.main, 'plan with the true dynamics: what no predictor can repair'),
    'evaluate': (worlds.main, 'how models do in a world, beside those who need no model'),
    'freeze': (freeze.main, 'freeze tasks of a world or of the simulated cell in a file'),
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description="Collect in the paper's simulated tasks, and see what is reached in them.",
        epilog='\n'.join(f'{name:10} {said}' for name, (_, said) in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('part', choices=PARTS)
    parser.add_argument('words', nargs=argparse.REMAINDER, help='of that part; --help tells')
    options = parser.parse_args(arguments)
    return PARTS[options.part][0](options.words)


if __name__ == '__main__':
    sys.exit(main())
