# SPDX-License-Identifier: Apache-2.0
"""Reach goal pictures: `ros2 launch jepa_wm_ros plan.launch.py robot:=sim`.

What is started is described in jepa_wm_ros/bringup.py, which `make demo` uses as well; the end of
any node ends all of them.
"""

from launch import LaunchDescription

from jepa_wm_ros import arguments, bringup
from jepa_wm_ros.ros import launching


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the nodes that follow from them."""
    return launching.description(__file__, arguments.PLAN, start)


def start(**given) -> list:
    """The nodes of the system that these arguments describe."""
    return launching.nodes(bringup.plan_processes(**given))
