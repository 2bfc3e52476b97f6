# SPDX-License-Identifier: Apache-2.0
"""Where an action leads, checked by SciPy's rotations."""

import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros import actions

MEASURED = np.array([0.5, 0.1, 0.3, 3.0, 0.2, -0.1, 0.6])
COMMANDED = np.array([9.0, 9.0, 9.0, 3.1, 0.05, 0.02, 1.0])
ACTION = np.array([0.01, -0.02, 0.03, 0.04, -0.05, 0.06, -0.25])


def test_a_waypoint_takes_position_from_the_measured_hand_and_the_rest_from_the_commanded_one():
    got = actions.waypoint(MEASURED, COMMANDED, ACTION)
    np.testing.assert_allclose(got[:3], [0.51, 0.08, 0.33], atol=1e-12)
    turned = Rotation.from_euler('xyz', ACTION[3:6]) * Rotation.from_euler('xyz', COMMANDED[3:6])
    wrong = Rotation.from_euler('xyz', got[3:6]) * turned.inv()
    assert wrong.magnitude() < 1e-12 and got[6] == 0.75


def test_a_path_begins_where_the_hand_is_and_builds_each_waypoint_on_the_one_before():
    path = actions.waypoints(MEASURED, COMMANDED, np.array([ACTION, ACTION]))
    np.testing.assert_array_equal(path[0], MEASURED)
    np.testing.assert_array_equal(path[1], actions.waypoint(MEASURED, COMMANDED, ACTION))
    np.testing.assert_allclose(path[2], actions.integrate(path[1], ACTION), atol=1e-12)


def test_standing_still_for_many_steps_does_not_tip_a_hand_that_lags_over():
    commanded, lag = COMMANDED, np.array([0, 0, 0.001, 0.01, 0.01, 0, 0])
    for _ in range(50):
        commanded = actions.waypoint(commanded - lag, commanded, np.zeros(7))
    np.testing.assert_allclose(commanded[3:], COMMANDED[3:], atol=1e-12)
