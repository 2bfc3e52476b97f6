# SPDX-License-Identifier: Apache-2.0
"""Row 15 at a running planner: giant goals are refused and leave no memory behind."""

import array
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from sensor_msgs.msg import Image  # noqa: E402

from jepa_wm_ros.errors import FaultCode  # noqa: E402
from support.planner_rig import Client  # noqa: E402
from support.python_process import node  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros
GOALS = 20
GROWTH = 50  # MiB


def resident(process) -> float:
    """Memory of a process [MiB]."""
    pages = int(Path(f'/proc/{process.pid}/statm').read_text().split()[1])
    return pages * 4096 / 2**20


def black(height: int, width: int) -> Image:
    """A picture that takes memory to send."""
    image = Image(height=height, width=width, encoding='rgb8', step=3 * width)
    image.data = array.array('B', bytes(3 * height * width))
    return image


@pytest.mark.slow
@pytest.mark.fault(15)
def test_a_planner_that_has_refused_giant_goals_is_as_small_as_before(ros_domain):
    with ros(), node('planner') as planner:
        client = Client()
        with spinning(client.node):
            assert client.reach(goals=[]).error_code == FaultCode.EMPTY_GOAL
            pictures = [black(1000, 1000)] * 17
            sizes = []
            for _ in range(GOALS):
                assert client.reach(goals=pictures).error_code == FaultCode.TOO_MANY_GOALS
                sizes.append(resident(planner))
        client.node.destroy_node()
        print('MiB', [round(size) for size in sizes])
        # of the largest goal one copy stays in the pool of DDS
        assert sizes[-1] - sizes[0] < GROWTH
