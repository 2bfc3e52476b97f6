# SPDX-License-Identifier: Apache-2.0
"""Ways in which a camera or a frame may differ from those a model was trained with, undone.

Each view is a guess at what is wrong. Under the right guess pictures, poses and actions are as the
model knows them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from jepa_wm_ros.actions import POSITION, ROTATION, euler_to_matrix, matrix_to_euler
from jepa_wm_ros.world_model.images import central_square

CROP_SIDES = (0.5, 0.6, 0.72, 0.85, 1.2, 1.4, 1.7)  # of a picture's short side


class Cause(Enum):
    """What is wrong; what to say of it and how to mend it."""

    NOTHING = (
        'the model predicts what this camera sees',
        'camera and frame are as the model expects them',
    )
    ROTATED = (
        'the picture is turned',
        'turn the camera, or its picture in the driver (image_rotate)',
    )
    MIRRORED = (
        'the picture is mirrored',
        "switch off the flip in the camera's driver (flip_horizontal, flip_vertical)",
    )
    CROPPED = (
        'the picture shows another part of the cell than the model was trained on',
        'crop it in the driver, or move the camera, until arm and table fill the picture as in the '
        "model's training data",
    )
    FRAME = (
        "pose and action are given in a frame that is turned against the arm's base",
        'publish the hand pose in the base frame (base_frame) and look for a rotated mount or '
        'world frame',
    )
    CAMERA = (
        'no turning, mirroring or cropping makes these pictures predictable',
        'look whether this is the camera the model was trained with (two cameras swapped?) and '
        'where it stands; if it is meant, the model must be trained for it',
    )
    STILL = (
        'the picture hardly changes though the hand moves',
        'look whether the camera is frozen or covered, and whether it sees the arm',
    )

    @property
    def said(self) -> str:
        """What is wrong, for a person."""
        return self.value[0]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class View:
    """One guess.

    turn    quarter turns by which the pictures were turned to the left
    mirror  whether left and right were exchanged
    box     the square (left, top, side) that the model should see, of the picture's short side from
            the centre of the picture: (0, 0, 1) is the usual central square; None with it
    yaw     angle [rad] about z by which pose and action are to be turned into the arm's base
    """

    cause: Cause
    name: str
    turn: int = 0
    mirror: bool = False
    box: tuple[float, float, float] | None = None
    yaw: float = 0.0

    def pictures(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (N, H, W, 3) uint8 as square ones (N, S, S, 3) with this undone."""
        square = _cut(pictures, self.box or (0.0, 0.0, 1.0))
        if self.mirror:
            square = square[:, :, ::-1]
        return np.rot90(square, -self.turn, axes=(1, 2))

    def poses(self, poses: np.ndarray) -> np.ndarray:
        """Poses pose7 (N, 7) in the arm's base frame."""
        if not self.yaw:
            return poses
        turn, turned = _about_z(self.yaw), poses.copy()
        turned[:, POSITION] = poses[:, POSITION] @ turn.T
        turned[:, ROTATION] = matrix_to_euler(turn @ euler_to_matrix(poses[:, ROTATION]))
        return turned

    def actions(self, actions: np.ndarray) -> np.ndarray:
        """Actions (N, 7) in the arm's base frame."""
        if not self.yaw:
            return actions
        turn, turned = _about_z(self.yaw), actions.copy()
        turned[:, POSITION] = actions[:, POSITION] @ turn.T
        rotations = turn @ euler_to_matrix(actions[:, ROTATION]) @ turn.T
        turned[:, ROTATION] = matrix_to_euler(rotations)
        return turned


AS_IT_IS = View(Cause.NOTHING, 'as it is')


def simple_views() -> list[View]:
    """Nothing wrong; turned or mirrored pictures; a turned frame."""
    quarters = (1, 2, 3)
    return [
        AS_IT_IS,
        *(View(Cause.ROTATED, f'turned by {90 * k} degrees to the left', turn=k) for k in quarters),
        View(Cause.MIRRORED, 'left and right exchanged', mirror=True),
        View(Cause.MIRRORED, 'up and down exchanged', turn=2, mirror=True),
        *(
            View(Cause.FRAME, f'frame turned by {90 * k} degrees about z', yaw=-k * math.pi / 2)
            for k in quarters
        ),
    ]


def crops(shape: tuple[int, ...]) -> list[View]:
    """Parts of pictures of this shape (H, W, ...), and pictures of which they are a part."""
    height, width = shape[:2]
    half = np.array([width, height]) / min(height, width) / 2
    found = []
    for side in CROP_SIDES:
        room = np.abs(half - side / 2)  # to either side of the middle, in and beyond the picture
        for x, y in itertools.product((-1, 0, 1), repeat=2):
            found.append(crop(float(x * room[0]), float(y * room[1]), side))
    return found


def crop(left: float, top: float, side: float) -> View:
    """The square of a side around a place right of and below the middle, of the short side."""
    what = 'a part' if side < 1.0 else 'part of a picture'
    place = ', '.join(
        f'{abs(value):.0%} {word}'
        for value, word in (
            (side, 'of its height'),
            (left, 'right of the middle' if left > 0 else 'left of the middle'),
            (top, 'below it' if top > 0 else 'above it'),
        )
        if abs(value) > 0.005
    )
    return View(Cause.CROPPED, f'{what}: a square of {place}', box=(left, top, side))


def nearby(view: View) -> list[View]:
    """Crops a little beside, larger and smaller than a crop."""
    assert view.box is not None
    left, top, side = view.box
    return [
        crop(left + dx * side / 10, top + dy * side / 10, side * scale)
        for dx, dy, scale in itertools.product((-1, 0, 1), (-1, 0, 1), (0.92, 1.0, 1.08))
    ]


def _about_z(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _cut(pictures: np.ndarray, box: tuple[float, float, float]) -> np.ndarray:
    """A square of pictures (N, H, W, 3); beyond their edge the edge goes on."""
    height, width = pictures.shape[1:3]
    top, left, short = central_square(height, width)
    right_of, below, side = (round(part * short) for part in box)
    rows = top + below + np.arange(side) + (short - side) // 2
    columns = left + right_of + np.arange(side) + (short - side) // 2
    return pictures[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
