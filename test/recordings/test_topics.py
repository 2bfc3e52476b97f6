# SPDX-License-Identifier: Apache-2.0
"""What a topic description says of messages that hold more than one arm."""

from types import SimpleNamespace as Message

import numpy as np
import pytest

from jepa_wm_ros.fr3 import FR3, arm_named
from jepa_wm_ros.recordings.readings import closure_of, pose_of
from jepa_wm_ros.recordings.topics import TopicSpec

KIND = 'sensor_msgs/msg/JointState'
TURNED = FR3.home + 0.1


def two_arms() -> Message:
    """One message of both arms: the left one at home with an open hand, the right one elsewhere."""
    names, positions = [], []
    for prefix, angles, finger in (('left_', FR3.home, 0.04), ('right_', TURNED, 0.01)):
        arm = arm_named('fr3', prefix)
        names += [*arm.joints, *arm.finger_joints]
        positions += [*angles, finger, finger]
    return Message(name=names, position=positions)


@pytest.mark.parametrize(
    ('prefix', 'angles', 'closure'), [('left_', FR3.home, 0.0), ('right_', TURNED, 0.75)]
)
def test_a_prefix_chooses_one_of_several_arms(prefix, angles, closure):
    spec, message = TopicSpec(arm_prefix=prefix), two_arms()
    position, _ = pose_of(message, KIND, spec)
    np.testing.assert_allclose(position, FR3.hand_pose(angles)[:3, 3])
    assert closure_of(message, KIND, spec) == pytest.approx(closure)


def test_without_a_prefix_two_arms_are_not_mixed():
    assert pose_of(two_arms(), KIND, TopicSpec()) is None
