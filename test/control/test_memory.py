# SPDX-License-Identifier: Apache-2.0
"""The way out of a memory: along what was seen to follow, across what looks the same."""

import numpy as np
import pytest

from jepa_wm_ros.control.memory import STEPS_BETWEEN, Memory, RecollectionError
from jepa_wm_ros.errors import Fault, FaultCode

WIDE = 4  # numbers of a latent


def walk(points):
    """Latents whose first two numbers are a place in a plane."""
    return np.pad(np.asarray(points, np.float32), ((0, 0), (0, WIDE - 2)))


def memory_of(*episodes):
    episode = np.repeat(np.arange(len(episodes)), [len(e) for e in episodes])
    return Memory.of(np.concatenate([walk(e) for e in episodes]), episode)


def line(begin, end, count=14):
    return np.linspace(begin, end, count)


@pytest.fixture(scope='module')
def corner():
    """One episode goes east, another begins where it has ended and goes north. A third lies apart.
    """
    return memory_of(line([0, 0], [13, 0]), line([13, 0.1], [13, 13.1]), line([99, 99], [99, 112]))


def test_the_way_goes_where_others_went_and_not_straight(corner):
    way = corner.latents[corner.way(*walk([[0, 0], [13, 13]]))]
    assert np.allclose(way[0, :2], [0, 0]) and np.allclose(way[-1, :2], [13, 13], atol=1.1)
    turn = np.linalg.norm(way[:, :2] - [13, 0], axis=1).min()
    assert turn < 1.5  # by way of the corner, never across it
    assert not any(0 < x < 12 and 1 < y < 13 for x, y in way[:, :2])


def test_episodes_lead_forwards_only(corner):
    there = corner.way(*walk([[13, 0], [13, 13]]))
    with pytest.raises(Fault) as caught:
        memory_of(line([0, 0], [50, 0], 40)).way(*walk([[50, 0], [0, 0]]))
    assert len(there) <= 15 and caught.value.code is FaultCode.UNFAMILIAR_VIEW


def test_sub_goals_stand_a_few_steps_apart_and_none_where_the_goal_is_near(corner):
    between = corner.between(*walk([[0, 0], [13, 13]]))
    way = corner.way(*walk([[0, 0], [13, 13]]))
    assert between == way[STEPS_BETWEEN::STEPS_BETWEEN] and len(between) >= 5
    assert corner.between(*walk([[2, 0], [3, 0]])) == []


def test_a_memory_is_read_as_it_was_written_and_only_by_its_model(corner, tmp_path):
    path = tmp_path / 'seen.npz'
    corner.write(path)
    read = Memory.read(path, WIDE)
    ends = walk([[0, 0], [13, 13]])
    assert read.way(*ends) == corner.way(*ends)
    with pytest.raises(RecollectionError, match='write a memory with this model'):
        Memory.read(path, WIDE + 1)
    (tmp_path / 'other.npz').write_bytes(b'nothing')
    with pytest.raises(RecollectionError, match='is no memory'):
        Memory.read(tmp_path / 'other.npz', WIDE)
