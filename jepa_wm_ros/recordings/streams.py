# SPDX-License-Identifier: Apache-2.0
"""The newest observation of the cell: frames and arm states, kept by stamp and checked on arrival.

Stamps are integer nanoseconds of the node's clock. Nothing here imports ROS.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

FUTURE_TOLERANCE = 100_000_000  # a stamp may be this far ahead of the node clock [ns]
HISTORY = 256  # arm states kept: 8 s at 30 Hz


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera message and the stamp of its exposure [ns]."""

    stamp: int
    message: Any


class ObservationBuffer:
    """Holds the newest frame and a short history of arm states.

    A frame is refused when its stamp is from the future, repeats, or jumps back; a jump back
    (a looped bag, a restarted simulation) also forgets everything heard before it.
    """

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.refused: str = ''
        self._last_stamp = 0
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=HISTORY)
        self._grippers: deque[tuple[int, float]] = deque(maxlen=HISTORY)

    def add_frame(self, stamp: int, now: int, message: Any) -> bool:
        """Take a camera message; False when its stamp cannot be trusted (`refused` says why)."""
        if stamp > now + FUTURE_TOLERANCE:
            self.refused = f'image stamp is {(stamp - now) / 1e9:.3f} s in the future'
            return False
        if stamp == self._last_stamp:
            self.refused = 'image stamp does not advance'
            return False
        if stamp < self._last_stamp:
            self.refused = f'image stamp jumped back {(self._last_stamp - stamp) / 1e9:.3f} s'
            self.forget()
            self._last_stamp = stamp
            return False
        self._last_stamp = stamp
        self.frame = Frame(stamp, message)
        self.refused = ''
        return True

    def add_pose(self, stamp: int, position: np.ndarray, quaternion: np.ndarray) -> None:
        """Take a measured hand pose: position (3,) [m], quaternion (x, y, z, w)."""
        if self._poses and stamp < self._poses[-1][0]:
            self._poses.clear()
        self._poses.append((stamp, np.concatenate([position, quaternion])))

    def add_gripper(self, stamp: int, closure: float) -> None:
        """Take a measured gripper closure, 0 (open) to 1 (closed)."""
        if self._grippers and stamp < self._grippers[-1][0]:
            self._grippers.clear()
        self._grippers.append((stamp, closure))

    def forget(self) -> None:
        """Drop everything heard so far."""
        self.frame = None
        self._poses.clear()
        self._grippers.clear()

    def frame_after(self, not_before: int, now: int, max_age: int) -> Frame | None:
        """The newest frame if it is stamped after `not_before` and at most `max_age` old [ns]."""
        frame = self.frame
        if frame is None or frame.stamp <= not_before or now - frame.stamp > max_age:
            return None
        return frame

    def pose_at(self, stamp: int, max_gap: int) -> np.ndarray | None:
        """Position and quaternion (7,) at `stamp`, as the bag reader has it: interpolated between
        its neighbours where both are within `max_gap` [ns], else the nearest one if that is.
        """
        before, after = _around(self._poses, stamp)
        if not before or not after or max(stamp - before[0], after[0] - stamp) > max_gap:
            return _nearest(self._poses, stamp, max_gap)
        share = (stamp - before[0]) / max(after[0] - before[0], 1)
        turn = Slerp([0.0, 1.0], Rotation.from_quat([before[1][3:], after[1][3:]]))
        position = (1.0 - share) * before[1][:3] + share * after[1][:3]
        return np.concatenate([position, turn(share).as_quat()])

    def gripper_at(self, stamp: int, max_gap: int) -> float | None:
        """Gripper closure measured nearest to `stamp`, None beyond `max_gap` [ns]."""
        return _nearest(self._grippers, stamp, max_gap)


def _around(history: deque, stamp: int) -> tuple:
    """The entries before and from `stamp` on; None where there is none."""
    index = bisect_left(history, stamp, key=lambda item: item[0])
    return (history[index - 1] if index else None, history[index] if index < len(history) else None)


def _nearest(history: deque, stamp: int, max_gap: int):
    if not history:
        return None
    best = min(filter(None, _around(history, stamp)), key=lambda item: abs(item[0] - stamp))
    return best[1] if abs(best[0] - stamp) <= max_gap else None
