# SPDX-License-Identifier: Apache-2.0
"""The arm and its gripper through franky, and the safety envelope as pure functions."""
