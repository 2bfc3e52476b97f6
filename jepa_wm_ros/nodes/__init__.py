# SPDX-License-Identifier: Apache-2.0
"""Thin ROS 2 nodes: what each declares, hears and says. The only room that imports rclpy."""
