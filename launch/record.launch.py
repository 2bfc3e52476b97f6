# SPDX-License-Identifier: Apache-2.0
"""Start a system and record a bag of it: `ros2 launch jepa_wm_ros record.launch.py bag:=my_bag`.

plan.launch.py with all its arguments, and `ros2 bag record` of what `evaluate_bag` reads and of
what the arm was told; Ctrl-C ends both.
"""

from pathlib import Path

from launch import LaunchDescription

from jepa_wm_ros.arguments import TRANSPORTS, Argument, BringupError
from jepa_wm_ros.ros import launching

ARGUMENTS = (
    Argument('bag', 'recording', 'Folder to record into; it must not exist yet.'),
    Argument('namespace', '', 'Namespace of every node.'),
    Argument('image', '', 'Topic of the camera; image when empty.'),
    Argument('transport', '', 'raw, or compressed for <image>/compressed.', ('', *TRANSPORTS)),
)
STATES = ('ee_pose', 'joint_states', 'arm_status', 'command')


def generate_launch_description() -> LaunchDescription:
    """The recorder, and the system it listens to."""
    return launching.description(__file__, ARGUMENTS, start, 'plan.launch.py')


def start(bag: str, namespace: str, image: str, transport: str) -> list:
    """The recorder. Raises BringupError when it is not installed or the folder is taken."""
    if Path(bag).exists():
        raise BringupError(f'{bag} exists already; give another folder as bag:=')
    launching.need('ros2bag')
    picture = (image or 'image') + ('/compressed' if transport == 'compressed' else '')
    topics = [launching.full_name(namespace, topic) for topic in (picture, *STATES)]
    return launching.command(['ros2', 'bag', 'record', '-o', bag, *topics], 'recorder')
