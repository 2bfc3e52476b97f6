# SPDX-License-Identifier: Apache-2.0
"""The live pictures of one goal: each judged alone, against the first one and against the arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.goals.acceptable import aspect, check_content, size

MAX_ASPECT_ERROR = 0.02  # a goal picture may differ this much from the camera's aspect ratio
MOVED = 0.003  # m, a hand that went further has changed the picture
# Mean difference of two pictures, of the spread of one. In the simulated cell 3 mm make 2.6e-3 or
# more, and a noise of half a grey level 1.7e-3; a frame that is repeated makes none.
REPEATED = 5e-4


class StillStream:
    """Notices a camera whose frames repeat to the byte, also those that no plan is made from: one
    that froze in the middle of a motion shows what no plan has seen.
    """

    def __init__(self) -> None:
        self._repeats: object = None
        self._since = np.zeros(3)

    def see(self, content: object, position: np.ndarray) -> None:
        """Take the bytes of a frame and the hand (3,) [m] measured then."""
        if content != self._repeats:
            self._repeats, self._since = content, position

    def check(self, position: np.ndarray) -> None:
        """Raise a Fault with STALE_IMAGE if the hand got to `position` (3,) [m] unseen."""
        check_seen(position, self._since)


class PictureWatch:
    """What the live pictures seen while one goal is pursued must have in common."""

    def __init__(self, goals: Sequence[np.ndarray]) -> None:
        """goals: its pictures (H, W, 3) uint8. Raises a Fault for one that shows nothing."""
        for index, picture in enumerate(goals):
            check_content(picture, f'goal picture {index}')
        self._goals = [picture.shape for picture in goals]
        self._live: tuple[int, ...] | None = None
        self._changed: tuple[np.ndarray, np.ndarray] | None = None  # what was seen new, and where

    def forget(self) -> None:
        """Let go of the picture seen last; a goal that is taken up again begins with its next."""
        self._changed = None

    def check_aspect(self, live: tuple[int, ...]) -> None:
        """Raise a Fault with WRONG_ASPECT where a goal does not fit live pictures of this shape."""
        for index, goal in enumerate(self._goals):
            if abs(aspect(goal) / aspect(live) - 1.0) > MAX_ASPECT_ERROR:
                raise Fault(
                    FaultCode.WRONG_ASPECT,
                    f'goal picture {index} is {size(goal)}, the camera {size(live)}: take goals '
                    'with this camera',
                )

    def check(self, live: np.ndarray) -> None:
        """Judge a live picture (H, W, 3) uint8 by itself: BAD_IMAGE where it shows nothing,
        WRONG_ASPECT where it has not the size of the first one.
        """
        check_content(live, 'the live picture')
        if self._live is None:
            self.check_aspect(live.shape)
            self._live = live.shape
        if live.shape != self._live:
            raise Fault(
                FaultCode.WRONG_ASPECT,
                f'the live picture is {size(live.shape)}, at the start of the goal it was '
                f'{size(self._live)}: is another camera publishing, or was its mode changed?',
            )

    def check_motion(self, pixels: np.ndarray, position: np.ndarray) -> None:
        """Raise a Fault with STALE_IMAGE for a live picture that is the one seen before although
        the measured hand (3,) [m] is elsewhere. pixels: as the model sees it, in any numbers.
        """
        if self._changed is not None:
            before, there = self._changed
            if np.abs(pixels - before).mean() <= REPEATED * before.std():
                check_seen(position, there)
                return
        self._changed = pixels, position


def check_seen(position: np.ndarray, before: np.ndarray) -> None:
    """Raise a Fault with STALE_IMAGE where a hand has gone farther than MOVED under one picture."""
    way = float(np.linalg.norm(position - before))
    if way > MOVED:
        raise Fault(
            FaultCode.STALE_IMAGE,
            f'the picture has not changed though the hand has moved {1e3 * way:.0f} mm: is the '
            'camera frozen?',
        )
