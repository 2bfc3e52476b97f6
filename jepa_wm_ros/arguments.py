# SPDX-License-Identifier: Apache-2.0
"""Arguments in launch's way, name:=value: what a system is started with, by launch or bringup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import ARMS

ROBOTS = ('sim', 'real')
CAMERAS = ('sim', 'topic')
TRANSPORTS = ('raw', 'compressed')
PLANNERS = ('cem', 'nevergrad', 'gd', 'adam', 'mppi', 'icem')
DISCOVERIES = ('localhost', 'subnet')
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')


class BringupError(JepaWmError):
    """A system that cannot be started as it was asked for."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument; an empty value leaves to others what it would have said."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


PLAN = (
    Argument('robot', 'sim', 'The simulated cell, or a real arm and camera.', ROBOTS),
    Argument(
        'arm_address',
        '',
        'Network address of the arm; needed for robot:=real. A simulated arm takes any loopback '
        'address; when empty 127.0.0.1, and in a namespace a free one of its own.',
    ),
    Argument('arm', '', 'Model of the arm; fr3 when empty.', ('', *ARMS)),
    Argument(
        'arm_prefix',
        '',
        'What the names of joints and frames begin with, as in left_, so that arms share none.',
    ),
    Argument('namespace', '', 'Namespace of every node, for several arms side by side.'),
    Argument(
        'camera',
        '',
        'Who publishes pictures: the simulated cell, or a camera driver that is started by itself. '
        "When empty that of the robot: the cell's for sim, a driver's for real.",
        ('', *CAMERAS),
    ),
    Argument(
        'cell',
        '',
        'Which simulated cell: 0 when empty, the one that the shipped model knows; any other '
        'number is one with another camera, table, light and cube.',
    ),
    Argument('image', '', 'Topic of the camera, such as /camera/color/image_raw.'),
    Argument(
        'transport',
        '',
        'How pictures come, as image_transport names it: compressed is heard on '
        '<image>/compressed. When empty as the parameter `topics` of world_model says.',
        ('', *TRANSPORTS),
    ),
    Argument('model', '', 'World model: a name of `ros2 run jepa_wm_ros model list`, or a file.'),
    Argument('planner', '', "Planner in place of the profile's.", ('', *PLANNERS)),
    Argument('profile', '', 'Planning profile: a name in config/profiles, or a file.'),
    Argument('params_file', '', 'Parameters of every node; config/params.yaml when empty.'),
    Argument(
        'discovery',
        '',
        'Who may join the graph, and move the arm: this host alone, or every host of the subnet '
        'and ROS domain. When empty ROS_AUTOMATIC_DISCOVERY_RANGE, ROS_LOCALHOST_ONLY or '
        'ROS_STATIC_PEERS decide, and localhost without them.',
        ('', *DISCOVERIES),
    ),
    Argument('use_sim_time', 'false', 'Take the time from /clock.', ('true', 'false')),
    Argument('log_level', '', 'What nodes log; info when empty.', ('', *LOG_LEVELS)),
    Argument(
        'gallery',
        'false',
        'Start the goal gallery: pictures of the goal library to click in RViz.',
        ('true', 'false'),
    ),
    Argument('rviz', 'false', 'Start RViz as well, and with it the gallery.', ('true', 'false')),
)


def read(words: Sequence[str], known: Sequence[Argument] = PLAN) -> dict[str, Any]:
    """The values in words like robot:=sim, switches as booleans. Raises BringupError for a word
    that is none of the `known` arguments and for a value that is none of its choices.
    """
    named = {argument.name: argument for argument in known}
    given: dict[str, Any] = {}
    for word in words:
        name, assigned, value = word.partition(':=')
        if not assigned or name not in named:
            raise BringupError(
                f'argument {word!r} is not known; give name:=value with one of {", ".join(named)}'
            )
        choices = named[name].choices
        if choices and value not in choices:
            raise BringupError(
                f'{name}:={value} is not known; use one of {", ".join(filter(None, choices))}'
            )
        given[name] = value == 'true' if 'true' in choices else value
    return given


def show(known: Sequence[Argument] = PLAN) -> str:
    """What the arguments are, for people."""
    lines = []
    for argument in known:
        choices = f' ({", ".join(filter(None, argument.choices))})' if argument.choices else ''
        lines += [f'{argument.name}:={argument.default}', f'    {argument.description}{choices}']
    return '\n'.join(lines)
