# SPDX-License-Identifier: Apache-2.0
"""The planned waypoints as RViz shows them: a line and a ball at each, coloured by cost."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

LINE, BALL = 0.004, 0.012  # m, width and diameter
UNKNOWN = ColorRGBA(r=0.5, g=0.5, b=0.5, a=1.0)


def plan_markers(
    path: np.ndarray, cost: float, predicted_cost: float, worst: float, header: Header
) -> MarkerArray:
    """A path (n, >= 3) [m] from where the cost is known to where it is predicted. The model tells
    no cost for the waypoints in between: theirs lie on the way from the one to the other.

    Green is the goal (0), red the `worst` cost met on the way to it, grey one that nobody knows.
    """
    colours = [colour(each, worst) for each in np.linspace(cost, predicted_cost, len(path))]
    points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in path[:, :3]]
    line = Marker(ns='plan', id=0, type=Marker.LINE_STRIP, action=Marker.ADD)
    line.scale.x = LINE
    balls = Marker(ns='plan', id=1, type=Marker.SPHERE_LIST, action=Marker.ADD)
    balls.scale.x = balls.scale.y = balls.scale.z = BALL
    for marker in (line, balls):
        marker.header, marker.points, marker.colors = header, points, colours
        marker.pose.orientation.w = marker.color.a = 1.0
    return MarkerArray(markers=[line, balls])


def colour(cost: float, worst: float) -> ColorRGBA:
    """From green (0) over yellow to red (`worst` and more)."""
    if not (np.isfinite(cost) and np.isfinite(worst) and worst > 0.0):
        return UNKNOWN
    share = float(np.clip(cost / worst, 0.0, 1.0))
    return ColorRGBA(r=min(1.0, 2.0 * share), g=min(1.0, 2.0 * (1.0 - share)), b=0.1, a=1.0)
