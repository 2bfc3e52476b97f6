# SPDX-License-Identifier: Apache-2.0
"""Memory that is free again is the system's again."""

import mmap
import platform
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from jepa_wm_ros.ros.base.memory import give_back  # noqa: E402

PIECE = 100_000  # bytes: too small for a mapping of its own


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_gaps_below_what_is_still_used_are_given_back():
    pieces = [bytes([7]) * PIECE for _ in range(2000)]
    kept = pieces[1::50]  # hold the heap up
    full = resident()
    del pieces
    give_back()
    assert full - resident() > 0.8 * (2000 - len(kept)) * PIECE
    assert all(piece[-1] == 7 for piece in kept)


@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='no shared memory of Linux')
def test_pages_of_ddss_shared_memory_are_let_go_and_nothing_in_them_is_lost():
    path = Path('/dev/shm/fastrtps_of_test_give_back')
    size = 32 << 20
    path.write_bytes(bytes(size))
    try:
        with path.open('r+b') as file, mmap.mmap(file.fileno(), size) as ring:
            ring[:] = bytes([7]) * size
            full = resident()
            give_back()
            assert full - resident() > 0.9 * size
            assert ring[0] == ring[size - 1] == 7
            ring[5] = 9
            give_back()
            assert ring[5] == 9 and path.read_bytes()[5] == 9
    finally:
        path.unlink()
