# SPDX-License-Identifier: Apache-2.0
"""Carry an evaluation out: clips shared over processes and machines, rows kept as they come.

Every clip is a task of its own with its own random numbers, so neither the number of processes,
nor their order, nor an interruption changes a row.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.offline.perceptual import find_perceptual
from jepa_wm_ros.evaluation.offline.rows import Row
from jepa_wm_ros.evaluation.offline.trial import ClipTrial, PlannerChoice
from jepa_wm_ros.recordings.bags.recording import BagPictures, BagRecording
from jepa_wm_ros.recordings.episode_clips import EpisodePictures, EpisodeRecording
from jepa_wm_ros.world_model import Latents, load_world_model

Recording = BagRecording | EpisodeRecording

BLOCK = 4  # clips of a task: lost when interrupted, and read in one go
LONG_BLOCK = 64  # where a bag cannot be read from the middle


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to evaluate: recordings already read, models by name, planners by profile, seeds."""

    recordings: tuple[Recording, ...]
    models: tuple[str, ...]
    planners: tuple[str, ...]
    seeds: tuple[int, ...]
    horizon: int
    weights_dir: str | None = None
    device: str = 'cpu'

    def choices(self) -> list[PlannerChoice]:
        """The planners with the horizon of the clips."""
        return [PlannerChoice.load(name, self.horizon) for name in self.planners]


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring clips of one recording."""

    recording: int
    clips: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """This process's part when torchrun started several: rank of world."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def from_environment() -> Shard:
        """From RANK and WORLD_SIZE, which torchrun sets."""
        return Shard(int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1)))


def bag_label(recording: Recording) -> str:
    """The recording's name in tables: the last part of its path."""
    return recording.path.resolve().name


def blocks(plan: EvaluationPlan, shard: Shard) -> list[Block]:
    """The blocks of this shard: every world-th one."""
    every = []
    for index, recording in enumerate(plan.recordings):
        with recording.open() as pictures:
            size = BLOCK if pictures.random_access else LONG_BLOCK
        numbers = range(len(recording.clips))
        every += [
            Block(index, tuple(numbers[start : start + size]))
            for start in range(0, len(numbers), size)
        ]
    return every[shard.rank :: shard.world]


class Evaluator:
    """Models, planners and open recordings of one process."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.plan = plan
        self.trials = load_trials(plan)
        self._open: dict[int, BagPictures | EpisodePictures] = {}

    def run(self, block: Block, done: set[tuple]) -> list[Row]:
        """Rows of a block that are not in `done`."""
        recording = self.plan.recordings[block.recording]
        label = bag_label(recording)
        todo = [
            number
            for number in block.clips
            if any(key not in done for trial in self.trials for key in trial.keys(label, number))
        ]
        if not todo:
            return []
        if block.recording not in self._open:
            self._open[block.recording] = recording.open()
        source = self._open[block.recording]
        rows: list[Row] = []
        for part in [todo] if not source.random_access else [[number] for number in todo]:
            needed = [int(f) for number in part for f in recording.clips[number].frames]
            pictures = source.read(needed)
            for number in part:
                rows += self._clip(recording, label, number, pictures, done)
        return rows

    def _clip(
        self,
        recording: Recording,
        label: str,
        number: int,
        pictures: dict[int, np.ndarray | str],
        done: set[tuple],
    ) -> list[Row]:
        clip = recording.clips[number]
        stamp = int(recording.timeline.stamps[clip.frames[0]])
        read = [pictures[int(f)] for f in clip.frames]
        frames = [picture for picture in read if not isinstance(picture, str)]
        bad = next((reason for reason in read if isinstance(reason, str)), '')
        rows = []
        for trial in self.trials:
            if bad:
                rows += trial.failed(label, number, stamp, bad, done)
                continue
            latents: list[Latents] = [
                trial.encode(frame, pose) for frame, pose in zip(frames, clip.poses, strict=True)
            ]
            rows += trial.rows(label, number, stamp, clip, latents, frames, done)
        return rows


def load_trials(plan: EvaluationPlan) -> list[ClipTrial]:
    """One trial per model."""
    trials = []
    for name in plan.models:
        model = load_world_model(name, weights_dir=plan.weights_dir, device=plan.device)
        perceptual, _ = find_perceptual(model)
        trials.append(ClipTrial(model, name, plan.choices(), plan.seeds, perceptual=perceptual))
    return trials


def run(
    plan: EvaluationPlan,
    todo: Sequence[Block],
    done: set[tuple],
    jobs: int,
    on_rows: Callable[[list[Row]], None],
) -> None:
    """Evaluate blocks in `jobs` processes; `on_rows` hears the new rows of each block."""
    for rows in _inline(plan, todo, done) if jobs == 1 else _pooled(plan, todo, done, jobs):
        on_rows(rows)


def _inline(plan: EvaluationPlan, todo: Sequence[Block], done: set[tuple]) -> Iterator[list[Row]]:
    evaluator = Evaluator(plan)
    for block in todo:
        yield evaluator.run(block, done)


def _pooled(
    plan: EvaluationPlan, todo: Sequence[Block], done: set[tuple], jobs: int
) -> Iterator[list[Row]]:
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(jobs, get_context('spawn'), _start_worker, (plan, threads)) as pool:
        futures = [pool.submit(_work, block, done) for block in todo]
        for future in as_completed(futures):
            yield future.result()


_evaluator: Evaluator | JepaWmError | None = None  # of a worker process


def _start_worker(plan: EvaluationPlan, threads: int) -> None:
    global _evaluator
    torch.set_num_threads(threads)
    try:
        _evaluator = Evaluator(plan)
    except JepaWmError as error:  # an initializer that raises says nothing of why
        _evaluator = error


def _work(block: Block, done: set[tuple]) -> list[Row]:
    if not isinstance(_evaluator, Evaluator):
        raise _evaluator or JepaWmError('a worker of the evaluation was not set up')
    return _evaluator.run(block, done)
