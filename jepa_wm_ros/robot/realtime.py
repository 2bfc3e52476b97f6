# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can keep the arm's 1 kHz, and what is done for it."""

import os
from pathlib import Path

PRIORITY = 50  # of 1 to 99, the one that ros2_control takes as well


def kernel_is_realtime() -> bool:
    """Whether this machine runs a PREEMPT_RT kernel."""
    flag = Path('/sys/kernel/realtime')
    return flag.exists() and flag.read_text().strip() == '1'


def take_precedence() -> bool:
    """Have this thread, and those that it starts, run before whatever has no real-time priority;
    False where the system does not allow it (its limit rtprio).

    Also without a real-time kernel: an arm whose commands come late stops by itself.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        return False
    return True


def scheduling() -> str:
    """How this thread is scheduled, in words."""
    return 'real-time' if os.sched_getscheduler(0) == os.SCHED_FIFO else 'usual'
