# SPDX-License-Identifier: Apache-2.0
"""Episodes in the layout of LeRobot v3: numbers in parquet, pictures in mp4, an index in meta/.

A frame's row holds what was measured and commanded at it, so an episode of T actions has T + 1 rows
and the action of the last one is zero.
"""

from __future__ import annotations

from pathlib import Path

from jepa_wm_ros.recordings.formats import EpisodeSource, Format
from jepa_wm_ros.recordings.formats.lerobot.layout import INFO


def _open(path: Path, camera: str = '') -> EpisodeSource:
    from jepa_wm_ros.recordings.formats.lerobot.reader import LerobotEpisodes

    return LerobotEpisodes(path, camera)


FORMAT = Format(
    name='lerobot',
    looks_like=f'a folder with {INFO}',
    claims=lambda path: (path / INFO).is_file(),
    open=_open,
    cameras=True,
)
