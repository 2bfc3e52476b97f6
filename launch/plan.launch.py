# SPDX-License-Identifier: Apache-2.0
"""Reach goal pictures: `ros2 launch jepa_wm_ros plan.launch.py robot:=sim`.

What is started is described in jepa_wm_ros/bringup.py, which `make demo` uses as well; the end of
any node ends all of them.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from jepa_wm_ros import bringup


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the nodes that follow from them."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    argument.name,
                    default_value=argument.default,
                    description=argument.description,
                    choices=list(argument.choices) or None,
                )
                for argument in bringup.ARGUMENTS
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context) -> list:
    """The nodes for the arguments' present values."""
    words = [
        f'{argument.name}:={LaunchConfiguration(argument.name).perform(context)}'
        for argument in bringup.ARGUMENTS
    ]
    actions = []
    for process in bringup.plan_processes(**bringup.read_arguments(words)):
        node = Node(
            package=process.package,
            executable=process.executable,
            name=process.name,
            namespace=process.namespace,
            arguments=list(process.arguments),
            parameters=[
                *filter(None, [process.params_file and str(process.params_file)]),
                *filter(None, [dict(process.parameters)]),
            ],
            remappings=list(process.remappings),
            additional_env=dict(process.environment),
            output='screen',
        )
        ending = EmitEvent(event=Shutdown(reason=f'{process.name} ended'))
        actions += [node, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=[ending]))]
    return actions
