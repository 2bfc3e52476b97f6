# SPDX-License-Identifier: Apache-2.0
"""The gallery beside the whole graph: a goal captured in the cell is reached by clicks."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.goals.library import GoalLibrary  # noqa: E402
from support.marker_client import Viewer  # noqa: E402
from support.python_process import node  # noqa: E402
from support.ros_peers import spinning  # noqa: E402
from support.running_cell import running_cell  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def test_a_captured_goal_is_reached_and_a_stop_latches(ros_domain, new_arm_address, tmp_path):
    with (
        running_cell(new_arm_address()) as cell,
        node('goal_gallery', library=tmp_path, new_name='here') as gallery,
    ):
        viewer = Viewer('rviz')
        with spinning(viewer.node):
            viewer.begin()
            viewer.until(lambda: len(viewer.markers) == 3)
            there = cell.hand_position()
            viewer.click('_capture')
            viewer.until(lambda: 'here' in viewer.markers)
            goal = GoalLibrary(tmp_path).find('here')
            np.testing.assert_allclose(goal.pose7[:3], there, atol=0.01)
            assert len(goal.joints) == 7 and goal.view.width == 640
            cell.move_to(np.array([0.5, 0.0, 0.25, np.pi, 0.0, 0.0, 0.0]))
            viewer.click('here')
            viewer.hears('here: plan to it')
            viewer.select('here', 'plan to this')
            viewer.hears('reached in')
            assert np.linalg.norm(cell.hand_position() - there) < 0.04
            cell.move_to(np.array([0.5, -0.1, 0.25, np.pi, 0.0, 0.0, 0.0]))
            heard = len(viewer.said)
            viewer.click('_plan')
            viewer.hears('step 1:', heard)
            viewer.click('_stop')
            viewer.hears('stopped: ', heard)
            heard = len(viewer.said)
            viewer.click('_plan')
            viewer.hears('call ~/recover when it may move', heard)
        viewer.node.destroy_node()
        gallery.terminate()
        output, _ = gallery.communicate(timeout=30)
        assert gallery.returncode == 0 and 'Traceback' not in output, output
