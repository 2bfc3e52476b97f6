# SPDX-License-Identifier: Apache-2.0
"""Ten minutes of goals and random faults; and bring-up and shut-down again and again."""

import os
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from soak import NODES, run  # noqa: E402

from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]
MINUTES = float(os.environ.get('SOAK_MINUTES', '10'))
ROUNDS = int(os.environ.get('SOAK_ROUNDS', '200'))
MOST_GROWTH = 1.0  # % per 10 minutes


def test_nothing_moves_unasked_and_every_goal_has_its_end(new_arm_address, tmp_path):
    figures = run(MINUTES, 1, tmp_path, new_arm_address())
    assert figures['unexpected_motions'] == 0
    assert figures['goals_without_result'] == 0
    assert figures['leaked_processes'] == []
    assert max(figures['memory_growth_percent_per_10_min'].values()) < MOST_GROWTH


def test_bring_up_and_shut_down_leave_nothing_behind(new_arm_address):
    def shared():
        return {path.name for path in Path('/dev/shm').iterdir()}

    address, before = new_arm_address(), shared()
    for number in range(1, ROUNDS + 1):
        with ProcessGroup(plan_processes(arm_address=address)) as group:
            pids = [group.pid(name) for name in NODES]
            with DemoCell(group) as cell:
                cell.wait_until_ready()
        assert not [pid for pid in pids if Path(f'/proc/{pid}').exists()]
        print(f'round {number} of {ROUNDS}')
    assert not shared() - before
