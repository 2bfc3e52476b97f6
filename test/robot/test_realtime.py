# SPDX-License-Identifier: Apache-2.0
"""Precedence over processes that are busy, where the system allows it."""

import os
import threading

import pytest

from jepa_wm_ros.robot import realtime

pytestmark = pytest.mark.real_time


def in_a_thread(function):
    """What `function` returns in a thread of its own: this process is to stay as it is."""
    said = []
    thread = threading.Thread(target=lambda: said.append(function()))
    thread.start()
    thread.join()
    return said[0]


def test_threads_started_after_it_take_precedence_too():
    def policies():
        taken = realtime.take_precedence()
        return taken, os.sched_getscheduler(0), in_a_thread(realtime.scheduling)

    allowed, policy, inherited = in_a_thread(policies)
    if not allowed:
        pytest.skip('this user may not have real-time priority')
    assert (policy, inherited) == (os.SCHED_FIFO, 'real-time')
    assert realtime.scheduling() == 'usual'  # of the thread that did not ask


def test_where_it_is_not_allowed_everything_stays_as_it_is(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    assert realtime.take_precedence() is False
    assert realtime.scheduling() == 'usual'
