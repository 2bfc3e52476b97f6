# SPDX-License-Identifier: Apache-2.0
"""The command that takes the picture the camera is compared with."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.ros.camera_reference import main  # noqa: E402
from support.camera_and_arm import CameraAndArm  # noqa: E402
from support.ros_peers import ros, spinning  # noqa: E402

pytestmark = pytest.mark.ros


def test_the_picture_is_stored_whole_and_one_that_shows_nothing_is_not(
    ros_domain, tmp_path, capsys
):
    scene = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    scene = scene.repeat(20, axis=0).repeat(20, axis=1)
    path, blind = tmp_path / 'cell.png', tmp_path / 'blind.png'
    with ros():
        cell = CameraAndArm(scene)
        with spinning(cell.node):
            assert main([str(path)]) == 0
            assert main([str(tmp_path / 'cell.jpg')]) == 1
            cell.picture = scene * 0
            while main([str(blind)]) == 0:  # the picture before was on its way
                blind.unlink()
        cell.node.destroy_node()
    np.testing.assert_array_equal(np.array(Image.open(path)), scene)
    assert not blind.exists() and 'black' in capsys.readouterr().err
