# SPDX-License-Identifier: Apache-2.0
"""Whether a camera stands where it stood when a reference picture was taken.

The latent of a picture cannot tell: the arm changes it far more than a camera that was moved. But
what does not move, an edge of the table or the foot of the arm, lies still in some places of the
picture, and in no place once the camera has been moved. So the picture is cut into small patches,
those that show an edge are correlated with the reference, and the best ones count.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError

SHORT_SIDE = 160  # px of the pictures compared
PATCH, STRIDE = 12, 6  # px
EDGE = 7.5  # grey levels, spread of a patch of the reference that shows an edge
FEWEST_EDGES = 20  # patches
BEST = 0.15  # the share of those patches that must lie still
# 1 - correlation up to which they do. Measured in the simulated cell, 240 pairs each: with arm,
# cube and light anywhere at most 0.0002, with noise of 3 grey levels besides 0.0017; with the
# camera moved by 5 cm at least 0.0116 (median 0.45), turned by 5 degrees 0.28 (median 0.71).
MOVED = 0.008


class ReferenceView:
    """The view of a reference picture, to compare live ones with."""

    def __init__(self, picture: np.ndarray) -> None:
        """picture: (H, W, 3) uint8, best of the empty cell. Raises a Fault with BAD_IMAGE where too
        little is to be seen in it.
        """
        self._shape = picture.shape
        patches = _patches(picture)
        self._edges = np.flatnonzero(patches.std(axis=1) > EDGE)
        if len(self._edges) < FEWEST_EDGES:
            raise Fault(
                FaultCode.BAD_IMAGE,
                f'the reference picture has {len(self._edges)} places with an edge and needs '
                f'{FEWEST_EDGES}: take one in which table and surroundings are sharp and lit',
            )
        self._reference = _normalised(patches[self._edges])

    @classmethod
    def read(cls, path: str | Path) -> ReferenceView:
        """The view of a picture file. Raises JepaWmError where that is none."""
        try:
            with Image.open(Path(path).expanduser(), formats=('JPEG', 'PNG')) as picture:
                pixels = np.array(picture.convert('RGB'))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise JepaWmError(
                f'reference picture {path} cannot be read ({error}): take one with '
                '`ros2 run jepa_wm_ros camera_reference FILE.png`'
            ) from None
        return cls(pixels)

    def difference(self, picture: np.ndarray) -> float:
        """How different the view of a live picture (H, W, 3) uint8 is: above MOVED, the camera was
        moved, or is another one; infinite for another size.
        """
        if picture.shape != self._shape:
            return float('inf')
        live = _normalised(_patches(picture)[self._edges])
        return float(np.quantile(1.0 - (live * self._reference).sum(axis=1), BEST))


def _patches(picture: np.ndarray) -> np.ndarray:
    """Grey patches (n, PATCH * PATCH) of a picture, overlapping by half."""
    grey = Image.fromarray(picture).convert('L')
    scale = SHORT_SIDE / min(grey.size)
    width, height = (max(PATCH, round(side * scale)) for side in grey.size)
    small = np.asarray(grey.resize((width, height), Image.Resampling.BOX), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(small, (PATCH, PATCH))[::STRIDE, ::STRIDE]
    return windows.reshape(-1, PATCH * PATCH)


def _normalised(patches: np.ndarray) -> np.ndarray:
    """Patches with mean 0 and length 1; light and contrast do not count."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
