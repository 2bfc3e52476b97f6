# SPDX-License-Identifier: Apache-2.0
"""Whether a picture shows anything: goal pictures and live pictures are judged alike."""

from __future__ import annotations

import numpy as np

from jepa_wm_ros.errors import Fault, FaultCode

SAMPLED = 60  # rows or columns looked at, at least: enough to judge by, and quick
EMPTY_SHARE = 0.98  # of the pixels; a small disc on a plain ground is still a picture
DARK, WHITE = 16, 250  # of 255
SAME = 8  # of 255, a pixel's difference from the middle of a plain surface


def check_content(picture: np.ndarray, what: str) -> None:
    """Raise a Fault with BAD_IMAGE for a picture (H, W, 3) uint8 that is black, saturated or of one
    flat colour; `what` names it.
    """
    stride = max(1, min(picture.shape[:2]) // SAMPLED)
    pixels = picture[::stride, ::stride].reshape(-1, 3)
    differences = np.abs(pixels - np.median(pixels, axis=0))
    for fault, empty in (
        ('black: is the lens covered, or the light off?', pixels.max(axis=1) < DARK),
        ('saturated: shorten the exposure of the camera', pixels.min(axis=1) >= WHITE),
        ('of one flat colour: does the camera see the cell?', differences.max(axis=1) <= SAME),
    ):
        if empty.mean() >= EMPTY_SHARE:
            raise Fault(FaultCode.BAD_IMAGE, f'{what} is {fault}')


def aspect(shape: tuple[int, ...]) -> float:
    """Width over height of pictures of this shape (H, W, ...)."""
    return shape[1] / shape[0]


def size(shape: tuple[int, ...]) -> str:
    """A picture's shape (H, W, ...) as people say it, 640x480."""
    return f'{shape[1]}x{shape[0]}'
