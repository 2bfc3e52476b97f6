# SPDX-License-Identifier: Apache-2.0
"""What other nodes ask for, judged before anything is allocated, copied or moved for it.

Messages are used by their fields only, so nothing here imports ROS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.objective import MOST_CANDIDATES, MOST_STEPS

MOST_PICTURE_BYTES = 256 << 20  # of all pictures of one goal together


def candidates_of(request) -> np.ndarray:
    """The actions (N, H, A) float32 of a ScoreActions request, a view of its memory.

    Raises a Fault with BAD_LIMITS for counts beyond what a plan can need, or that do not agree with
    the numbers that came.
    """
    count, horizon, numbers = request.candidates, request.horizon, len(request.actions)
    if not 1 <= count <= MOST_CANDIDATES or not 1 <= horizon <= MOST_STEPS:
        raise Fault(
            FaultCode.BAD_LIMITS,
            f'score_actions takes 1 to {MOST_CANDIDATES} candidates of 1 to {MOST_STEPS} steps, '
            f'not {count} of {horizon}',
        )
    if not numbers or numbers % (count * horizon):
        raise Fault(
            FaultCode.BAD_LIMITS,
            f'{numbers} numbers are not {count} candidates x {horizon} steps x action_dim',
        )
    return np.frombuffer(request.actions, np.float32).reshape(count, horizon, -1)


def check_pictures(pictures: Sequence, most: int = 0) -> None:
    """Raise a Fault for goal pictures (Image or CompressedImage) that are too many (`most`, when it
    is given) or too large together, before one of them is looked at.
    """
    if most and len(pictures) > most:
        raise Fault(
            FaultCode.TOO_MANY_GOALS,
            f'{len(pictures)} goal pictures, at most {most} are taken (parameter max_goal_images)',
        )
    size = sum(len(picture.data) for picture in pictures)
    if size > MOST_PICTURE_BYTES:
        raise Fault(
            FaultCode.BAD_IMAGE,
            f'goal pictures of {size >> 20} MiB, at most {MOST_PICTURE_BYTES >> 20} MiB are taken: '
            'send smaller ones',
        )
