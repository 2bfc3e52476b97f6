# SPDX-License-Identifier: Apache-2.0
"""A frame of a bag as a goal: the one that was asked for, with the pose that the hand had then."""

import numpy as np
import pytest

pytest.importorskip('rosbags')

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals.from_bag import read_bag_frame
from support.bags import MS, START, make_bag, picture_at, pose_at, write_messages


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    return make_bag(tmp_path_factory.mktemp('bag') / 'bag', image_delay=0.01)


@pytest.mark.parametrize('at, frame', [(0.0, 0), (2.04, 20), (2.06, 21), (100.0, 59)])
def test_the_frame_nearest_to_the_time_is_taken_with_the_hand_at_its_stamp(bag, at, frame):
    taken = 0.1 * frame + 0.01
    found = read_bag_frame(bag, 'cup', at)
    assert found.goal.stamp == START + round(taken * 1e9)
    np.testing.assert_array_equal(found.picture, picture_at(taken))
    np.testing.assert_allclose(found.goal.pose7[:6], pose_at(taken)[:6], atol=1e-4)
    assert found.goal.view.camera == 'exterior_optical_frame' and found.goal.frame == 'fr3_link0'
    assert (found.goal.view.width, found.goal.view.height) == (64, 48)
    assert found.goal.joints == () and list(found.findings) == []


def test_without_a_time_it_is_the_last_frame_with_a_hand_pose(tmp_path):
    hand = pose_at(0.0)
    messages = [('pose', START + i * 30 * MS, START + i * 30 * MS, hand) for i in range(40)]
    messages += [('joints', *each[1:]) for each in messages]
    frames = [('image', START + i * MS, START + i * MS, hand) for i in (100, 700, 1900)]
    path = tmp_path / 'bag'
    write_messages(path, sorted([*messages, *frames], key=lambda each: each[2]), lambda t: [t] * 7)
    found = read_bag_frame(path, 'cup')
    assert found.goal.stamp == START + 700 * MS and found.goal.pose7
    np.testing.assert_allclose(found.goal.joints, [0.7] * 7, atol=0.031)
    assert read_bag_frame(path, 'cup', 1.8).goal.pose7 == ()


def test_a_bag_without_a_usable_frame_is_one_line(tmp_path):
    hand = pose_at(0.0)
    write_messages(tmp_path / 'bag', [('pose', START, START, hand)])
    for path in (tmp_path / 'bag', tmp_path / 'none'):
        with pytest.raises(JepaWmError, match=str(path)) as caught:
            read_bag_frame(path, 'cup')
        assert '\n' not in str(caught.value)
