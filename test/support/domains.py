# SPDX-License-Identifier: Apache-2.0
"""ROS domains that tests, which may run beside each other, share out among themselves."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from pathlib import Path

from jepa_wm_ros import dds

DOMAINS = range(1, 102)  # what ROS 2 may use on Linux without meeting ephemeral ports


class Domain:
    """A ROS domain id that no other test process of this user holds; freed with the process.

    Each is another than the last one: what a test has left in its domain, a participant or a
    shared-memory port of a killed process, is not met by the next.
    """

    _made = itertools.count(os.getpid())

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f'jepa_wm_ros_domains_{os.getuid()}'
        folder.mkdir(exist_ok=True)
        for _ in DOMAINS:
            self.id = DOMAINS[next(self._made) % len(DOMAINS)]
            self._lock = (folder / str(self.id)).open('w')
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._lock.close()
        raise RuntimeError(f'all {len(DOMAINS)} ROS domains are held by tests that still run')

    def release(self) -> None:
        """Let another test have it."""
        self._lock.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be alone in this domain."""
        return {
            'ROS_DOMAIN_ID': str(self.id),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            **dds.dds_environment(),
        }
