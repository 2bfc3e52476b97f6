# SPDX-License-Identifier: Apache-2.0
"""Command `dataset`: look at recorded episodes, check, convert, merge and split them.

    dataset info data/cell                        # what is in it
    dataset check data/cell                       # what is wrong: units, axes, cameras, gaps
    dataset view data/cell view.png               # filmstrips, where the hand was, its actions
    dataset convert data/cell out                 # to LeRobot v3, or --to hdf5
    dataset convert data/cell out --episodes 0:80
    dataset merge a b out                         # several together
    dataset split data/cell train val --at 80     # the first 80, and the others

What is read may be in any format of recordings/formats. Exit status: 0, or 3 when `check` found
something.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.recordings.episode import Episode, EpisodeError
from jepa_wm_ros.recordings.formats import EpisodeSource, open_episodes, refuse_what_is_there, whole
from jepa_wm_ros.recordings.sanity import wrong_in

WRONG = 3
FORMATS = ('lerobot', 'hdf5')  # that are written
READ = 'episodes: HDF5, LeRobot v3, rosbags, DROID, RoboCasa or run_x/episode.h5'
CAMERA = 'where a LeRobot data set or bags have several: its column, its topic'


@exit_status('interrupted')
def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parse(arguments)
    return options.run(options)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = parser.add_subparsers(dest='what', required=True)
    info = words.add_parser('info', help='how many episodes, of what, how the arm moved')
    check = words.add_parser('check', help='name what is wrong, with file and time')
    view = words.add_parser('view', help='draw what was seen, where the hand was, its actions')
    convert = words.add_parser('convert', help='write in another format, or a part of them')
    merge = words.add_parser('merge', help='write several together, one after the other')
    split = words.add_parser('split', help='write the first ones and the others apart')
    for word, run in ((info, _info), (check, _check), (view, _view)):
        word.add_argument('path', type=Path, help=READ)
        word.set_defaults(run=run)
    view.add_argument('picture', type=Path, help='file that is written, such as view.png')
    convert.add_argument('source', type=Path, help=READ)
    convert.add_argument('out', type=Path, help='folder that is made')
    convert.add_argument(
        '--episodes', default=':', metavar='FROM:TO', help='those alone; default: all'
    )
    convert.set_defaults(run=_convert)
    merge.add_argument('sources', type=Path, nargs='+', help=f'{READ}, of one size and rate')
    merge.add_argument('out', type=Path, help='folder that is made')
    merge.set_defaults(run=_merge)
    split.add_argument('source', type=Path, help=READ)
    split.add_argument('first', type=Path, help='folder that is made of the first episodes')
    split.add_argument('others', type=Path, help='folder that is made of those after them')
    split.add_argument('--at', type=int, required=True, help='how many episodes are the first')
    split.set_defaults(run=_split)
    # What is merged or split stays as it is: HDF5 loses nothing.
    for word, to in ((convert, 'lerobot'), (merge, 'hdf5'), (split, 'hdf5')):
        word.add_argument('--to', choices=FORMATS, default=to, help='(default %(default)s)')
        word.add_argument(
            '--size', type=int, help='of the pictures [px]: their central square, resized'
        )
        word.add_argument('--task', default='reach the picture', help="LeRobot's name of the task")
    for word in (info, check, view, convert, merge, split):
        word.add_argument('--camera', default='', help=CAMERA)
    return parser.parse_args(arguments)


def _info(options: argparse.Namespace) -> int:
    source = open_episodes(options.path, options.camera)
    alike: dict[tuple, list[Episode]] = defaultdict(list)
    for episode in _shown(source):
        widths = episode.proprio.shape[1], episode.actions.shape[1]
        alike[(*episode.frames.shape[1:3], episode.fps, *widths)].append(episode)
    print(f'{options.path}: {len(source)} episodes')
    for (height, width, fps, *_), episodes in sorted(alike.items()):
        steps = sum(episode.steps for episode in episodes)
        print(
            f'\n{len(episodes)} with {steps} steps, {steps / fps / 60:.1f} minutes: pictures '
            f'{width}x{height}, {fps:g} steps/s'
        )
        _show_numbers('proprioception', [episode.proprio for episode in episodes])
        _show_numbers('actions', [episode.actions for episode in episodes])
    return 0


def _show_numbers(what: str, parts: list[np.ndarray]) -> None:
    print(f'{what:14}' + ''.join(f'{head:>10}' for head in ('min', 'max', 'mean', 'std')))
    for number, column in enumerate(np.concatenate(parts).T):
        told = (column.min(), column.max(), column.mean(), column.std())
        print(f'  {number:<12}' + ''.join(f'{value:10.4f}' for value in told))


def _check(options: argparse.Namespace) -> int:
    source = open_episodes(options.path, options.camera)
    remarks, found = source.remarks(), set()
    for remark in remarks:
        print(remark)
    for number, line in wrong_in(source):
        print(line)
        found.add(number)
    faults = sum(remark.fault for remark in remarks)
    of_all = f', {faults} faults of the whole' if faults else ''
    print(f'{len(source)} episodes, {len(found)} with something wrong{of_all}')
    return WRONG if found or faults else 0


def _view(options: argparse.Namespace) -> int:
    from jepa_wm_ros.learning.view import draw

    try:
        draw(open_episodes(options.path, options.camera), options.picture)
    except (OSError, ValueError) as error:  # a folder that is not there, a kind of file unknown
        raise EpisodeError(f'cannot write {options.picture}: {error}') from error
    print(f'wrote {options.picture}')
    return 0


def _convert(options: argparse.Namespace) -> int:
    source = open_episodes(options.source, options.camera)
    _write(options, [source], options.out, _range(options.episodes, len(source)))
    return 0


def _merge(options: argparse.Namespace) -> int:
    sources = [open_episodes(path, options.camera) for path in options.sources]
    _write(options, sources, options.out, range(sum(map(len, sources))))
    return 0


def _split(options: argparse.Namespace) -> int:
    source = open_episodes(options.source, options.camera)
    if not 0 < options.at < len(source):
        raise EpisodeError(
            f'--at {options.at}: {options.source} has {len(source)} episodes, give 1 to '
            f'{len(source) - 1}'
        )
    refuse_what_is_there(options.others)  # before any of it is written
    _write(options, [source], options.first, range(options.at))
    _write(options, [source], options.others, range(options.at, len(source)))
    return 0


def _write(
    options: argparse.Namespace, sources: Sequence[EpisodeSource], out: Path, wanted: range
) -> None:
    """A new folder of the `wanted` episodes of all sources together, in the format asked for."""
    episodes = islice((e for source in sources for e in source), wanted.start, wanted.stop)
    chosen = _shown(episodes, len(wanted))
    if options.size is not None:
        chosen = (_resized(episode, options.size) for episode in chosen)
    if options.to == 'hdf5':
        count = _write_hdf5(chosen, out)
    else:
        from jepa_wm_ros.recordings.formats.lerobot.writer import write_lerobot

        count = write_lerobot(chosen, out, options.task)
    print(f'{out}: {count} episodes')


def _resized(episode: Episode, size: int) -> Episode:
    """The episode with its pictures as a model of that size sees them."""
    from jepa_wm_ros.world_model.images import kept_square

    if size < 1:
        raise EpisodeError(f'--size {size}: give pixels, at least 1')
    pictures = np.stack([kept_square(frame, size) for frame in np.asarray(episode.frames[:])])
    return replace(episode, frames=pictures)


def _write_hdf5(episodes: Iterator[Episode], out: Path) -> int:
    from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter

    count = 0
    with whole(out) as part, EpisodeWriter(part, 'converted') as writer:
        for count, episode in enumerate(episodes, 1):
            writer.write(count - 1, episode)
    return count


def _range(text: str, count: int) -> range:
    """The episodes FROM:TO of so many. Raises EpisodeError."""
    begin, colon, end = text.partition(':')
    try:
        numbers = range(count)[slice(int(begin or 0), int(end) if end else None)]
    except ValueError:
        colon = ''
    if not colon or not numbers:
        raise EpisodeError(f'--episodes {text}: give FROM:TO within 0:{count}')
    return numbers


def _shown(episodes, count: int | None = None) -> Iterator[Episode]:
    """The same, with a bar of progress."""
    from tqdm import tqdm

    total = len(episodes) if count is None else count
    return iter(tqdm(episodes, total=total, unit='episode', leave=False, disable=None))


if __name__ == '__main__':
    sys.exit(main())
