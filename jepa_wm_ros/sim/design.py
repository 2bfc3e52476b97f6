# SPDX-License-Identifier: Apache-2.0
"""What a simulated cell is built of: camera, table, light and thing; and other cells than ours.

Lengths in metres, angles in radians, everything in the arm's base frame, which is the world frame.
"""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from jepa_wm_ros.fr3 import FR3

WIDTH, HEIGHT = 640, 480  # of a picture
MARGIN = 15  # pixels around the workspace in the square that a model sees


@dataclass(frozen=True, slots=True)
class Appearance:
    """Light and colours; `light` scales the lamps (3,), the colours are RGBA (4,)."""

    light: np.ndarray
    ambient: float
    table: np.ndarray
    floor: np.ndarray
    cube: np.ndarray


@dataclass(frozen=True, slots=True)
class CellDesign:
    """One cell: where its camera is and looks, how it appears, half the edges (3,) of the box that
    lies on its table, which everything here calls the cube, and where (2,) a second one stands that
    nobody moves, if there is one.
    """

    camera_position: np.ndarray
    camera_target: np.ndarray
    camera_fovy: float
    appearance: Appearance
    cube_half: np.ndarray
    second: np.ndarray | None = None

    def camera_rotation(self) -> np.ndarray:
        """Rotation (3, 3) of the camera's optical frame (x right, y down, z forward)."""
        forward = self.camera_target - self.camera_position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward], axis=1)

    def camera_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) [m] and quaternion (x, y, z, w) of the camera's optical frame."""
        return self.camera_position, Rotation.from_matrix(self.camera_rotation()).as_quat()

    def camera_matrix(self, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
        """Pinhole matrix K (3, 3) [pixels] of the camera for pictures of this size.

        Pixel (0, 0) is the centre of the upper left pixel, as sensor_msgs/CameraInfo has it.
        """
        focal = height / 2 / np.tan(self.camera_fovy / 2)
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])

    def pixel(self, point: np.ndarray) -> np.ndarray:
        """Column and row of a point (3,) [m] in a picture of WIDTH x HEIGHT."""
        x, y, z = self.camera_rotation().T @ (point - self.camera_position)
        k = self.camera_matrix()
        return np.array([k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]])

    def shows_the_workspace(self) -> bool:
        """Whether every corner of the workspace lies in the central square of the picture."""
        corners = itertools.product(*zip(FR3.workspace_low, FR3.workspace_high, strict=True))
        away = np.abs([self.pixel(np.array(corner)) for corner in corners] - self._centre())
        return bool((away < min(WIDTH, HEIGHT) / 2 - MARGIN).all())

    @staticmethod
    def _centre() -> np.ndarray:
        return np.array([WIDTH - 1, HEIGHT - 1]) / 2


NOMINAL = CellDesign(  # the cell that the shipped model was trained in
    camera_position=np.array([1.16, 0.52, 0.72]),
    camera_target=np.array([0.46, -0.02, 0.20]),
    camera_fovy=np.deg2rad(45.0),
    appearance=Appearance(
        light=np.ones(3),
        ambient=1.0,
        table=np.array([0.56, 0.47, 0.37, 1.0]),
        floor=np.array([0.25, 0.28, 0.31, 1.0]),
        cube=np.array([0.87, 0.26, 0.13, 1.0]),
    ),
    cube_half=np.full(3, 0.025),
)


def cell_design(number: int) -> CellDesign:
    """Cell 0 is `NOMINAL`; every other number is a cell of its own, drawn from it.

    The camera stands anywhere in front of the arm or beside it from where it sees the workspace.
    """
    if number == 0:
        return NOMINAL
    rng = np.random.default_rng([number, 4])
    while True:
        drawn = _draw(rng)
        if drawn.shows_the_workspace():
            return drawn


def _draw(rng: np.random.Generator) -> CellDesign:
    target = NOMINAL.camera_target + rng.uniform(-0.05, 0.05, 3)
    azimuth, elevation = np.deg2rad(rng.uniform([-75.0, 20.0], [75.0, 50.0]))
    distance = rng.uniform(0.9, 1.3)
    towards = [
        np.cos(elevation) * np.cos(azimuth),
        np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation),
    ]
    return CellDesign(
        camera_position=target + distance * np.array(towards),
        camera_target=target,
        camera_fovy=np.deg2rad(rng.uniform(40.0, 60.0)),
        appearance=Appearance(
            light=rng.uniform(0.6, 1.3, 3),
            ambient=rng.uniform(0.7, 1.3),
            table=_rgba(rng, saturation=(0.0, 0.5), value=(0.3, 0.8)),
            floor=_rgba(rng, saturation=(0.0, 0.5), value=(0.15, 0.6)),
            cube=_rgba(rng, saturation=(0.6, 1.0), value=(0.4, 0.9)),
        ),
        cube_half=rng.uniform(0.018, 0.035, 3),
    )


def _rgba(rng: np.random.Generator, saturation, value) -> np.ndarray:
    colour = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))
    return np.array([*colour, 1.0])
