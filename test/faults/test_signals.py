# SPDX-License-Identifier: Apache-2.0
"""The end of everything while the arm moves: a soft stop first, then the processes."""

import signal

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
pytest.importorskip('franky_sim')

from jepa_wm_msgs.msg import ArmStatus  # noqa: E402

from jepa_wm_ros.sim.server import ArmServer  # noqa: E402
from support.controller_rig import Planner  # noqa: E402
from support.python_process import python  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
STEP = 0.07


@pytest.mark.fault(37)
@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_bringup_stops_a_moving_arm_softly(new_arm_address, ros_domain, reaction, how):
    address = new_arm_address()
    words = ('-m', 'jepa_wm_ros.bringup', 'robot:=real', f'arm_address:={address}')
    with ArmServer(address) as server, python(*words) as graph, ros():
        planner, start = Planner(), server.snapshot().hand_pose[:3]
        with spinning(planner.node):
            planner.until(lambda: planner.status, 60.0)
            planner.send(planner.command(shift=(0.0, STEP, 0.0)), wait=False)
            planner.until(lambda: planner.pose.pose.position.y > start[1] + 0.005)
            reaction.begin()
            graph.send_signal(how)
            stopped = planner.until(lambda: planner.status.outcome != ArmStatus.OUTCOME_EXECUTING)
            reaction.seen()
        output, _ = graph.communicate(timeout=30)
        # A starved controller is late with its stop motion, and the arm gets its own stop command.
        own_stop = 'own stop command' in stopped.message
        assert stopped.outcome == ArmStatus.OUTCOME_STOPPED or own_stop, stopped
        assert stopped.mode == ArmStatus.MODE_READY or own_stop, stopped
        rest = server.snapshot().hand_pose[:3]
        assert 0.005 < np.linalg.norm(rest - start) < STEP - 0.01
        assert 'Traceback' not in output, output
        planner.node.destroy_node()
