# SPDX-License-Identifier: Apache-2.0
"""Time as the simulated arm counts it."""

import time


def after(server, steps):
    """The true hand position (3,) after so many more milliseconds on the arm's clock."""
    end = server.snapshot().steps + steps
    while server.snapshot().steps < end:
        time.sleep(0.001)  # another process's clock, which announces nothing
    return server.snapshot().hand_pose[:3]
