# SPDX-License-Identifier: Apache-2.0
"""Prints when the simulated hand was where: lines of JSON, [s of time.monotonic(), x, y, z]."""

import json
import os
import time

import rclpy
from geometry_msgs.msg import PoseStamped

from jepa_wm_ros import bringup


def main() -> None:
    """Listen until killed."""
    os.environ.update(bringup.dds_environment())
    rclpy.init()
    node = rclpy.create_node('witness')
    node.create_subscription(PoseStamped, 'sim_cell/hand_pose', say, 1)
    rclpy.spin(node)


def say(message: PoseStamped) -> None:
    """Print one position."""
    p = message.pose.position
    print(json.dumps([time.monotonic(), p.x, p.y, p.z]), flush=True)


if __name__ == '__main__':
    main()
