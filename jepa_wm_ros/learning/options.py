# SPDX-License-Identifier: Apache-2.0
"""What `train` is told on the command line."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from jepa_wm_ros.learning.settings import STAGES, TrainingError, TrainSettings
from jepa_wm_ros.overwriting import add_force
from jepa_wm_ros.world_model import ModelSpec

RANDOM = 'random'  # in place of an encoder's file
TRAINED = 'conv'  # the kind of encoder that learns here; all others come from files


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line, and as `command` the line itself."""
    words = sys.argv[1:] if arguments is None else arguments
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
        '--camera',
        default='',
        help='where LeRobot data sets or bags have several: its column, its topic',
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
        help='encoder: end to end; predictor: again, on the frozen encoder of --encoder-from; '
        'proposal: the head that proposes where a search begins, for the model of --from, which '
        'stays as it is; decoder: the decoder that draws what the model of --from imagines, in a '
        'file of its own; all: encoder, predictor, proposal one after the other (default)',
    )
    parser.add_argument(
        '--encoder-from',
        type=Path,
        default=None,
        help='weights file whose encoder stage predictor freezes',
    )
    parser.add_argument(
        '--encoder',
        type=Path,
        help="published weights of the configuration's encoder (DINOv2, DINOv3, V-JEPA, "
        f'EfficientNet-lite), which stays as it is: only a predictor is trained; {RANDOM}: those '
        'of the seed, which nobody trained, to compare with',
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
        '--every',
        type=int,
        default=500,
        help='iterations between two rounds, in which errors are measured, --trials made and a '
        'checkpoint written (default %(default)s)',
    )
    parser.add_argument(
        '--trials',
        type=int,
        default=0,
        help='goals in the simulated cell that the model is to reach after every round of the '
        'predictor; the weights of the best round are kept',
    )
    parser.add_argument(
        '--cell', type=int, default=0, help='which cell --trials are in: 0 is the usual one'
    )
    parser.add_argument(
        '--patience',
        type=int,
        default=0,
        help='rounds of --trials without a better one that end the stage (default: none do)',
    )
    parser.add_argument(
        '--unchecked',
        action='store_true',
        help='train on episodes in which `dataset check` finds something wrong',
    )
    add_force(parser)
    options = parser.parse_args(words)
    options.command = shlex.join(['jepa-wm', 'train', *words])
    return options


def check_options(options: argparse.Namespace, settings: TrainSettings, processes: int) -> None:
    """Raise a TrainingError for what contradicts itself, the settings or several processes."""
    frozen = options.encoder_from or options.start or options.encoder
    if options.stage == 'predictor' and not frozen:
        raise TrainingError(
            '--stage predictor needs --encoder-from, weights of an encoder stage, --encoder, '
            'published ones, or --from'
        )
    if options.stage == 'proposal' and not (options.start and settings.proposal):
        raise TrainingError(
            '--stage proposal needs --from, the model that is given the head, and a configuration '
            'with a table proposal'
        )
    if options.stage == 'decoder' and not (options.start and settings.decoder):
        raise TrainingError(
            '--stage decoder needs --from, the model whose latents are drawn, and a configuration '
            'with a table decoder'
        )
    if options.stage in ('encoder', 'all') and not (settings.encoder or options.encoder):
        raise TrainingError(
            'the encoder of this configuration is not trained: give --encoder, its published '
            'weights, or --encoder-from'
        )
    if options.encoder_from and options.start:
        raise TrainingError('--encoder-from begins a new predictor, --from goes on: give one')
    if options.encoder_from and options.stage != 'predictor':
        raise TrainingError('--encoder-from is for --stage predictor: give that stage')
    if options.encoder and (
        options.encoder_from or options.start or options.stage not in ('predictor', 'all')
    ):
        raise TrainingError(
            '--encoder is for a new predictor: leave out --encoder-from, --from and other stages'
        )
    if options.every < 1:
        raise TrainingError(f'--every {options.every}: give iterations, at least 1')
    if options.patience and not options.trials:
        raise TrainingError('--patience counts rounds of --trials: give both')
    if processes == 1:
        return
    if options.stage != 'predictor':
        raise TrainingError(
            'an encoder is trained by one process: its batch norm and SIGReg look at the whole '
            'batch; give --stage predictor and --encoder-from to several'
        )
    if options.trials:
        raise TrainingError('--trials are made by one process: leave them out under torchrun')


def check_given(options: argparse.Namespace, spec: ModelSpec) -> None:
    """Raise a TrainingError where the model of --from has an encoder that is not trained here."""
    if options.stage in ('encoder', 'all') and spec.encoder.kind != TRAINED:
        raise TrainingError(
            f'--stage {options.stage} trains encoders of kind {TRAINED}, and {spec.name} has a '
            f'published one ({spec.encoder.kind}): give --stage predictor, which leaves it as it is'
        )
