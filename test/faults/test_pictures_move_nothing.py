# SPDX-License-Identifier: Apache-2.0
"""The whole chain with a camera that goes bad on the way to a goal: the arm takes at most the step
under way. The judge is the simulator's own hand position, which the chain does not hear.
"""

import dataclasses

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from jepa_wm_ros import ros_image  # noqa: E402
from jepa_wm_ros.bringup import plan_processes  # noqa: E402
from jepa_wm_ros.errors import FaultCode  # noqa: E402
from jepa_wm_ros.fr3 import FR3  # noqa: E402
from jepa_wm_ros.processes import ProcessGroup  # noqa: E402
from jepa_wm_ros.ros.demo.cell import DemoCell  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.real_time]
STARTS = np.array([[0.5, -0.22, 0.3], [0.5, 0.22, 0.3]])  # m; the farther one is taken
RANDOM = np.random.default_rng(0)
LAG = 0.003  # m, the arm stands within this of where it was sent


class Relay:
    """Hands the camera's pictures on to the world model, spoilt from when it is told so."""

    def __init__(self, cell: DemoCell) -> None:
        self.cell, self.spoil = cell, None
        self.newest: np.ndarray | None = None  # good picture
        self.stood: np.ndarray | None = None  # where the hand was when the first bad one came
        self.travelled = 0.0  # m, farthest from there since
        self._said = cell.node.create_publisher(Image, 'watched', qos_profile_sensor_data)
        cell.node.create_subscription(Image, 'image', self._hand_on, qos_profile_sensor_data)

    def go_bad(self, spoil) -> None:
        """From now on; `spoil` makes a bad picture of a good one and the last good one."""
        self.spoil, self.stood, self.travelled = spoil, None, 0.0

    def _hand_on(self, message: Image) -> None:
        picture = ros_image.to_rgb8(message)
        if self.spoil is None:
            self.newest = picture
        else:
            hand = self.cell._hand[1]
            self.stood = hand if self.stood is None else self.stood
            self.travelled = max(self.travelled, float(np.linalg.norm(hand - self.stood)))
            picture = np.ascontiguousarray(self.spoil(picture, self.newest))
        said = ros_image.fill_image(Image(), picture, 'rgb8')
        said.header = message.header
        self._said.publish(said)


@pytest.fixture(scope='module')
def cell(new_arm_address):
    seen = {
        'world_model': {'remappings': (('image', 'watched'),)},
        'planner': {'parameters': {'observation_timeout': 1.0}},
    }
    processes = plan_processes(arm_address=new_arm_address())
    processes = [dataclasses.replace(p, **seen.get(p.name, {})) for p in processes]
    with ProcessGroup(processes) as group, DemoCell(group) as demo:
        demo.wait_until_ready()
        yield demo


@pytest.fixture(scope='module')
def relay(cell):
    return Relay(cell)


@pytest.mark.parametrize(
    ('spoil', 'code'),
    [
        pytest.param(
            lambda _, before: before, FaultCode.STALE_IMAGE, id='frozen', marks=pytest.mark.slow
        ),
        pytest.param(
            lambda now, _: now * 0, FaultCode.BAD_IMAGE, id='black', marks=pytest.mark.slow
        ),
        pytest.param(
            lambda now, _: RANDOM.integers(0, 256, now.shape, np.uint8),
            FaultCode.UNFAMILIAR_VIEW,
            id='noise',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda now, _: now[:, 80:-80],
            FaultCode.WRONG_ASPECT,
            id='another aspect',
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.fault(2)
def test_a_camera_that_goes_bad_on_the_way_moves_the_arm_one_step_at_most(cell, relay, spoil, code):
    relay.spoil = None
    picture, goal = cell.picture(), cell.hand_position()
    start = max(STARTS, key=lambda place: np.linalg.norm(place - goal))
    cell.move_to(np.concatenate([start, cell.pose()[3:]]))

    def on_feedback(said):
        if said.phase == said.MOVING and said.step == 2 and relay.spoil is None:
            relay.go_bad(spoil)

    result = cell.reach([picture], on_feedback, max_steps=12)
    resting = cell.hand_position()
    assert result.error_code == code and result.steps <= 3, result.error_msg
    assert max(relay.travelled, float(np.linalg.norm(resting - relay.stood))) <= FR3.max_step + LAG
    assert float(np.linalg.norm(resting - goal)) > 0.04, 'it was not just there'
