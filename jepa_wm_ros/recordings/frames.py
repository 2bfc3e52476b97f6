# SPDX-License-Identifier: Apache-2.0
"""Where the hand is in the arm's base frame, from frames told one by one, as tf2 tells them.

The hand's pose is known at a moment only where every moving frame on the way from the base to the
hand is told for that very moment, as robot_state_publisher does; nothing is carried over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros.recordings.readings import Pose

_LISTED = 20  # frames named in a message


@dataclass(frozen=True, slots=True)
class _Link:
    """Pose (4, 4) of a frame in its parent at a stamp [ns]; a fixed one has none."""

    parent: str
    stamp: int | None
    pose: np.ndarray


class FrameTree:
    """Hears how frames lie in their parents and tells how the hand lies in the base."""

    def __init__(self, base: str, hand: str) -> None:
        self.base, self.hand = base, hand
        self._links: dict[str, _Link] = {}
        self._way: tuple[list[str], list[str]] | None = None

    @property
    def connected(self) -> bool:
        """Whether a way from the base to the hand is known."""
        return self._way is not None

    def hear(self, parent: str, child: str, pose: Pose, stamp: int | None = None) -> Pose | None:
        """Take the pose of `child` in `parent`, fixed without a stamp [ns].

        The hand's pose in the base frame where this completes it for that moment.
        """
        before = self._links.get(child)
        self._links[child] = _Link(parent, stamp, _matrix(pose))
        if before is None or before.parent != parent:
            self._way = self._find_way()
        return self._hand_pose(stamp) if stamp is not None and self.moves(child) else None

    def moves(self, frame: str) -> bool:
        """Whether a frame lies on the way from the base to the hand."""
        return self._way is not None and any(frame in part for part in self._way)

    def known(self) -> str:
        """The frames heard of, for a message."""
        names = sorted(self._links.keys() | {link.parent for link in self._links.values()})
        more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
        return (', '.join(names[:_LISTED]) or 'none') + more

    def _hand_pose(self, stamp: int) -> Pose | None:
        assert self._way is not None
        to_base, to_hand = ([self._links[frame] for frame in part] for part in self._way)
        if any(link.stamp not in (None, stamp) for link in (*to_base, *to_hand)):
            return None
        pose = np.linalg.inv(_product(to_base)) @ _product(to_hand)
        return pose[:3, 3], Rotation.from_matrix(pose[:3, :3]).as_quat()

    def _find_way(self) -> tuple[list[str], list[str]] | None:
        """The frames from the one that base and hand both lie in: to the base, and to the hand."""
        base, hand = self._ancestors(self.base), self._ancestors(self.hand)
        common = next((frame for frame in hand if frame in base), None)
        if common is None:
            return None
        return base[: base.index(common)][::-1], hand[: hand.index(common)][::-1]

    def _ancestors(self, frame: str) -> list[str]:
        """A frame, its parent, and so on to the root, or to where a circle closes."""
        line = [frame]
        while (link := self._links.get(line[-1])) and link.parent not in line:
            line.append(link.parent)
        return line


def _matrix(pose: Pose) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_quat(pose[1]).as_matrix(), pose[0]
    return matrix


def _product(links: Iterable[_Link]) -> np.ndarray:
    product = np.eye(4)
    for link in links:
        product = product @ link.pose
    return product
