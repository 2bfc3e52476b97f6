# SPDX-License-Identifier: Apache-2.0
"""Small bags for the tests: a white square follows a hand that moves on a circle."""

import numpy as np

from jepa_wm_ros.recordings.bags.writer import CellBagWriter

START = 1_700_000_000_000_000_000
MS = 1_000_000


def pose_at(seconds: float) -> np.ndarray:
    """pose7 of the hand after `seconds`: 8 cm/s on a circle, slowly turning, closing half-way."""
    angle = 0.8 * seconds
    return np.array(
        [
            0.5 + 0.1 * np.sin(angle),
            0.1 * np.cos(angle),
            0.2,
            3.1,
            0.0,
            0.05 * seconds,
            min(1.0, 0.1 * seconds),
        ]
    )


def picture_at(seconds: float, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    pose = pose_at(seconds)
    frame = np.full((*size, 3), 30, np.uint8)
    row = int(size[0] * (0.5 + 2 * pose[1]))
    column = int(size[1] * (0.5 + 2 * (pose[0] - 0.5)))
    frame[max(0, row - 4) : row + 4, max(0, column - 4) : column + 4] = (250, 200, 150)
    return frame


def make_bag(
    path,
    *,
    seconds: float = 6.0,
    image_hz: float = 10.0,
    state_hz: float = 30.0,
    stamp=lambda ns: ns,
    skip=lambda seconds: False,
    encoding='rgb8',
    size=(48, 64),
    joints: bool = True,
    image_delay: float = 0.0,
    **options,
):
    """Write a bag; `stamp` bends the clock of all stamps, `skip` leaves frames out.

    With image_delay [s] frames lie between states, else at the stamps of some.
    """
    events = [
        (round((i / image_hz + image_delay) * 1e9), 'image')
        for i in range(round(seconds * image_hz))
    ]
    events += [(round(i * 1e9 / state_hz), 'state') for i in range(round(seconds * state_hz) + 1)]
    with CellBagWriter(path, **options) as writer:
        for elapsed, kind in sorted(events):
            now, record = elapsed / 1e9, START + elapsed
            if kind == 'state':
                writer.pose(stamp(record), pose_at(now), record)
                if joints:
                    writer.joints(stamp(record), pose_at(now), record=record)
            elif not skip(now):
                writer.image(
                    stamp(record),
                    picture_at(now, size),
                    record,
                    **({'encoding': encoding} if options.get('images', 'raw') == 'raw' else {}),
                )
    return path


def write_messages(path, messages, arm=None) -> None:
    """Write a bag of (role, stamp, record time, pose7); role is 'image', 'pose' or 'joints'.

    arm(seconds after START) are joint angles (7,) to write with the fingers'.
    """
    with CellBagWriter(path) as writer:
        for role, stamp, record, pose7 in messages:
            if role == 'image':
                writer.image(stamp, np.zeros((2, 2, 3), np.uint8), record)
            elif role == 'pose':
                writer.pose(stamp, pose7, record)
            else:
                angles = arm and arm((record - START) / 1e9)
                writer.joints(stamp, pose7, angles, record)
