# SPDX-License-Identifier: Apache-2.0
"""What a running system consists of, and the command that starts it where `launch` is missing.

`plan_processes` is the one list of nodes: launch/plan.launch.py starts it under an installed ROS,
and `jepa-wm bringup robot:=sim` (or a `ProcessGroup`) the same nodes with the same arguments from
the wheels. What cannot be started is found before anything is. Nothing here imports ROS.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jepa_wm_ros import arguments, cli, output, resources
from jepa_wm_ros.arguments import PLANNERS, ROBOTS, BringupError
from jepa_wm_ros.dds import dds_environment, enclave
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3, arm_named
from jepa_wm_ros.processes import ProcessGroup

SIM_ADDRESS = '127.0.0.1'
SIM_SECONDS = 60.0  # for a simulated arm to start
COMMAND_PORT = 1337  # where an arm waits for its controller


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
    log_level: str = ''
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the caller's

    def command(self) -> list[str]:
        """The whole command line; BringupError when the executable is not installed."""
        return [*find_executable(self.package, self.executable), *self.ros_arguments()]

    def ros_arguments(self) -> list[str]:
        """The command line after the executable."""
        words = [*self.arguments, '--ros-args', '-r', f'__node:={self.name}']
        if self.namespace:
            words += ['-r', f'__ns:=/{self.namespace.strip("/")}']
        if self.log_level:
            words += ['--log-level', self.log_level]
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
    camera: str = '',
    cell: str = '',
    image: str = '',
    transport: str = '',
    model: str = '',
    planner: str = '',
    profile: str = '',
    params_file: str | Path = '',
    discovery: str = '',
    use_sim_time: bool = False,
    log_level: str = '',
    gallery: bool = False,
    rviz: bool = False,
) -> tuple[ProcessSpec, ...]:
    """The processes that reach goal pictures, in the order of their start; see arguments.PLAN.

    Raises BringupError for what cannot be started so: a robot, planner or discovery that is not
    known, a real robot without an address, a simulated arm of another model, a simulated camera
    beside a real arm, and a file that is not there; JepaWmError for a prefix that begins no name.
    """
    _check_robot(robot, arm_address, arm)
    if planner and planner not in PLANNERS:
        raise BringupError(f'planner {planner!r} is not known; use one of {", ".join(PLANNERS)}')
    number = {'cell': _cell(robot, cell)} if cell else {}
    camera = _camera(robot, camera, compressed='compressed' in (transport, Path(image).name))
    parameters = existing_file(
        params_file or resources.find('config', 'params.yaml'), 'params_file'
    )
    if model.endswith('.safetensors') or '/' in model:
        existing_file(model, 'model')
    if profile:
        _check_profile(profile)
    named = arm_named(arm or FR3.name, arm_prefix)
    frame = {'base_frame': named.base_frame} if arm or arm_prefix else {}
    environment = dds_environment(discovery)
    clock = {'use_sim_time': True} if use_sim_time else {}

    def node(name: str, **given: bool | float | str) -> ProcessSpec:
        return ProcessSpec(
            name,
            name,
            namespace=namespace,
            params_file=parameters,
            parameters={key: value for key, value in given.items() if value != ''} | clock,
            log_level=log_level,
            environment=environment | enclave(name),
        )

    address = arm_address or (SIM_ADDRESS if not namespace else free_address(namespace))
    # A simulated arm starts beside its controller, and may take a while to answer.
    patience = {'connect_timeout': SIM_SECONDS} if robot == 'sim' else {}
    processes = [  # stopped from the last to the first: the arm stands before anything else ends
        node('world_model', model=model, image=image, transport=transport, **frame),
        node('planner', planner=planner, profile=profile, **frame),
        node('franka_controller', arm_address=address, arm=arm, arm_prefix=arm_prefix, **patience),
    ]
    if robot == 'sim':
        blind = {'pictures': False} if camera == 'topic' else {}
        simulated = node('sim_cell', arm_address=address, arm_prefix=arm_prefix, **number, **blind)
        names = _camera_names(image) if image and not blind else ()
        processes.insert(0, replace(simulated, remappings=names))
    if gallery or rviz:
        shown = node(
            'goal_gallery', arm=arm, arm_prefix=arm_prefix, image=image, transport=transport
        )
        processes.insert(0, shown)
    if rviz:
        view = ('-d', str(resources.find('config', 'plan.rviz')), '-f', named.base_frame)
        window = replace(node('rviz2'), package='rviz2', params_file=None, arguments=view)
        processes.insert(0, replace(window, environment=environment | enclave('operator')))
    return tuple(processes)


def _check_robot(robot: str, arm_address: str, arm: str) -> None:
    if robot not in ROBOTS:
        raise BringupError(f'robot {robot!r} is not known; use {" or ".join(ROBOTS)}')
    if robot == 'real' and not arm_address:
        raise BringupError('robot real needs the address of the arm: arm_address:=172.16.0.2')
    if robot == 'sim' and arm not in ('', FR3.name):
        raise BringupError(f'the simulated cell has an {FR3.name}: arm:={arm} needs robot:=real')


def _cell(robot: str, cell: str) -> int:
    """The number of the simulated cell."""
    if robot != 'sim':
        raise BringupError(f'cell:={cell} is a simulated cell: use robot:=sim')
    if not (cell.isascii() and cell.isdigit() and int(cell) < 2**31):
        raise BringupError(f'cell:={cell} is no number of a cell: give 0, 1, 2 and so on')
    return int(cell)


def _check_profile(profile: str) -> None:
    if profile.endswith(('.yaml', '.yml')):
        existing_file(profile, 'profile')
        return
    shipped = sorted(path.stem for path in resources.find('config', 'profiles').glob('*.yaml'))
    if profile not in shipped:
        raise BringupError(
            f'profile {profile!r} is not known; give a .yaml file or one of {", ".join(shipped)}'
        )


def _camera(robot: str, camera: str, compressed: bool) -> str:
    """Who publishes pictures: 'sim' or 'topic'."""
    camera = camera or ('sim' if robot == 'sim' else 'topic')
    if camera == 'sim' and robot != 'sim':
        raise BringupError(
            'camera:=sim shows the simulated arm: use robot:=sim, or camera:=topic and a driver'
        )
    if camera == 'sim' and compressed:
        raise BringupError(
            'the simulated camera says raw pictures only: transport:=compressed needs camera:=topic'
        )
    return camera


def _camera_names(image: str) -> tuple[tuple[str, str], ...]:
    """What a camera's two topics are called when its pictures are to be on the topic `image`."""
    folder, slash, _ = image.rpartition('/')
    return ('image', image), ('camera_info', f'{folder}{slash}camera_info')


def existing_file(path: str | Path, argument: str) -> Path:
    """The path, which an argument of that name gave. Raises BringupError when nothing is there."""
    if not path or not Path(path).expanduser().exists():
        raise BringupError(f'file {str(path)!r} does not exist; give another one as {argument}:=')
    return Path(path)


def free_address(namespace: str) -> str:
    """A loopback address for the simulated arm of a namespace, always the same one unless an arm is
    already served there; two namespaces started at once get two.
    """
    first = zlib.crc32(namespace.strip('/').encode())
    for shift in range(254):
        high, low = divmod((first + shift) % (254 * 254), 254)
        address = f'127.0.{high + 1}.{low + 1}'
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, COMMAND_PORT))
            return address
    raise BringupError(
        f'no loopback address is free for the simulated arm of namespace {namespace}: give one as '
        'arm_address:=127.x.y.z'
    )


def find_executable(package: str, executable: str) -> list[str]:
    """The words that start an executable: its file in a sourced workspace, else one of ours with
    this Python. Raises BringupError when it is not installed.
    """
    prefixes = filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))
    places = [Path(prefix) / 'lib' / package / executable for prefix in prefixes]
    for place in places:
        if os.access(place, os.X_OK) and place.is_file():
            return [str(place)]
    if package == resources.PACKAGE and executable in cli.CALLED:
        # -P: whatever lies in the folder that this was called from is not imported
        return [sys.executable, '-P', '-m', package, executable]
    raise BringupError(
        f'executable {executable} of {package} is not installed (looked for '
        f'{", ".join(map(str, places)) or "it in AMENT_PREFIX_PATH, which is empty"}): install '
        f'ros-$ROS_DISTRO-{package.replace("_", "-")} and source ROS, or do without it'
    )


def check_installed(processes: Sequence[ProcessSpec]) -> None:
    """Raise BringupError when one of the processes cannot be started."""
    for process in processes:
        process.command()


def main(words: list[str] | None = None) -> None:
    """Entry point: run the system of the given arguments until Ctrl-C or the first end."""
    words = sys.argv[1:] if words is None else words
    if {'-h', '--help', '-s', '--show-args'} & set(words):
        print(arguments.show())
        return
    try:
        processes = plan_processes(**arguments.read(words))
        check_installed(processes)
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
