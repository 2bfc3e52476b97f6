# SPDX-License-Identifier: Apache-2.0
"""Acting towards goals, without ROS: one loop over ports, goal pictures, gripper, sessions."""
