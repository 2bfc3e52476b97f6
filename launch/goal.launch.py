# SPDX-License-Identifier: Apache-2.0
"""Start a system and reach one goal with it: `ros2 launch jepa_wm_ros goal.launch.py goal:=a.png`.

plan.launch.py with all its arguments, and the command `reach`, whose end ends everything.
"""

from launch import LaunchDescription

from jepa_wm_ros import bringup, resources
from jepa_wm_ros.arguments import Argument
from jepa_wm_ros.ros import launching

ARGUMENTS = (
    Argument('goal', '', 'Goal picture; several, with commas between, are reached in order.'),
    Argument('max_steps', '0', "Steps after which the goal is given up; 0: the planner's."),
    Argument('namespace', '', 'Namespace of every node.'),
)


def generate_launch_description() -> LaunchDescription:
    """The command, and the system it asks."""
    return launching.description(__file__, ARGUMENTS, start, 'plan.launch.py')


def start(goal: str, max_steps: str, namespace: str) -> list:
    """The command that asks for the goal. Raises BringupError when a picture is not there."""
    pictures = [str(bringup.existing_file(path, 'goal')) for path in goal.split(',')]
    reach = bringup.find_executable(resources.PACKAGE, 'reach')
    limits = ['--max-steps', max_steps, '--namespace', namespace]
    return launching.command([*reach, *pictures, *limits], 'reach')
