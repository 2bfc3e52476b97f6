# SPDX-License-Identifier: Apache-2.0
"""Memory while reading a bag does not grow with it; bag_memory measures the same with gigabytes."""

import tracemalloc

import pytest

from jepa_wm_ros.evaluation.offline.bag_memory import read_bag, write_bag


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_four_times_the_bag_takes_no_more_memory(tmp_path, storage):
    peaks = {}
    for megabytes in (10, 40):
        path = tmp_path / f'{megabytes}'
        frames = write_bag(path, megabytes, storage, (120, 160))
        tracemalloc.start()
        read_bag(path)
        peaks[megabytes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    more = 0.75 * frames
    assert peaks[40] - peaks[10] < 1000 * more  # bytes: a frame itself takes 57600
    assert peaks[40] < 15e6
