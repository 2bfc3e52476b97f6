# SPDX-License-Identifier: Apache-2.0
"""The reach loop and a cost that jumps: another scene, or somebody who moves the arm."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_wm_ros.errors import FaultCode
from support.toy_cell import DONE, MOVED, ToyCell, reach


class Distracted(ToyCell):
    """From the second step on the cost is that of another scene."""

    def observe(self, goal_id, not_before):
        seen = super().observe(goal_id, not_before)
        return replace(seen, distance=2.0) if len(self.targets) >= 2 else seen


def test_a_cost_that_jumps_ends_the_goal_before_another_step():
    cell = Distracted()
    outcome = reach(cell)
    assert outcome.code is FaultCode.UNFAMILIAR_VIEW and len(cell.targets) == 2
    assert cell.stops == 1 and '\n' not in outcome.message


class Guided(ToyCell):
    """Someone takes the hand 2 m away whenever a motion is not carried out for that."""

    def move(self, target, planned_from, gripper):
        motion = super().move(target, planned_from, gripper)
        if motion.outcome is MOVED:
            self.pose[1] -= 2.0
        return motion


@pytest.mark.parametrize('steps_executed', [1, 2])
def test_a_cost_that_jumps_because_someone_moved_the_arm_is_no_other_scene(steps_executed):
    cell = Guided(outcomes=[DONE, MOVED])
    outcome = reach(cell, steps=80, steps_executed=steps_executed)
    assert outcome.code is FaultCode.SUCCEEDED


def test_the_next_goal_may_be_farther_than_the_last():
    far = [np.array([0.5, 0.05, 0.3]), np.array([0.5, 3.0, 0.3])]
    outcome = reach(ToyCell(goals=far), steps=80)
    assert outcome.code is FaultCode.SUCCEEDED
