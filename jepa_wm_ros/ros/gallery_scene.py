# SPDX-License-Identifier: Apache-2.0
"""What the goal gallery looks like: a wall of pictures behind the arm, frames around some, a line
of text above them.

A picture is a textured quad inside a BUTTON control with a menu. The fields are those that were
seen to work in RViz 2: the texture's format is exactly `jpeg` (anything else that is no picture
format ends RViz), the corners run counter-clockwise for who looks at it (the other side is black,
hence the second, grey quad behind), names are in the pictures (descriptions overlap).
"""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import (
    InteractiveMarker,
    InteractiveMarkerControl,
    Marker,
    MarkerArray,
    MenuEntry,
    UVCoordinate,
)

from jepa_wm_ros.fr3 import Arm
from jepa_wm_ros.goals.thumbnail import BUTTON_HEIGHT, HEIGHT, STRIP, WIDTH
from jepa_wm_ros.ros.base.convert import pose_message

PIXEL = 0.24 / WIDTH  # m
PICTURE = (WIDTH * PIXEL, (HEIGHT + STRIP) * PIXEL)  # width and height of a goal [m]
BUTTON = (WIDTH * PIXEL, BUTTON_HEIGHT * PIXEL)
GAP = 0.02  # m between them
COLUMNS = 6
# The wall stands behind the arm, upright, and looks along +x of the base; right is +y.
WALL_X, WALL_BOTTOM = -0.45, 0.30  # m
DEPTH = 0.004  # m from a picture to its back
ARM_WIDTH, OUTLINE_WIDTH, TEXT_HEIGHT = 0.04, 0.008, 0.05  # m
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
# Of a picture: number, the entry it is under, title, action. What cannot be undone is asked twice.
MENU = (
    (1, 0, 'preview', 'preview'),
    (2, 0, 'plan to this', 'plan'),
    (3, 0, 'append to sequence', 'append'),
    (4, 0, 'capture the current view', 'capture'),
    (5, 0, 'rename to the parameter new_name', 'rename'),
    (6, 0, 'delete', ''),
    (7, 6, 'yes, delete it', 'delete'),
    (8, 0, 'stop', 'stop'),
)
ACTIONS = {number: action for number, _, _, action in MENU}
BUTTONS = {  # below the pictures, with their colours
    'capture': (40, 80, 140),
    'plan': (30, 110, 60),
    'stop': (170, 30, 30),
    'recover': (150, 110, 20),
}

YELLOW = ColorRGBA(r=1.0, g=0.8, b=0.1, a=1.0)
GREEN = ColorRGBA(r=0.2, g=0.9, b=0.3, a=1.0)
BLUE = ColorRGBA(r=0.3, g=0.6, b=1.0, a=1.0)
WHITE = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
GREY = ColorRGBA(r=0.4, g=0.4, b=0.4, a=1.0)


@dataclass(frozen=True, slots=True)
class Outline:
    """A coloured frame around a picture: the goal previewed, those to come, the one sought."""

    goal: str
    colour: ColorRGBA
    margin: float  # m outside the picture, so that two frames around one are seen


def place_of_goal(index: int) -> Pose:
    """Where the picture of goal `index` hangs: rows of COLUMNS from the bottom left."""
    row, column = divmod(index, COLUMNS)
    y = (column - (COLUMNS - 1) / 2) * (PICTURE[0] + GAP)
    z = WALL_BOTTOM + PICTURE[1] / 2 + row * (PICTURE[1] + GAP)
    return pose_message((WALL_X, y, z), UPRIGHT)


def place_of_button(index: int, count: int) -> Pose:
    """Where button `index` of `count` is: a row below the pictures."""
    y = (index - (count - 1) / 2) * (BUTTON[0] + GAP)
    return pose_message((WALL_X, y, WALL_BOTTOM - GAP - BUTTON[1] / 2), UPRIGHT)


def clickable(
    name: str, jpeg: bytes, size: tuple[float, float], pose: Pose, frame: str, menu: bool = False
) -> InteractiveMarker:
    """A picture `size` [m] that can be clicked, and with MENU at a right click."""
    marker = InteractiveMarker(name=name, pose=pose, scale=1.0)
    marker.header.frame_id = frame  # at stamp 0: the newest transform, and none where it is fixed
    control = InteractiveMarkerControl(
        name='picture',
        interaction_mode=InteractiveMarkerControl.BUTTON,
        always_visible=True,
        markers=[_front(f'{frame}_{name}', jpeg, size), _back(size)],
    )
    control.orientation.w = 1.0
    marker.controls = [control]
    if menu:
        marker.menu_entries = [
            MenuEntry(id=number, parent_id=under, title=title) for number, under, title, _ in MENU
        ]
    return marker


def scene(
    frame: str, goals: Mapping[str, int], outlines: Iterable[Outline], text: str
) -> MarkerArray:
    """Frames around goals, and the status text; goals: the place of each on the wall."""
    header = Header(frame_id=frame)
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for number, outline in enumerate(outlines):
        if outline.goal in goals:
            markers.append(_outline(header, number, goals[outline.goal], outline))
    rows = max(goals.values(), default=0) // COLUMNS + 1
    words = Marker(header=header, ns='status', type=Marker.TEXT_VIEW_FACING, text=text)
    words.pose = pose_message(
        (WALL_X, 0.0, WALL_BOTTOM + rows * (PICTURE[1] + GAP) + 0.06), UPRIGHT
    )
    words.scale.z, words.color = TEXT_HEIGHT, WHITE
    markers.append(words)
    return MarkerArray(markers=markers)


def arm_line(frame: str, arm: Arm, q: np.ndarray) -> Marker:
    """The arm as a line through its joints at angles q (7,) [rad]: it needs no description."""
    points = [pose[:3, 3] for pose in arm.frames(q)]
    return _line(Header(frame_id=frame), 'arm', 0, points, ARM_WIDTH, GREY)


def _front(texture: str, jpeg: bytes, size: tuple[float, float]) -> Marker:
    marker = _quad(size, ((0, 1, 2), (0, 2, 3)), 0.0)
    marker.color = WHITE  # of nothing it would be invisible
    marker.texture_resource = f'embedded://{texture}'
    marker.texture.format = 'jpeg'
    marker.texture.data = array.array('B', jpeg)
    corners = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))
    marker.uv_coordinates = [
        UVCoordinate(u=u, v=v) for u, v in (corners[i] for i in (0, 1, 2, 0, 2, 3))
    ]
    return marker


def _back(size: tuple[float, float]) -> Marker:
    marker = _quad(size, ((0, 2, 1), (0, 3, 2)), -DEPTH)
    marker.id, marker.color = 1, GREY
    return marker


def _quad(size: tuple[float, float], triangles, x: float) -> Marker:
    """Two triangles of the corners top left, bottom left, bottom right, top right seen from +x."""
    marker = Marker(ns='picture', type=Marker.TRIANGLE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    corners = _corners(size)
    marker.points = [
        Point(x=x, y=float(corners[corner][0]), z=float(corners[corner][1]))
        for triangle in triangles
        for corner in triangle
    ]
    return marker


def _corners(size: tuple[float, float]) -> list[tuple[float, float]]:
    """(y, z) of top left, bottom left, bottom right, top right."""
    y, z = size[0] / 2, size[1] / 2
    return [(-y, z), (-y, -z), (y, -z), (y, z)]


def _outline(header: Header, number: int, index: int, outline: Outline) -> Marker:
    middle = place_of_goal(index).position
    size = tuple(side + 2 * outline.margin for side in PICTURE)
    ring = [*_corners(size), _corners(size)[0]]
    points = [(middle.x + DEPTH, middle.y + y, middle.z + z) for y, z in ring]
    return _line(header, 'outline', number, points, OUTLINE_WIDTH, outline.colour)


def _line(header: Header, ns: str, number: int, points, width: float, colour: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=ns, id=number, type=Marker.LINE_STRIP, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x, marker.color = width, colour
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
    return marker
