# SPDX-License-Identifier: Apache-2.0
"""What `check_camera` and `diagnose` share: their options, and the steps they judge by.

Without --bag the arm makes small steps. With it nothing moves, and no ROS is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jepa_wm_ros.arguments import TRANSPORTS
from jepa_wm_ros.evaluation.topic_options import add_topic_options, topic_spec


def add_fit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `record_steps` reads."""
    parser.add_argument(
        '--model', default='jepa_wm_cell', help='name or file (default %(default)s)'
    )
    parser.add_argument('--weights-dir', help='folder of weight files')
    parser.add_argument('--device', default='cpu', help='torch device (default %(default)s)')
    parser.add_argument('--namespace', default='', help='namespace of camera and arm')
    parser.add_argument('--yes', action='store_true', help='move the arm without asking')
    parser.add_argument(
        '--bag', type=Path, help='judge what was recorded in place of moving: a bag, .mcap or .db3'
    )
    add_topic_options(parser)
    parser.add_argument(
        '--transport',
        default='',
        choices=('', *TRANSPORTS),
        help='how a live camera is heard: compressed on <image>/compressed (default: as --image is '
        'called)',
    )


def load_model(options: argparse.Namespace):
    """The model that the options name. Raises JepaWmError."""
    from jepa_wm_ros.world_model import load_world_model

    return load_world_model(options.model, weights_dir=options.weights_dir, device=options.device)


def record_steps(options: argparse.Namespace, rate: float, horizon: int):
    """Steps at a rate [Hz] in episodes of `horizon` or more, of a bag or of an arm that is moved
    (`Recorded`). Raises JepaWmError, also where nobody agrees to the motion.
    """
    if options.bag is not None:
        from jepa_wm_ros.evaluation.fit.bag import read_episodes

        return read_episodes(options.bag, topic_spec(options), rate, horizon)
    from tqdm import tqdm

    from jepa_wm_ros.evaluation.fit.jogs import COUNT, JOG
    from jepa_wm_ros.ros.commander import JepaCommander
    from jepa_wm_ros.ros.consent import ask_consent
    from jepa_wm_ros.ros.jog import jog

    ask_consent(
        f'The hand will make {COUNT} steps of {100 * JOG:g} cm along its axes and come back.',
        options.yes,
    )
    with (
        JepaCommander(
            options.namespace, image=options.image or 'image', transport=options.transport
        ) as commander,
        tqdm(total=COUNT, desc='steps', leave=False, disable=None) as bar,
    ):
        return jog(commander, rate, lambda: bar.update())
