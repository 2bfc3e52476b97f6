# SPDX-License-Identifier: Apache-2.0
"""The tutorial of the first day on a real arm, its files and commands, on the simulated one."""

import re
import textwrap

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from std_srvs.srv import Trigger  # noqa: E402

from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.ros.commander import CommanderError  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402
from support.paths import ROOT  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]
PAGE = (ROOT / 'doc' / 'tutorials' / 'first_day_on_a_real_arm.md').read_text()


def block(first: str) -> str:
    """The indented block of the page that begins with the line `first`."""
    return textwrap.dedent(re.search(rf'^    {re.escape(first)}\n(?:    .*\n)*', PAGE, re.M)[0])


@pytest.fixture(scope='module')
def cell(tmp_path_factory, new_arm_address):
    folder = tmp_path_factory.mktemp('first_day')
    # no real-time kernel here
    parameters = block('/**/franka_controller:').replace('enforce', 'ignore')
    (folder / 'my_params.yaml').write_text(parameters)
    (folder / 'first_day.yaml').write_text(block('planner: cem'))
    processes = plan_processes(
        arm_address=new_arm_address(),
        profile=str(folder / 'first_day.yaml'),
        params_file=folder / 'my_params.yaml',
    )
    with ProcessGroup(processes) as group, DemoCell(group) as cell:
        cell.wait_until_ready()
        yield cell


def ask(cell, service: str):
    return cell.call(Trigger, f'franka_controller/{service}', Trigger.Request())


def test_a_stop_is_latched_until_it_is_recovered_from(cell):
    ask(cell, 'stop')
    with pytest.raises(CommanderError, match='recover'):
        ask(cell, 'home')
    ask(cell, 'recover')


def test_the_first_commanded_centimetre_goes_up(cell):
    before, pose = cell.hand_position(), cell.pose()
    pose[2] += 0.01
    cell.move_to(pose)
    np.testing.assert_allclose(cell.hand_position() - before, [0.0, 0.0, 0.01], atol=0.001)


def test_the_first_autonomous_centimetre_goes_back_to_where_the_picture_was_taken(cell):
    goal, there = cell.picture(), cell.pose()
    there[1] += 0.05
    cell.move_to(there)
    before = cell.hand_position()
    result = cell.reach([goal], max_steps=1)
    moved = cell.hand_position() - before
    assert FaultCode(result.error_code) is FaultCode.MAX_STEPS, result.error_msg
    assert -0.0105 < moved[1] < -0.003
    assert np.linalg.norm(moved) <= 0.0175
