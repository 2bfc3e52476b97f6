# SPDX-License-Identifier: Apache-2.0
"""evaluate_bag: what a model and a planner would have done on recorded data.

    ros2 run jepa_wm_ros evaluate_bag BAG … --model jepa_wm_cell --planner paper
    python -m jepa_wm_ros.evaluation BAG … --model A --model B --planner paper --planner fast

Exit status: 0 when everything recorded was evaluated, 3 when only a part was (0 with
--allow-partial), 1 when nothing was, 2 for wrong options.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.topic_options import add_topic_options

PARTIAL = 3


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description="The paper's Action Score on your own recordings: plan "
        'from recorded frames and compare with what the arm did. Needs no ROS.'
    )
    p.add_argument(
        'bags',
        nargs='*',
        type=Path,
        metavar='BAG',
        help='bag directory, a .mcap or .db3 file, or a set of episodes that `dataset` reads',
    )
    p.add_argument(
        '--model',
        action='append',
        dest='models',
        metavar='NAME',
        help='model name or file; repeat to compare (default jepa_wm_cell)',
    )
    p.add_argument(
        '--planner',
        action='append',
        dest='planners',
        metavar='PROFILE',
        help='planning profile, a name or a YAML file; repeat to compare (default paper)',
    )
    p.add_argument('--out', type=Path, help='folder of the results (default out/bags/<bag>)')
    p.add_argument('--weights-dir', help='folder of weight files')
    p.add_argument(
        '--device',
        default='cpu',
        help='torch device (default cpu); with torchrun, cuda means the local GPU of each process',
    )
    clips = p.add_argument_group('clips')
    clips.add_argument(
        '--horizon', type=_positive, help="steps to the goal frame (default: the first planner's)"
    )
    clips.add_argument(
        '--stride',
        type=_positive,
        help='steps between clip starts (default: the horizon, so that clips share no motion)',
    )
    clips.add_argument(
        '--clips',
        type=_positive,
        help='at most so many clips of each bag, drawn at random (default: all)',
    )
    clips.add_argument('--rate', type=_rate, help="steps per second (default: the model's)")
    clips.add_argument(
        '--seed',
        type=int,
        nargs='+',
        default=[1],
        dest='seeds',
        metavar='SEED',
        help='seeds of the planners; the first also draws the clips (default 1)',
    )
    add_topic_options(p)
    run = p.add_argument_group('run')
    run.add_argument('--jobs', type=_positive, default=1, help='processes (default 1)')
    run.add_argument('--resume', action='store_true', help='keep the rows --out holds already')
    run.add_argument(
        '--merge',
        action='store_true',
        help='evaluate nothing: merge the tables of all shards in --out and write the report',
    )
    run.add_argument(
        '--allow-partial',
        action='store_true',
        help='exit with 0 although parts of the recording could not be evaluated',
    )
    return p


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError('must be at least 1')
    return value


def _rate(text: str) -> float:
    if not 0.0 < (value := float(text)) < 1000.0:
        raise argparse.ArgumentTypeError('must be a rate in Hz')
    return value


@exit_status('interrupted: --resume goes on from here')
def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; see the module docstring for the exit status."""
    options = parser().parse_args(argv)
    if not options.bags:
        parser().error('give at least one bag')
    from jepa_wm_ros.evaluation.offline.evaluate import evaluate

    return PARTIAL if evaluate(options) and not options.allow_partial else 0
