# SPDX-License-Identifier: Apache-2.0
"""What a run's figures hang on beside its settings: data, tasks, and who needs no model there."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from jepa_wm_ros.evaluation.world_rows import Row, baseline_rows
from jepa_wm_ros.tasks.frozen_worlds import WorldTasks, read
from jepa_wm_ros.tasks.worlds import WORLDS

SMALL = 1 << 16  # bytes of a file that is read: recording.json, which has the hash of all episodes


def data_sha256(data: Path) -> str:
    """Which episodes these are: of the names and sizes of all files, and of what small ones say.

    Not of every picture: reading them takes as long as a training begins with, every time that it
    is asked what there is to do. Where the folder lies is not in it.
    """
    digest = hashlib.sha256()
    for file in sorted(data.rglob('*')) if data.is_dir() else [data]:
        if not file.is_file():
            continue
        name, size = file.relative_to(data).as_posix(), file.stat().st_size
        digest.update(f'{name}\0{size}\0'.encode())
        if size <= SMALL:
            digest.update(file.read_bytes())
    return digest.hexdigest()


@lru_cache
def tasks_of(world: str, tasks: str, episodes: int) -> WorldTasks:
    """The first tasks of a file; '': the world's shipped one. Raises TaskFileError."""
    return read(tasks or world, WORLDS[world]()).first(episodes)


def baselines_of(tasks: WorldTasks, out: Path) -> dict[str, Row]:
    """Who needs no model in these tasks, tried now where that is not in folder `out` yet."""
    file = out / 'baselines' / f'{tasks.world}_{tasks.sha256[:16]}_{len(tasks.tasks)}.json'
    if not file.exists():
        write_whole(file, baseline_rows(WORLDS[tasks.world](), tasks))
    return json.loads(file.read_text())


def write_whole(file: Path, content: Any) -> None:
    """A JSON file that is there as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix('.part')
    part.write_text(json.dumps(content, indent=1))
    part.replace(file)
