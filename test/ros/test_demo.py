# SPDX-License-Identifier: Apache-2.0
"""What the demo writes down of a run."""

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_msgs.action import ReachGoal  # noqa: E402

from jepa_wm_ros.ros.demo.cell import StepWatch  # noqa: E402

pytestmark = pytest.mark.ros
Said = ReachGoal.Feedback


def test_each_plan_counts_once_with_the_cost_seen_after_its_last_motion():
    told = [
        Said(phase=Said.WAITING_FOR_OBSERVATION, cost=0.5),
        Said(phase=Said.PLANNING, cost=0.5),
        *(Said(phase=Said.MOVING, step=n, cost=0.5, planning_seconds=0.1) for n in (1, 2)),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=2, cost=0.2),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=2, cost=0.19),
        Said(phase=Said.MOVING, step=3, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.MOVING, step=4, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.REPLAN_STATE_CHANGED, step=3, cost=0.19, planning_seconds=0.3),
        Said(phase=Said.WAITING_FOR_OBSERVATION, step=3, cost=0.0),
        Said(phase=Said.REACHED, step=3, cost=0.0),
    ]

    steps = []
    watch = StepWatch(lambda *step: steps.append(step))
    for said in told:
        watch(said)
    assert steps == [(0, 0.5, 0.0), (2, 0.2, 0.1), (3, 0.0, 0.3)]
    assert len(watch.latencies) == 4
