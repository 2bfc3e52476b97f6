# SPDX-License-Identifier: Apache-2.0
"""What the files in launch/ are made of. It needs `launch`, which comes with an installed ROS 2.

Whatever cannot start is found before anything does, and whatever ends the launch ends all of it: a
process that ends, Ctrl-C, an error, and also a launch that is killed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from ament_index_python.packages import get_packages_with_prefixes
from launch import Action, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from jepa_wm_ros import arguments, resources
from jepa_wm_ros.arguments import Argument, BringupError
from jepa_wm_ros.bringup import ProcessSpec, check_installed


def description(
    file: str, known: Sequence[Argument], start: Callable[..., list[Action]], *included: str
) -> LaunchDescription:
    """The launch file `file`: it takes these arguments, includes those other files of ours, and
    starts what `start(name=value, ...)` returns. The values of all of them are judged, and what
    they need is looked for, before the first process is started.
    """
    ready: list[Action] = []

    def judge(context) -> None:
        _refuse_unknown(context.argv, file, whole.get_launch_arguments())
        words = [f'{a.name}:={LaunchConfiguration(a.name).perform(context)}' for a in known]
        ready[:] = start(**arguments.read(words, known))

    whole = LaunchDescription(
        [
            *map(_declared, known),
            OpaqueFunction(function=judge),
            *(
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(resources.find('launch', name)))
                )
                for name in included
            ),
            OpaqueFunction(function=lambda _: ready),
        ]
    )
    return whole


def nodes(processes: Sequence[ProcessSpec]) -> list[Action]:
    """These processes, of which the first that ends ends the launch. Raises BringupError when one
    of them is not installed.
    """
    check_installed(processes)
    return [action for process in processes for action in ending(_node(process), process.name)]


def ending(process: ExecuteProcess, name: str) -> list[Action]:
    """A process whose end is the end of the launch."""
    end = EmitEvent(event=Shutdown(reason=f'{name} ended'))
    return [process, RegisterEventHandler(OnProcessExit(target_action=process, on_exit=[end]))]


def command(words: Sequence[str], name: str) -> list[Action]:
    """A command whose end is the end of the launch. Raises BringupError when it is not there."""
    if shutil.which(words[0]) is None:
        raise BringupError(f'command {words[0]} is not installed or not on the PATH')
    return ending(
        ExecuteProcess(cmd=list(words), name=name, output='screen', prefix=_prefix()), name
    )


def need(package: str) -> None:
    """Raise BringupError when a ROS package is not installed."""
    if package not in get_packages_with_prefixes():
        raise BringupError(
            f'{package} is not installed: apt-get install '
            f'ros-$ROS_DISTRO-{package.replace("_", "-")}'
        )


def full_name(namespace: str, topic: str) -> str:
    """The full name of a topic that a node in this namespace calls so."""
    return str(PurePosixPath('/', namespace.strip('/'), topic))


def _declared(argument: Argument) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        argument.name,
        default_value=argument.default,
        description=argument.description,
        choices=list(argument.choices) or None,
    )


def _node(process: ProcessSpec) -> Node:
    files = [str(process.params_file)] if process.params_file else []
    return Node(
        package=process.package,
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        arguments=list(process.arguments),
        ros_arguments=['--log-level', process.log_level] if process.log_level else None,
        parameters=[*files, *filter(None, [dict(process.parameters)])],
        remappings=list(process.remappings),
        additional_env=dict(process.environment),
        output='screen',
        prefix=_prefix(),
    )


def _prefix() -> list:
    """Have the kernel terminate a process when the launch is gone, however that went."""
    user = LaunchConfiguration('launch-prefix', default='')
    return ['setpriv --pdeathsig TERM ' if shutil.which('setpriv') else '', user]


def _refuse_unknown(words: Sequence[str], file: str, declared: list[DeclareLaunchArgument]) -> None:
    """Raise BringupError for a word of the command line that none of the arguments is called; a
    file that was included knows only some of them.
    """
    if not any(Path(word).name == Path(file).name for word in sys.argv):
        return
    names = {argument.name for argument in declared}
    for word in words:
        if word.partition(':=')[0] not in names:
            raise BringupError(
                f'argument {word!r} is not known; {Path(file).name} takes '
                f'{", ".join(sorted(names))}'
            )
