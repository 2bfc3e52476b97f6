# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can keep the arm's 1 kHz."""

from pathlib import Path


def kernel_is_realtime() -> bool:
    """Whether this machine runs a PREEMPT_RT kernel."""
    flag = Path('/sys/kernel/realtime')
    return flag.exists() and flag.read_text().strip() == '1'
