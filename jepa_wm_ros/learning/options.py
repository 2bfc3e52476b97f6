# SPDX-License-Identifier: Apache-2.0
"""What `train` is told on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from jepa_wm_ros.learning.settings import STAGES


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description='Train a world model on episodes recorded by `record`.'
    )
    parser.add_argument(
        '--config',
        default='cell',
        help='model and stages: a name in config/train or a .yaml file (default %(default)s)',
    )
    parser.add_argument('--data', type=Path, required=True, help='folder of training episodes')
    parser.add_argument(
        '--val',
        type=Path,
        help='folder of validation episodes (default: every tenth of --data, held out)',
    )
    parser.add_argument(
        '--from',
        dest='start',
        metavar='MODEL',
        help='name or file of a model to go on from, with its architecture and statistics',
    )
    parser.add_argument(
        '--name', help="of the model (default: the configuration's, or that of --from)"
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='folder for weights, checkpoints, loss plot and metrics',
    )
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument(
        '--stage',
        choices=(*STAGES, 'all'),
        default='all',
        help='encoder: end to end; predictor: again, on the frozen encoder of '
        '--encoder-from; all: both (default)',
    )
    parser.add_argument(
        '--encoder-from',
        type=Path,
        default=None,
        help='weights file whose encoder stage predictor freezes',
    )
    parser.add_argument(
        '--iterations',
        type=int,
        default=None,
        help="length of each stage, in place of the configuration's",
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=None,
        help="processor threads, in place of the configuration's",
    )
    parser.add_argument(
        '--cache',
        type=Path,
        help='folder for the latents of a frozen encoder, which several runs may share (default: '
        '--out)',
    )
    parser.add_argument(
        '--device',
        default='cpu',
        help='torch device (default cpu); with torchrun, cuda means the local GPU of each process',
    )
    parser.add_argument(
        '--unchecked',
        action='store_true',
        help='train on episodes in which `dataset check` finds something wrong',
    )
    return parser.parse_args(arguments)
