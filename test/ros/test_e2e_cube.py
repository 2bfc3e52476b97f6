# SPDX-License-Identifier: Apache-2.0
"""Tasks with the cube through real nodes, DDS, franky and the gripper of the simulated arm."""

import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros import resources  # noqa: E402
from jepa_wm_ros.actions import GRIPPER, POSITION  # noqa: E402
from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.recordings.sanity import complaints  # noqa: E402
from jepa_wm_ros.ros.demo import cube, cube_report  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402
from jepa_wm_ros.ros.exploring import SeeingPorts, explore_episode, pointed_at, room_of, unbent  # noqa: E402
from jepa_wm_ros.sim.manipulation import LIFTED, sample_task  # noqa: E402
from jepa_wm_ros.sim.variation import cell_of_seed  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]
GRASP = resources.find('config', 'grasp.yaml')
SEED = 3003


@pytest.fixture(scope='module')
def cell(new_arm_address):
    processes = plan_processes(arm_address=new_arm_address(), params_file=GRASP)
    with ProcessGroup(processes) as group, DemoCell(group) as demo:
        demo.wait_until_ready()
        yield demo


def test_the_expert_shows_the_task_with_the_arm_itself_and_puts_everything_back(cell):
    task = sample_task('pick_place', SEED)
    goals, place = cube.show(cell, task, SEED)
    assert np.linalg.norm(place - task.place) < 0.01, 'franky and the gripper carried it there'
    assert len(goals) == 3 and all(goal.shape == (480, 640, 3) for goal in goals)
    assert np.linalg.norm(cell.cube_position()[:2] - task.cell.cube[:2]) < 0.005
    assert np.linalg.norm((cell.pose() - task.start)[POSITION]) < 0.01
    assert cell.pose()[GRIPPER] < 0.05


def test_the_shipped_model_places_cubes_from_three_pictures(cell, tmp_path):
    """39 of 40 tasks are placed: two of three must be."""
    records = [cube.episode(cell, 'pick_place', SEED + i, switch=1, pictures=0) for i in range(3)]
    for record in records:
        assert 0.0 < record.table_force < 30.0 and record.outside < 0.01
        assert set(record.imagined) == {0, 1, 2}, 'what the first plan to each goal imagined'
        assert not record.fault and len(record.shown) == len(record.frames) > 10
    placed = [r for r in records if r.grasped and r.carried and r.placed]
    assert len(placed) >= 2, [record.message for record in records]
    cube_report.write_png(tmp_path / 'demo.png', placed[0])
    cube_report.write_gif(tmp_path / 'demo.gif', placed[0])
    assert f'placed {len(placed)}/3' in cube_report.table(records)


def test_a_thing_that_was_pointed_at_is_grasped_and_found_again(cell):
    """The simulator says where the cube is, to the test alone."""
    cell.home()
    cell.reset(SEED)
    ports = SeeingPorts(cell, cell.base_frame(), 96)
    room = room_of(cell)
    thing, heights, apart = pointed_at(cell_of_seed(SEED).cube, room), [], []
    follow = thing.follow

    def watched(pose, commanded):
        seen = follow(pose, commanded)
        heights.append(cell.latest_cube()[2])
        if thing.held:
            apart.append(np.linalg.norm(thing.place[:2] - cell.latest_cube()[:2]))
        return seen

    thing.follow = watched
    for seed in range(4):
        recorded = unbent(cell, partial(explore_episode, cell, ports, room, seed, 20, thing))
        assert recorded.steps == 20 and complaints(recorded) == []
    assert max(heights) - min(heights) > LIFTED, 'it was lifted'
    assert len(apart) > 5 and np.median(apart) < 0.02 and not thing.lost


def test_the_demo_pushes(ros_domain, new_arm_address, tmp_path):
    words = ['demo', '--task', 'push', '--seed', str(SEED), '--out', str(tmp_path)]
    words += ['--arm-address', new_arm_address()]
    ended = subprocess.run(
        [sys.executable, '-m', 'jepa_wm_ros', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert re.search(r'seed \d+: (placed|missed), cube', ended.stdout), ended.stderr
    assert ended.returncode in (0, 1) and (tmp_path / 'demo.png').exists()
