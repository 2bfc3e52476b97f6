# SPDX-License-Identifier: Apache-2.0
"""A script's commander: what it holds of DDS goes when it does."""

import gc
import os
import threading
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

import rclpy  # noqa: E402
from rclpy.exceptions import InvalidHandle  # noqa: E402

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


def test_an_entity_that_is_released_while_it_is_looked_at_ends_no_commander(
    ros_domain, monkeypatch
):
    with JepaCommander() as commander:
        executor, gone, answered = commander._executor, threading.Event(), threading.Event()
        once = executor.spin_once

        def raced(*args, **options):
            monkeypatch.setattr(executor, 'spin_once', once)
            gone.set()
            raise InvalidHandle('cannot use Destroyable because destruction was requested')

        monkeypatch.setattr(executor, 'spin_once', raced)
        executor.create_task(lambda: None)  # wakes it
        assert gone.wait(5.0)
        executor.create_task(answered.set)
        assert answered.wait(5.0)
