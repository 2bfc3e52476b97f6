# SPDX-License-Identifier: Apache-2.0
"""Record training episodes in the simulated cell: `python -m jepa_wm_ros.sim.record --help`.

The same command resumes an interrupted recording. Episode i depends on `--seed` + i alone, not on
the number of jobs.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.recordings.episode import STEP_RATE
from jepa_wm_ros.recordings.folder import claim
from jepa_wm_ros.recordings.formats import EpisodeSink, formats
from jepa_wm_ros.sim.scene import SimError

FRAME_SIZE = 96
FORMAT = 'hdf5'  # of recordings/formats
_progress: Synchronized[int]  # in a worker process: the shared count of episodes done


def record_episode(cell, seed: int, steps: int, skills: bool = False):
    """One `Episode` of `steps` actions in the DirectCell `cell`, of exploration or of skills."""
    from jepa_wm_ros.actions import actions_between
    from jepa_wm_ros.recordings.episode import Episode
    from jepa_wm_ros.recordings.exploration import Explorer
    from jepa_wm_ros.recordings.skills import SkilledExplorer
    from jepa_wm_ros.sim.variation import sample_cell
    from jepa_wm_ros.world_model.images import kept_square

    rng = np.random.default_rng(seed)
    state = sample_cell(rng, cell.design)
    explorer = SkilledExplorer(rng) if skills else Explorer(rng)
    frame, pose = _reset(cell, explorer, state)
    before = explorer.steps_before()
    frames, poses, cubes = [kept_square(frame, FRAME_SIZE)], [pose], [cell.cube]
    actions: list[np.ndarray] = []
    while len(actions) < steps:
        action = explorer.action(pose, cell.commanded, cell.thing).astype(np.float32)
        try:
            frame, pose = cell.step(action)
        except SimError:  # out of reach in this orientation: the explorer proposes another
            continue
        if before:
            before -= 1
            frames, poses, cubes = [kept_square(frame, FRAME_SIZE)], [pose], [cell.cube]
            continue
        frames.append(kept_square(frame, FRAME_SIZE))
        poses.append(pose)
        actions.append(action)
        cubes.append(cell.cube)
    return Episode(
        frames=np.stack(frames),
        proprio=np.array(poses, np.float32),
        actions=np.stack(actions),
        fps=STEP_RATE,
        seed=seed,
        extras={
            'achieved': actions_between(np.array(poses)).astype(np.float32),
            'cube': np.array(cubes, np.float32),  # position [m] and quaternion, for probes
        },
    )


def _reset(cell, explorer, state):
    while True:  # a tilted start in a far corner may be out of reach: draw another
        start, posture = explorer.start_pose(), explorer.posture()
        try:
            return cell.reset(start, state, posture)
        except SimError:
            continue


def record(
    out: Path, episodes: int, seed: int, jobs: int, steps: int, cell: int = 0, skills: bool = False
) -> None:
    """Record what is still missing of `episodes` episodes in folder `out`."""
    from tqdm import tqdm

    claim(out, settings(seed, steps, cell, skills))
    recorded = _writing()[1]
    missing = sorted(set(range(episodes)) - recorded(out))
    context = multiprocessing.get_context('spawn')
    count = context.Value('i', 0)
    with (
        ProcessPoolExecutor(jobs, context, _start_worker, (count,)) as pool,
        tqdm(total=episodes, initial=episodes - len(missing), unit='episode') as bar,
    ):
        pending = {
            pool.submit(_record_share, out, f'job{j}', missing[j::jobs], seed, steps, cell, skills)
            for j in range(jobs)
        }
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
            bar.update(count.value + episodes - len(missing) - bar.n)
            for future in done:
                future.result()


def _writing() -> tuple[Callable[[Path, str], EpisodeSink], Callable[[Path], set[int]]]:
    """How FORMAT opens a writer, and how it tells what is recorded."""
    chosen = formats()[FORMAT]
    if chosen.create is None or chosen.recorded is None:
        raise SimError(f'episodes of format {FORMAT} can only be read: record in another')
    return chosen.create, chosen.recorded


def settings(seed: int, steps: int, cell: int, skills: bool = False) -> dict:
    """What all episodes of one folder have in common."""
    told = {'seed': seed, 'steps': steps, 'frame_size': FRAME_SIZE, 'fps': STEP_RATE, 'cell': cell}
    return told | ({'skills': True} if skills else {})


def _start_worker(count: Synchronized[int]) -> None:
    global _progress
    import torch

    _progress = count
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    die_with_parent()


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it ends, however it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _record_share(
    out: Path, name: str, indices: list[int], seed: int, steps: int, number: int, skills: bool
) -> None:
    from jepa_wm_ros.recordings.skills import TABLE
    from jepa_wm_ros.sim.design import cell_design
    from jepa_wm_ros.sim.direct import DirectCell

    create = _writing()[0]
    low = TABLE.low if skills else None
    with DirectCell(design=cell_design(number), low=low) as cell, create(out, name) as writer:
        for index in indices:
            writer.write(index, record_episode(cell, seed + index, steps, skills))
            with _progress.get_lock():
                _progress.value += 1


@exit_status('stopped; the same command resumes')
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for the episodes')
    parser.add_argument('--episodes', type=int, default=2000, help='how many (default 2000)')
    parser.add_argument('--steps', type=int, default=20, help='actions per episode (default 20)')
    parser.add_argument('--seed', type=int, default=0, help='episode i draws from seed + i')
    parser.add_argument('--jobs', type=int, default=2, help='processes (default 2)')
    parser.add_argument('--cell', type=int, default=0, help='which cell: 0 is the usual one')
    parser.add_argument(
        '--skills',
        action='store_true',
        help='grasp, carry, put down and push the cube, in place of exploring',
    )
    args = parser.parse_args(argv)
    if min(args.episodes, args.steps, args.jobs) < 1 or min(args.seed, args.cell) < 0:
        raise SimError(
            '--episodes, --steps and --jobs must be at least 1, --seed and --cell at least 0'
        )
    record(args.out, args.episodes, args.seed, args.jobs, args.steps, args.cell, args.skills)
    return 0


if __name__ == '__main__':
    sys.exit(main())
