# SPDX-License-Identifier: Apache-2.0
"""The worlds by their names."""

from __future__ import annotations

from collections.abc import Callable

from jepa_wm_ros.tasks.maze import PointMaze
from jepa_wm_ros.tasks.metaworld import Reach, ReachWall
from jepa_wm_ros.tasks.pusht import PushT
from jepa_wm_ros.tasks.wall import Wall
from jepa_wm_ros.tasks.world import World

WORLDS: dict[str, Callable[[], World]] = {
    'wall': Wall,
    'pointmaze': PointMaze,
    'pusht': PushT,
    Reach.name: Reach,
    ReachWall.name: ReachWall,
}
