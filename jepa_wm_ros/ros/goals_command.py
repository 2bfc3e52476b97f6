# SPDX-License-Identifier: Apache-2.0
"""Command `goals`: the library of goal pictures, from a terminal.

    ros2 run jepa_wm_ros goals capture cup           what camera and arm show now
    ros2 run jepa_wm_ros goals import cup.jpg        a picture file
    ros2 run jepa_wm_ros goals import my_bag --at 12.5 --name cup
    ros2 run jepa_wm_ros goals list
    ros2 run jepa_wm_ros goals export ~/stick cup    into a folder that is a library as well

Only `capture` needs ROS. Exit status: 0 when all was done, 1 otherwise, 2 for wrong options.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals.goal import Goal, GoalError, View, check_name
from jepa_wm_ros.goals.library import FOLDER, GoalLibrary, read_picture
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics

if TYPE_CHECKING:
    from jepa_wm_ros.ros.goal_camera import GoalCamera

PICTURES = ('.png', '.jpg', '.jpeg')
WHOLE_SECONDS = 3.0  # a picture is waited for this long to come with hand pose and joints
POLL_SECONDS = 0.05


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description='The library of goal pictures.')
    p.add_argument('--library', type=Path, default=FOLDER, help=f'its folder (default {FOLDER})')
    commands = p.add_subparsers(dest='command', required=True)
    capture = commands.add_parser('capture', help='store what the live camera and arm show now')
    capture.add_argument('name', nargs='?', default='', help='default: goal, goal_2, ...')
    capture.add_argument('--namespace', default='', help='namespace of camera and controller')
    capture.add_argument('--topics', default='cell', help='a name in config/topics or a .yaml file')
    bring = commands.add_parser('import', help='store a picture file, a frame of a bag, a library')
    bring.add_argument('source', type=Path, help='png or jpeg file, bag, or folder of goals')
    bring.add_argument(
        '--name', default='', help="default: the source's; of a folder of goals: this one only"
    )
    bring.add_argument('--camera', default='', help='frame of the camera that took a picture file')
    bring.add_argument(
        '--at', type=_seconds, help='of a bag: seconds after its first frame (default: the last)'
    )
    bring.add_argument('--topics', help='of a bag: a name in config/topics or a .yaml file')
    commands.add_parser('list', help='all goals, one a line')
    for name, what in (('show', 'what is known of goals'), ('delete', 'remove goals for good')):
        commands.add_parser(name, help=what).add_argument('names', nargs='+', metavar='NAME')
    rename = commands.add_parser('rename', help='give a goal another name')
    rename.add_argument('name')
    rename.add_argument('new_name')
    export = commands.add_parser('export', help='copy goals into another folder')
    export.add_argument('folder', type=Path, help='made if it is not there')
    export.add_argument('names', nargs='*', metavar='NAME', help='default: all')
    return p


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parser().parse_args(arguments)
    library = GoalLibrary(options.library)
    try:
        for line in COMMANDS[options.command](library, options):
            print(line)
    except (JepaWmError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _capture(library: GoalLibrary, options):
    from jepa_wm_ros.ros.commander import JepaCommander  # only this needs ROS
    from jepa_wm_ros.ros.goal_camera import GoalCamera

    name = check_name(options.name) if options.name else library.free_name()
    topics = live_topics(TopicSpec.load(options.topics))
    with JepaCommander(options.namespace) as commander:
        camera = GoalCamera(commander.node, topics, '')
        goal, picture = _wait(camera, name, commander.timeout)
    library.add(goal, picture)
    yield f'captured {_line(goal)}'


def _wait(camera: GoalCamera, name: str, seconds: float) -> tuple[Goal, np.ndarray]:
    """The first live picture with a label; without hand pose and joints where none are told."""
    begun = time.monotonic()
    while True:
        waited = time.monotonic() - begun
        try:
            goal, picture = camera.capture(name)
            if (goal.pose7 and goal.joints) or waited > WHOLE_SECONDS:
                return goal, picture
        except GoalError:
            if waited > seconds:
                raise
        time.sleep(POLL_SECONDS)  # nothing tells when camera, hand and joints have all been heard


def _import(library: GoalLibrary, options):
    source = options.source
    if source.suffix.lower() in PICTURES:
        picture = read_picture(source)
        name = options.name or library.free_name(source.stem)
        height, width = picture.shape[:2]
        goal = Goal(name, View(options.camera, width, height))
        library.add(goal, picture)
        yield f'imported {_line(goal)}'
    elif _is_bag(source):
        yield _import_frame(library, options)
    elif any(source.glob('*.json')):
        yield from _copy(GoalLibrary(source), library, [options.name] if options.name else [])
    else:
        raise GoalError(f'{source}: no png or jpeg file, no bag and no folder of goals')


def _is_bag(path: Path) -> bool:
    from jepa_wm_ros.recordings.bags.bag import STORAGE_SUFFIXES  # needs rosbags

    inside = [each.suffix for each in path.iterdir()] if path.is_dir() else []
    return path.suffix in STORAGE_SUFFIXES or any(each in STORAGE_SUFFIXES for each in inside)


def _import_frame(library: GoalLibrary, options) -> str:
    from tqdm import tqdm

    from jepa_wm_ros.goals.from_bag import read_bag_frame

    name = options.name or library.free_name(options.source.stem)
    spec = TopicSpec.load(options.topics) if options.topics else None
    with tqdm(desc=f'read {options.source.name}', unit='msg', leave=False, disable=None) as bar:
        frame = read_bag_frame(options.source, name, options.at, spec, bar.update)
    for finding in frame.findings:
        print(finding, file=sys.stderr)
    library.add(frame.goal, frame.picture)
    return f'imported {_line(frame.goal)}'


def _list(library: GoalLibrary, _options):
    goals, complaints = library.read()
    for goal in goals:
        yield _line(goal)
    if not goals:
        yield f'no goals in {library.folder}: capture or import one'
    _complain(complaints)


def _show(library: GoalLibrary, options):
    for name in options.names:
        goal = library.find(name)
        library.picture(name)  # an unreadable one is told here and not before a motion
        yield f'{name}   {library.folder / f"{name}.png"}'
        yield f'  camera   {goal.view.camera or "not known"}, {goal.view.width}x{goal.view.height}'
        yield f'  crop     {list(goal.view.crop) or "the whole sensor"}'
        yield f'  taken    {_time(goal.stamp)}'
        yield f'  hand     {_numbers(goal.pose7)}' + (f' in {goal.frame}' if goal.pose7 else '')
        yield f'  joints   {_numbers(goal.joints)}'


def _delete(library: GoalLibrary, options):
    for name in options.names:
        library.remove(name)
        yield f'deleted {name}'


def _rename(library: GoalLibrary, options):
    library.rename(options.name, options.new_name)
    yield f'{options.name} is {options.new_name} now'


def _export(library: GoalLibrary, options):
    yield from _copy(library, GoalLibrary(options.folder), options.names)


def _copy(source: GoalLibrary, target: GoalLibrary, names: list[str]):
    goals, complaints = source.read()
    if names:
        goals, complaints = [source.find(name) for name in names], []
    for goal in goals:
        target.add(goal, source.picture(goal.name))
        yield f'{goal.name} -> {target.folder}'
    _complain(complaints)


def _complain(complaints: list[str]) -> None:
    """Name files that are damaged, and let the command fail for it."""
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        raise GoalError(f'{len(complaints)} files are no goals, see above')


def _line(goal: Goal) -> str:
    view, hand = goal.view, _numbers(goal.pose7[:3])
    camera = view.camera or 'camera not known'
    return (
        f'{goal.name}   {view.width}x{view.height}   {camera}   hand {hand}   {_time(goal.stamp)}'
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ' '.join(f'{value:.3f}' for value in values) or 'not known'


def _time(stamp: int) -> str:
    if not stamp:
        return 'time not known'
    return datetime.fromtimestamp(stamp / 1e9, UTC).isoformat(' ', 'seconds')


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f'{text}: give seconds')
    return value


COMMANDS = {
    'capture': _capture,
    'import': _import,
    'list': _list,
    'show': _show,
    'rename': _rename,
    'delete': _delete,
    'export': _export,
}

if __name__ == '__main__':
    sys.exit(main())
