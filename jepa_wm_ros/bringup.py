# SPDX-License-Identifier: Apache-2.0
"""What a running system consists of, and the command that starts it where `launch` is missing.

`plan_processes` is the one list of nodes: launch/plan.launch.py starts it under an installed ROS,
and `python -m jepa_wm_ros.bringup robot:=sim` (or a `ProcessGroup`) the same executables with
the same arguments from the wheels. Nothing here imports ROS.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from jepa_wm_ros import output, resources
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import ARMS, FR3, arm_named
from jepa_wm_ros.processes import ProcessGroup

ROBOTS = ('sim', 'real')
PLANNERS = ('cem', 'nevergrad', 'gd', 'adam', 'mppi', 'icem')
DISCOVERIES = ('localhost', 'subnet')
RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
SIM_ADDRESS = '127.0.0.1'
SIM_SECONDS = 60.0  # for a simulated arm to start


class BringupError(JepaWmError):
    """A system that cannot be started as it was asked for."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of plan.launch.py; an empty value leaves the parameter file's in force."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS = (
    Argument('robot', 'sim', 'The simulated cell, or a real arm and camera.', ROBOTS),
    Argument(
        'arm_address',
        '',
        'Network address of the arm; needed for robot:=real. A simulated '
        f'arm takes any loopback address ({SIM_ADDRESS} when empty).',
    ),
    Argument('arm', '', 'Model of the arm; fr3 when empty.', ('', *ARMS)),
    Argument(
        'arm_prefix',
        '',
        'What the names of joints and frames begin with, as in left_, so that arms share none.',
    ),
    Argument('namespace', '', 'Namespace of every node, for several arms side by side.'),
    Argument('model', '', 'World model: a name of `ros2 run jepa_wm_ros model list`, or a file.'),
    Argument('planner', '', "Planner in place of the profile's.", ('', *PLANNERS)),
    Argument('profile', '', 'Planning profile: a name in config/profiles, or a file.'),
    Argument('params_file', '', 'Parameters of every node; config/params.yaml when empty.'),
    Argument(
        'discovery',
        '',
        'Who may join the graph, and move the arm: this host alone, or every host of the subnet '
        f'and ROS domain. When empty {RANGE}, ROS_LOCALHOST_ONLY or ROS_STATIC_PEERS decide, and '
        'localhost without them.',
        ('', *DISCOVERIES),
    ),
    Argument('use_sim_time', 'false', 'Take the time from /clock.', ('true', 'false')),
    Argument(
        'gallery',
        'false',
        'Start the goal gallery: pictures of the goal library to click in RViz.',
        ('true', 'false'),
    ),
    Argument('rviz', 'false', 'Start RViz as well, and with it the gallery.', ('true', 'false')),
)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: a node and its parameters; `parameters` win over those of the file."""

    executable: str
    name: str
    package: str = resources.PACKAGE
    namespace: str = ''
    params_file: Path | None = None
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the caller's

    def command(self) -> list[str]:
        """The whole command line; BringupError when the executable is not installed."""
        return [str(find_executable(self.package, self.executable)), *self.ros_arguments()]

    def ros_arguments(self) -> list[str]:
        """The command line after the executable."""
        words = [*self.arguments, '--ros-args', '-r', f'__node:={self.name}']
        if self.namespace:
            words += ['-r', f'__ns:=/{self.namespace.strip("/")}']
        if self.params_file:
            words += ['--params-file', str(self.params_file)]
        for name, value in self.parameters.items():
            words += ['-p', f'{name}:={json.dumps(value)}']
        for source, target in self.remappings:
            words += ['-r', f'{source}:={target}']
        return words


def plan_processes(
    robot: str = 'sim',
    *,
    arm_address: str = '',
    arm: str = '',
    arm_prefix: str = '',
    namespace: str = '',
    model: str = '',
    planner: str = '',
    profile: str = '',
    params_file: str | Path = '',
    discovery: str = '',
    use_sim_time: bool = False,
    gallery: bool = False,
    rviz: bool = False,
) -> tuple[ProcessSpec, ...]:
    """The processes that reach goal pictures, in the order of their start; see ARGUMENTS.

    Raises BringupError for a robot, planner or discovery that is not known, a real robot without an
    address, a simulated arm of another model, and a parameter file that is not there; JepaWmError
    for a prefix that begins no name.
    """
    if robot not in ROBOTS:
        raise BringupError(f'robot {robot!r} is not known; use {" or ".join(ROBOTS)}')
    if planner and planner not in PLANNERS:
        raise BringupError(f'planner {planner!r} is not known; use one of {", ".join(PLANNERS)}')
    if robot == 'real' and not arm_address:
        raise BringupError('robot real needs the address of the arm: arm_address:=172.16.0.2')
    if robot == 'sim' and arm not in ('', FR3.name):
        raise BringupError(f'the simulated cell has an {FR3.name}: arm:={arm} needs robot:=real')
    named = arm_named(arm or FR3.name, arm_prefix)
    frame = {'base_frame': named.base_frame} if arm or arm_prefix else {}
    parameters = Path(params_file) if params_file else resources.find('config', 'params.yaml')
    if not parameters.is_file():
        raise BringupError(f'parameter file {parameters} does not exist; give one as params_file')
    address = arm_address or SIM_ADDRESS
    environment = dds_environment(discovery)

    def node(name: str, **given) -> ProcessSpec:
        values = {key: value for key, value in given.items() if value != ''}
        if use_sim_time:
            values['use_sim_time'] = True
        return ProcessSpec(
            name,
            name,
            namespace=namespace,
            params_file=parameters,
            parameters=values,
            environment=environment | _enclave(name),
        )

    # A simulated arm starts beside its controller, and may take a while to answer.
    patience = {'connect_timeout': SIM_SECONDS} if robot == 'sim' else {}
    processes = [  # stopped from the last to the first: the arm stands before anything else ends
        node('world_model', model=model, **frame),
        node('planner', planner=planner, profile=profile, **frame),
        node('franka_controller', arm_address=address, arm=arm, arm_prefix=arm_prefix, **patience),
    ]
    if robot == 'sim':
        processes.insert(0, node('sim_cell', arm_address=address, arm_prefix=arm_prefix))
    if gallery or rviz:
        processes.insert(0, node('goal_gallery', arm=arm, arm_prefix=arm_prefix))
    if rviz:
        processes.insert(
            0,
            ProcessSpec(
                'rviz2',
                'rviz2',
                package='rviz2',
                namespace=namespace,
                environment=environment | _enclave('operator'),
                arguments=(
                    '-d',
                    str(resources.find('config', 'plan.rviz')),
                    '-f',
                    named.base_frame,
                ),
            ),
        )
    return tuple(processes)


def read_arguments(words: list[str]) -> dict:
    """Keyword arguments of `plan_processes` from words like robot:=sim; BringupError if unknown."""
    known = {argument.name: argument for argument in ARGUMENTS}
    given = {}
    for word in words:
        name, assigned, value = word.partition(':=')
        if not assigned or name not in known:
            raise BringupError(
                f'argument {word!r} is not known; give name:=value with one of {", ".join(known)}'
            )
        choices = known[name].choices
        if choices and value not in choices:
            raise BringupError(
                f'{name}:={value} is not known; use one of {", ".join(filter(None, choices))}'
            )
        given[name] = value == 'true' if 'true' in choices else value
    return given


def dds_environment(discovery: str = '') -> dict[str, str]:
    """Variables that say how far the graph reaches, and let Fast DDS carry pictures whole.

    See the argument `discovery`. A profile of Fast DDS that is already set stays as it is.
    """
    if discovery not in ('', *DISCOVERIES):
        raise BringupError(
            f'discovery {discovery!r} is not known; use {" or ".join(DISCOVERIES)}, or leave it '
            f'empty and set {RANGE}'
        )
    if discovery == 'subnet' and os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        raise BringupError('discovery:=subnet is in vain with ROS_LOCALHOST_ONLY=1: unset it')
    if not discovery and not {RANGE, 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'} & os.environ.keys():
        discovery = 'localhost'
    local = discovery == 'localhost' or (not discovery and _stays_on_this_host())
    reach = {RANGE: discovery.upper()} if discovery else {}
    return _fast_dds_profile('fastdds_localhost.xml' if local else 'fastdds.xml') | reach


def _stays_on_this_host() -> bool:
    """Whether ROS's own variables keep the graph here."""
    if os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        return True
    near = os.environ.get(RANGE, '').upper() in ('LOCALHOST', 'OFF')
    return near and 'ROS_STATIC_PEERS' not in os.environ


def _fast_dds_profile(name: str) -> dict[str, str]:
    old, new = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
    if old in os.environ or new in os.environ:
        return {}
    variable = old if ros_distro() in ('humble', 'iron', 'jazzy') else new
    return {variable: str(resources.find('config', name))}


def _enclave(name: str) -> dict[str, str]:
    """Under SROS 2, the variable that names the keys of a process (config/security/policy.xml),
    unless all processes share what the user has named.
    """
    override = 'ROS_SECURITY_ENCLAVE_OVERRIDE'
    if os.environ.get('ROS_SECURITY_ENABLE') != 'true' or override in os.environ:
        return {}
    return {override: f'/{resources.PACKAGE}/{name}'}


def ros_distro() -> str:
    """Name of the ROS distribution of this Python, from wheels or sourced; empty without one."""
    for name in ('jazzy', 'kilted'):
        try:
            metadata.version(f'ros-{name}-rclpy')
        except metadata.PackageNotFoundError:
            continue
        return name
    return os.environ.get('ROS_DISTRO', '')


def find_executable(package: str, executable: str) -> Path:
    """An executable of a package: in a sourced workspace, else beside this Python (pip)."""
    prefixes = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    places = [Path(prefix) / 'lib' / package / executable for prefix in prefixes]
    places.append(Path(sys.executable).parent / executable)
    for place in places:
        if os.access(place, os.X_OK) and place.is_file():
            return place
    raise BringupError(
        f'executable {executable} of {package} is not installed (looked for '
        f'{", ".join(map(str, places))}): make setup, or build and source the '
        'workspace'
    )


def main(words: list[str] | None = None) -> None:
    """Entry point: run the system of the given arguments until Ctrl-C or the first end."""
    words = sys.argv[1:] if words is None else words
    if {'-h', '--help', '-s', '--show-args'} & set(words):
        for argument in ARGUMENTS:
            choices = f' ({", ".join(filter(None, argument.choices))})' if argument.choices else ''
            print(f'{argument.name}:={argument.default}\n    {argument.description}{choices}')
        return
    try:
        processes = plan_processes(**read_arguments(words))
        output.never_wait()  # a terminal that stands still must not hold up who reads the nodes
        with ProcessGroup(processes, echo=True) as group:
            group.wait()
            group.check()
    except KeyboardInterrupt:
        sys.exit(130)
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
