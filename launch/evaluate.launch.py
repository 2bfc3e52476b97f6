# SPDX-License-Identifier: Apache-2.0
"""Score a model on recordings: `ros2 launch jepa_wm_ros evaluate.launch.py bag:=my_bag`.

The command `evaluate_bag` with the arguments that people change; nothing else is started, and
nothing moves.
"""

from launch import LaunchDescription

from jepa_wm_ros import bringup, resources
from jepa_wm_ros.arguments import Argument
from jepa_wm_ros.ros import launching

ARGUMENTS = (
    Argument('bag', '', 'Bag to evaluate on; several, with commas between.'),
    Argument('model', 'jepa_wm_cell', 'World model: a name, or a file.'),
    Argument('profile', 'paper', 'Planning profile: a name in config/profiles, or a file.'),
    Argument('topics', '', 'What is where in the bag: a name in config/topics, or a file.'),
    Argument('out', '', 'Folder of the report; out/bags/<bag> when empty.'),
)


def generate_launch_description() -> LaunchDescription:
    """The command alone."""
    return launching.description(__file__, ARGUMENTS, start)


def start(bag: str, model: str, profile: str, topics: str, out: str) -> list:
    """The command that evaluates. Raises BringupError when a bag is not there."""
    bags = [str(bringup.existing_file(path, 'bag')) for path in bag.split(',')]
    words = ['--model', model, '--planner', profile]
    for option, value in (('--topics', topics), ('--out', out)):
        words += [option, value] if value else []
    evaluate = bringup.find_executable(resources.PACKAGE, 'evaluate_bag')
    return launching.command([*evaluate, *bags, *words], 'evaluate_bag')
