# SPDX-License-Identifier: Apache-2.0
"""Command `explore`: the arm moves by itself, and what it does and sees is kept as episodes.

    jepa-wm explore --out data/my_cell --minutes 60               # asks before it moves
    jepa-wm explore --out data/my_cell --minutes 60 --thing 0.5 0.1
    jepa-wm explore --out data/skills --minutes 60 --thing 0.5 0.1 0.3 --skills   # grasps it

Needs the camera and the controller, no model. The arm stays in the controller's envelope, stands
still when Ctrl-C comes or anything is odd, and goes on where it was when the same command is given
again. Then: `jepa-wm train --data data/my_cell --out my_model`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from jepa_wm_ros.arguments import TRANSPORTS
from jepa_wm_ros.errors import JepaWmError, exit_status

STEPS = 20  # of an episode
EPISODES_PER_FILE = 5  # what a power cut costs at most


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(': ', 1)[1])
    parser.add_argument('--out', type=Path, required=True, help='folder for the episodes')
    parser.add_argument('--minutes', type=float, default=60.0, help='of motion (default 60)')
    parser.add_argument(
        '--thing',
        type=float,
        nargs='+',
        metavar=('X', 'Y'),
        help='X Y [YAW]: where on the table something lies that may be pushed [m, rad]; without it '
        'the hand stays away from nothing but the edge of its workspace, and seeks nothing',
    )
    parser.add_argument(
        '--skills',
        action='store_true',
        help='grasp that thing, carry it, put it down and push it; for an arm whose envelope lets '
        'the fingers down to it (params_file:=grasp.yaml)',
    )
    parser.add_argument('--size', type=int, default=96, help='of the pictures kept [px]')
    parser.add_argument('--seed', type=int, default=0, help='episode i draws from seed + i')
    parser.add_argument('--namespace', default='', help='namespace of camera and arm')
    parser.add_argument('--image', default='image', help='topic of the camera')
    parser.add_argument('--transport', default='', choices=('', *TRANSPORTS))
    parser.add_argument('--yes', action='store_true', help='move the arm without asking')
    options = parser.parse_args(words)
    if not options.minutes > 0 or options.size < 16 or options.seed < 0:
        parser.error('--minutes must be above 0, --size at least 16 and --seed at least 0')
    if options.thing and len(options.thing) not in (2, 3):
        parser.error('--thing takes X Y, or X Y YAW')
    if options.skills and not options.thing:
        parser.error(
            '--skills needs --thing X Y YAW: where the thing lies [m] and how it is turned [rad]'
        )
    return options


def explore(options: argparse.Namespace) -> int:
    """Explore until so many minutes of motion are kept; returns the exit status."""
    from tqdm import tqdm

    from jepa_wm_ros.recordings.episode import STEP_RATE
    from jepa_wm_ros.recordings.folder import claim
    from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
    from jepa_wm_ros.recordings.pointed import FORGOTTEN, Pointed
    from jepa_wm_ros.recordings.sanity import complaints
    from jepa_wm_ros.ros.commander import JepaCommander
    from jepa_wm_ros.ros.consent import ask_consent
    from jepa_wm_ros.ros.exploring import SeeingPorts, explore_episode, pointed_at, room_of, unbent

    done, minutes = _kept(options.out)
    if minutes >= options.minutes:
        print(f'{options.out}: {done} episodes, {minutes:.1f} minutes: nothing is left to do')
        return 0
    ask_consent(
        f'The arm will move by itself for {options.minutes - minutes:.1f} minutes, anywhere in its '
        'workspace.',
        options.yes,
    )
    common = {'steps': STEPS, 'size': options.size, 'fps': STEP_RATE, 'seed': options.seed}
    common |= {'skills': True} if options.skills else {}
    claim(options.out, common)
    with (
        JepaCommander(
            options.namespace, image=options.image, transport=options.transport
        ) as commander,
        EpisodeWriter(options.out, 'explore', EPISODES_PER_FILE) as writer,
        tqdm(total=options.minutes, unit='min', bar_format=_BAR, disable=None) as bar,
    ):
        ports = SeeingPorts(commander, commander.base_frame(), options.size)
        room = room_of(commander)
        thing = pointed_at(options.thing, room) if options.skills else options.thing
        bar.update(minutes)
        while minutes < options.minutes:
            start = commander, ports, room, options.seed + done, STEPS, thing
            episode = unbent(commander, partial(explore_episode, *start))
            if said := complaints(episode):
                raise JepaWmError(f'stopped, the last episode is not kept: {said[0]}')
            writer.write(done, episode)
            length = float(episode.extras['seconds'][-1, 0]) / 60
            done, minutes = done + 1, minutes + length
            bar.update(length)
            bar.set_postfix_str(f'{done} episodes, {STEPS / 60 / length:.1f} steps/s')
            if bar.disable:  # no terminal
                print(f'{minutes:.1f} of {options.minutes:g} minutes, {done} episodes', flush=True)
            if isinstance(thing, Pointed) and thing.lost:
                raise JepaWmError(
                    f'{FORGOTTEN} grasps in a row found nothing: see where the thing lies and give '
                    'the same command with the right --thing; what is recorded is kept'
                )
    print(f'{options.out}: {done} episodes of {STEPS} steps, {minutes:.1f} minutes')
    return 0


_BAR = '{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} min{postfix}'


def _kept(out: Path) -> tuple[int, float]:
    """Episodes already recorded into a folder, and their minutes."""
    from jepa_wm_ros.recordings.formats.hdf5 import Hdf5Episodes

    kept = [episode.extras['seconds'][-1, 0] for episode in Hdf5Episodes(out)]
    return len(kept), float(sum(kept)) / 60


@exit_status('stopped, and the arm stands; the same command goes on')
def main(words: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return explore(parse(words))


if __name__ == '__main__':
    sys.exit(main())
