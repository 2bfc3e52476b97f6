# SPDX-License-Identifier: Apache-2.0
"""The whole chain as the demo runs it: real nodes as processes, DDS, franky, the simulated arm.

The judge is the simulator's own hand position, which no node but this test hears.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.ros.commander import CommanderError  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402
from jepa_wm_ros.sim.variation import sample_reach_task  # noqa: E402
from support.paths import ROOT  # noqa: E402
from support.python_process import command  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
SEED = 4242


@pytest.fixture(scope='module')
def cell(new_arm_address):
    with (
        ProcessGroup(plan_processes(arm_address=new_arm_address())) as group,
        DemoCell(group) as demo,
    ):
        demo.wait_until_ready()
        yield demo


def away(cell, position):
    return float(np.linalg.norm(cell.hand_position() - position))


def test_the_arm_reaches_a_goal_picture(cell):
    picture, goal = cell.prepare(SEED)
    assert 0.09 < away(cell, goal) < 0.26
    steps = []
    result = cell.watch(picture, lambda *step: steps.append(step), [], max_steps=12)
    assert away(cell, goal) <= 0.04, result.error_msg
    assert not FaultCode(result.error_code).is_fault
    assert 2 <= result.steps == steps[-1][0] <= 12
    assert steps[-1][1] < 0.3 * steps[0][1], 'the latent distance falls on the way'
    assert result.best_cost <= result.cost


def test_what_a_plan_imagines_is_drawn_for_who_looks(cell):
    picture, _ = cell.prepare(SEED + 2)
    strips = []
    with cell.filming(lambda frame: None, strips.append):
        result = cell.reach([picture], max_steps=3)
    assert result.steps == 3 and len(strips) >= 2, 'one of each plan, the last may come too late'
    shapes = [strip.shape for strip in strips]
    assert all(wide == high * round(wide / high) >= high for high, wide, _ in shapes), shapes
    assert all(strip.std() > 5 for strip in strips)


@pytest.mark.fault(16)
def test_a_goal_that_is_already_seen_moves_nothing(cell):
    before = cell.hand_position()
    result = cell.reach([cell.picture()], max_steps=5)
    assert (result.error_code, result.steps) == (FaultCode.SUCCEEDED, 0)
    assert away(cell, before) < 0.001


@pytest.mark.slow
def test_random_steps_go_through_the_same_loop_and_stay_in_the_workspace(cell):
    cell.prepare(SEED)
    before = cell.hand_position()
    cell.walk(SEED, 3)
    assert 0.005 < away(cell, before) < 3 * FR3.max_step


@pytest.mark.parametrize(
    'example', ['capture_and_reach', pytest.param('reach_a_sequence', marks=pytest.mark.slow)]
)
def test_the_example_comes_back_to_where_its_picture_was_taken(cell, example):
    cell.home()
    script = ROOT / 'examples' / f'{example}.py'
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120.0)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert not FaultCode[re.match(r'\w+', last)[0]].is_fault
    assert float(re.search(r'([\d.]+) cm', last)[1]) <= 4.0, done.stdout


@pytest.mark.fault(24)
def test_a_cancel_while_moving_stops_the_arm_and_only_then_ends_the_goal(cell):
    picture, goal = cell.prepare(SEED + 1)
    moving, results = threading.Event(), []

    def on_feedback(said):
        if said.phase == said.MOVING:
            moving.set()

    client = threading.Thread(
        target=lambda: results.append(cell.reach([picture], on_feedback, max_steps=12))
    )
    client.start()
    assert moving.wait(30.0)
    cell.cancel()
    client.join(30.0)
    where = cell.hand_position()
    assert results[0].error_code == FaultCode.CANCELED
    assert away(cell, where) < 0.002, 'the arm stands when the goal has ended'
    assert away(cell, goal) > 0.04


@pytest.mark.fault(24)
def test_the_command_reaches_a_picture_and_ctrl_c_leaves_nothing_that_moves(cell, tmp_path):
    picture, goal = cell.prepare(SEED + 1)
    path = tmp_path / 'goal.png'
    Image.fromarray(picture).save(path)
    start = cell.hand_position()
    with command('reach', str(path)) as asked:
        deadline = time.monotonic() + 60.0
        while away(cell, start) < 0.01:
            assert asked.poll() is None and time.monotonic() < deadline
        asked.send_signal(signal.SIGINT)
        said, _ = asked.communicate(timeout=30)
    where = cell.hand_position()
    assert asked.returncode == 130 and 'Traceback' not in said, said
    assert said.splitlines()[-1] == 'interrupted: cancelled'
    assert away(cell, where) < 0.002 and away(cell, goal) > 0.04
    with command('reach', str(path), '--max-steps', '12') as asked:
        said, _ = asked.communicate(timeout=60)
    assert asked.returncode == 0 and 'reached in' in said, said
    assert away(cell, goal) <= 0.04


def test_the_arm_stays_inside_the_box_when_told_to_leave_it(cell):
    outside = sample_reach_task(SEED).goal.copy()
    outside[2] = -0.2
    before = cell.hand_position()
    with pytest.raises(CommanderError, match='workspace|box|outside'):
        cell.move_to(outside)
    assert away(cell, before) < 0.002


@pytest.mark.fault(5)
def test_a_killed_planner_leaves_the_arm_standing(cell):
    picture, _ = cell.prepare(SEED + 2)
    moving = threading.Event()

    def on_feedback(said):
        if said.phase == said.MOVING and said.step == 1:
            moving.set()

    def goal_that_never_ends():
        try:
            cell.reach([picture], on_feedback, max_steps=12)
        except CommanderError:
            pass

    threading.Thread(target=goal_that_never_ends, daemon=True).start()
    assert moving.wait(30.0)
    planner = cell._group.pid('planner')
    os.kill(planner, signal.SIGKILL)
    started = cell.hand_position()
    cell.pose()  # the controller still speaks
    for _ in range(20):
        resting = cell.hand_position()
    assert away(cell, resting) < 0.002, 'at most the step under way was finished'
    assert np.linalg.norm(resting - started) < 0.08
