# SPDX-License-Identifier: Apache-2.0
"""Faults injected into the running graph: real nodes as processes, DDS, franky, the simulated arm.

A node is frozen (SIGSTOP) or killed (SIGKILL) while a goal runs. The judge is the simulator's own
hand position, which no node but this test hears.
"""

import os
import signal

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from support.running_cell import Goal, frozen, mend, running_cell  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
STANDS = 0.002  # m between two looks at an arm that stands
NOTICED = 6.0  # s: leaseDuration of config/fastdds.xml, a look at it, and an answer
FIRST_STEP = 1


@pytest.fixture(scope='module')
def cell(new_arm_address):
    with running_cell(new_arm_address()) as cell:
        yield cell


def stands(cell) -> None:
    """See the arm rest, by three looks at the simulator's truth."""
    looks = [cell.hand_position() for _ in range(4)]
    assert max(np.linalg.norm(b - a) for a, b in zip(looks, looks[1:], strict=False)) < STANDS


@pytest.mark.fault(1)
def test_a_camera_that_stalls_is_waited_for_and_then_ends_the_goal(cell, reaction):
    goal = Goal(cell)
    goal.moves()
    with frozen(cell.pid('sim_cell')):
        reaction.begin()
        waiting = goal.until(
            lambda said: (
                said.phase == said.WAITING_FOR_OBSERVATION and said.step and np.isnan(said.cost)
            )
        )
        assert waiting.step == FIRST_STEP
        result = goal.end()
        reaction.seen()
    assert result.error_code == FaultCode.STALE_IMAGE and result.steps == FIRST_STEP
    stands(cell)


@pytest.mark.fault(7)
def test_a_lost_world_model_ends_the_goal_soon(cell, reaction):
    goal = Goal(cell)
    goal.moves()
    with frozen(cell.pid('world_model')):
        reaction.begin()
        result = goal.end()
        seconds = reaction.seen()
        stands(cell)
    assert result.error_code == FaultCode.MODEL_LOST
    assert seconds < NOTICED
    cell._meet('world_model')


@pytest.mark.fault(5)
def test_a_planner_that_wakes_does_not_go_on_unasked(cell, reaction):
    goal = Goal(cell)
    goal.moves()
    with frozen(cell.pid('planner')):
        reaction.begin()
        before = cell.hand_position()
        looks = [cell.hand_position() for _ in range(25)]  # at ten a second
        still = next(i for i in range(25) if np.linalg.norm(looks[i] - looks[-1]) < STANDS)
        assert still < 24
        assert np.linalg.norm(looks[-1] - before) <= FR3.max_step + STANDS
    result = goal.end()
    reaction.seen()
    assert getattr(result, 'error_code', None) == FaultCode.CONTROLLER_LOST or goal.error
    assert np.linalg.norm(cell.hand_position() - looks[-1]) < STANDS, 'it went on'


@pytest.mark.fault(6)
@pytest.mark.fault(3)
def test_a_frozen_controller_ends_the_goal_and_its_old_motion_is_not_taken_up(cell, reaction):
    goal = Goal(cell)
    goal.moves()
    with frozen(cell.pid('franka_controller')):
        reaction.begin()
        result = goal.end()
        seconds = reaction.seen()
        stands(cell)
        before = cell.hand_position()
    assert result.error_code == FaultCode.CONTROLLER_LOST
    assert 'not known whether the arm stands' in result.error_msg
    assert seconds < 2.5  # controller_timeout is 1 s, and a silent one is not asked for long
    assert mend(cell) == []
    moved = np.linalg.norm(cell.hand_position() - before)
    assert moved < STANDS, 'a controller that wakes took its old motion up'


@pytest.mark.fault(24)
def test_a_cancel_while_moving_ends_the_goal_when_the_arm_stands(cell, reaction):
    goal = Goal(cell)
    goal.moves()
    reaction.begin()
    cell.cancel()
    result = goal.end()
    reaction.seen()
    assert result.error_code == FaultCode.CANCELED
    stands(cell)


@pytest.mark.fault(6)
def test_a_killed_controller_ends_the_goal_and_the_arm_within_its_step(cell, reaction):
    """The last one: nothing is left to bring the arm back."""
    goal = Goal(cell)
    goal.moves()
    before = cell.hand_position()
    os.kill(cell.pid('franka_controller'), signal.SIGKILL)
    reaction.begin()
    result = goal.end()
    reaction.seen()
    assert result.error_code == FaultCode.CONTROLLER_LOST
    stands(cell)
    assert np.linalg.norm(cell.hand_position() - before) <= FR3.max_step + STANDS
