# SPDX-License-Identifier: Apache-2.0
"""A script's commander: what it holds of DDS goes when it does."""

import gc
import os
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402

from jepa_wm_ros.ros.commander import JepaCommander  # noqa: E402

pytestmark = pytest.mark.ros


def held() -> set[str]:
    """The locks of Fast DDS's shared memory that this process has open."""
    links = (os.readlink(path) for path in Path('/proc/self/fd').iterdir() if path.is_symlink())
    return {link for link in links if 'fastrtps' in link}


def test_what_dds_holds_for_a_commander_goes_when_it_does_and_not_when_python_finds_time(
    ros_domain,
):
    gc.collect()
    gc.disable()
    try:
        before = held()
        for _ in range(2):
            with JepaCommander() as first, JepaCommander() as second:
                assert len(held() - before) >= 2
                assert first.node.context is not second.node.context
            assert held() <= before
    finally:
        gc.enable()


def test_a_commander_joins_the_context_of_a_program_that_has_one(ros_domain):
    rclpy.init()
    try:
        with JepaCommander() as commander:
            assert commander.node.context is rclpy.get_default_context()
        assert rclpy.ok()
    finally:
        rclpy.try_shutdown()
