# SPDX-License-Identifier: Apache-2.0
"""What the arm server shows of its simulation to other processes: the newest state, no queue.

A sequence lock in anonymous shared memory: the writer never waits, a reader that was overtaken
reads again. The memory belongs to file descriptors alone, so nothing is left behind however the
processes end.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import matrix_to_euler
from jepa_wm_ros.sim.scene import SimError

ARM_QPOS = 16  # 7 arm joints, 2 fingers, 7 of the cube
_RECORD = np.dtype(
    [
        ('sequence', np.uint64),
        ('steps', np.uint64),
        ('stamp', np.int64),
        ('sim_time', np.float64),
        ('qpos', np.float64, ARM_QPOS),
        ('hand_position', np.float64, 3),
        ('hand_matrix', np.float64, 9),
        ('closure', np.float64),
        ('table_force', np.float64),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One moment of the simulation.

    stamp      wall clock [ns since the epoch] when the state was taken
    steps      physics steps since the start, of 1 ms each
    sim_time   [s]
    qpos       (16,) joint positions of the scene
    hand_pose  true pose7 of the hand TCP
    table_force  the most [N] that the arm has pressed on the table since the cube was put down
    """

    stamp: int
    steps: int
    sim_time: float
    qpos: np.ndarray
    hand_pose: np.ndarray
    table_force: float


class SharedState:
    """The shared record behind file descriptor `fd`; without one, a new record is made."""

    def __init__(self, fd: int | None = None):
        self.fd = os.memfd_create('jepa_wm_sim') if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, _RECORD.itemsize)
        self._memory = mmap.mmap(self.fd, _RECORD.itemsize)
        self._record = np.frombuffer(self._memory, _RECORD)[0:1]

    def close(self) -> None:
        """Let go of the memory."""
        del self._record  # the memory cannot be closed while an array looks into it
        self._memory.close()
        os.close(self.fd)

    def write(self, data, tcp: int, closure: float, steps: int, table_force: float) -> None:
        """Publish the state of MuJoCo `data`, whose kinematics must be up to date.

        An odd sequence number says that the record is being written. x86-64 and the interpreter
        keep these stores in order.
        """
        record = self._record
        record['sequence'] += 1
        record['stamp'] = time.time_ns()
        record['steps'] = steps
        record['sim_time'] = data.time
        record['qpos'] = data.qpos
        record['hand_position'] = data.site_xpos[tcp]
        record['hand_matrix'] = data.site_xmat[tcp]
        record['closure'] = closure
        record['table_force'] = table_force
        record['sequence'] += 1

    def read(self) -> Snapshot:
        """The newest state; SimError when nothing consistent can be read for 1 s."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            record = self._record.copy()
            if record['sequence'][0] % 2 == 0 and record['sequence'] == self._record['sequence']:
                return _snapshot(record[0])
        raise SimError('the arm server stopped in the middle of a step: restart it')


def _snapshot(record) -> Snapshot:
    euler = matrix_to_euler(record['hand_matrix'].reshape(3, 3))
    pose = np.concatenate([record['hand_position'], euler, [record['closure']]])
    return Snapshot(
        int(record['stamp']),
        int(record['steps']),
        float(record['sim_time']),
        record['qpos'],
        pose,
        float(record['table_force']),
    )
