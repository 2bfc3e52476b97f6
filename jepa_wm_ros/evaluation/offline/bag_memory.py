# SPDX-License-Identifier: Apache-2.0
"""Measure that memory does not grow with the bag: generate bags, read them, note the peak.

    python -m jepa_wm_ros.evaluation.offline.bag_memory --gigabytes 0.5 1 2 10 --storage mcap

Each bag holds raw 640x480 frames at 30 Hz with poses and joints, is read whole by a fresh process
(stamps and states, then the frames of every clip), and is deleted before the next.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import Findings
from jepa_wm_ros.recordings.bags.recording import read_frames, read_recording
from jepa_wm_ros.recordings.bags.writer import CellBagWriter
from jepa_wm_ros.recordings.clips import ClipSettings
from jepa_wm_ros.recordings.topics import TopicSpec

START = 1_750_000_000_000_000_000
HZ = 30


def write_bag(path: Path, megabytes: float, storage: str, size: tuple[int, int]) -> int:
    """Write about `megabytes` of raw frames of size (H, W) with states; returns the frames."""
    frames = max(HZ, round(megabytes * 1e6 / (3 * size[0] * size[1])))
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    with CellBagWriter(path, storage=storage) as bag:
        for index in range(frames):
            stamp = START + round(index * 1e9 / HZ)
            pose = np.array([0.5, 0.1 * np.sin(index / HZ), 0.3, 3.1, 0.0, 0.0, 0.0])
            bag.pose(stamp, pose)
            bag.joints(stamp, pose)
            bag.image(stamp, picture)
    return frames


def read_bag(path: Path) -> int:
    """Read a bag as the evaluator does; returns the number of clips."""
    recording = read_recording(path, TopicSpec(), ClipSettings(rate=4.0, horizon=3, stride=3))
    with Bag(path, Findings()) as bag:
        for clip in recording.clips:
            read_frames(bag, recording, [int(frame) for frame in clip.frames])
    return len(recording.clips)


def _measure(path: Path) -> None:
    """In a fresh process: one line of CSV about reading `path`."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    clips = read_bag(path)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f'{clips},{seconds:.1f},{before / 1024:.1f},{peak / 1024:.1f}')


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    p = argparse.ArgumentParser(prog='bag_memory', description=__doc__.splitlines()[0])
    p.add_argument('--gigabytes', type=float, nargs='+', default=[0.5, 1.0, 2.0])
    p.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap')
    p.add_argument('--folder', type=Path, help='where to put the bags (default: temporary)')
    p.add_argument('--read', type=Path, help=argparse.SUPPRESS)
    options = p.parse_args(argv)
    if options.read:
        _measure(options.read)
        return 0
    print('storage  GB     frames  clips  seconds  MiB before  MiB peak')
    for gigabytes in options.gigabytes:
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            frames = write_bag(folder / 'bag', gigabytes * 1000, options.storage, (480, 640))
            done = subprocess.run(
                [
                    sys.executable,
                    '-m',
                    'jepa_wm_ros.evaluation.offline.bag_memory',
                    '--read',
                    str(folder / 'bag'),
                ],
                capture_output=True,
                text=True,
                check=True,
            )
            clips, seconds, before, peak = done.stdout.split(',')
        finally:
            shutil.rmtree(folder)
        print(
            f'{options.storage:8} {gigabytes:<5g}  {frames:6d}  {clips:>5}  {seconds:>7}  '
            f'{before:>10}  {peak.strip():>8}',
            flush=True,
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
