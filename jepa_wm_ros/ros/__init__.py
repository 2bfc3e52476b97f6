# SPDX-License-Identifier: Apache-2.0
"""The ROS graph: the only room that imports rclpy."""
