# SPDX-License-Identifier: Apache-2.0
"""One run: a training with one seed, and its successes. What is there already is not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from jepa_wm_ros.evaluation.world_rows import planned_row
from jepa_wm_ros.evaluation.worlds import planned, profile_for, session_of, trials
from jepa_wm_ros.findings.beside import data_sha256, tasks_of, write_whole
from jepa_wm_ros.findings.questions import Variant
from jepa_wm_ros.findings.recipes import configuration
from jepa_wm_ros.learning import dataset, train
from jepa_wm_ros.learning.settings import TrainingError
from jepa_wm_ros.tasks.frozen_worlds import WorldTasks
from jepa_wm_ros.tasks.world import World
from jepa_wm_ros.tasks.worlds import WORLDS
from jepa_wm_ros.world_model.files.safe_files import sha256

BASE = Variant('')  # nothing is changed
# How figures come about that no key below tells; those of another way are made again.
EVALUATION = 'normalised actions, measured goals, plans within the steps left'


@dataclass(frozen=True, slots=True)
class Plan:
    """What is common to all runs.

    config        base configuration, a file or a name in config/train
    data, out     folders of the episodes, and of everything that is made
    iterations    of each stage; None: the configuration's
    episodes, size, executed    of the evaluation
    encoders      files of encoders that are frozen as they are, by kind (frozen.ENCODERS)
    tasks         frozen ones that all are judged on, a file or a name in config/tasks; '': the
                  world's
    """

    world: str
    config: str
    data: Path
    out: Path
    iterations: int | None
    episodes: int
    size: str
    executed: int
    threads: int
    encoders: Mapping[str, Path] = field(default_factory=dict)
    tasks: str = ''

    def judged_on(self) -> WorldTasks:
        """The tasks of the evaluation. Raises TaskFileError."""
        return tasks_of(self.world, self.tasks, self.episodes)


@dataclass(frozen=True, slots=True)
class Run:
    """A variant with a seed."""

    plan: Plan
    variant: Variant
    seed: int

    @property
    def result(self) -> Path:
        """Where its figures are: named by all that made them."""
        told = {
            'training': self._training_key(),
            'planning': dict(self.variant.planning),
            'evaluation': EVALUATION,
            'tasks': self.plan.judged_on().sha256,
            'episodes': self.plan.episodes,
            'size': self.plan.size,
            'executed': self.plan.executed,
        }
        return self.plan.out / 'results' / f'{_digest(told)}.json'

    def _training_key(self) -> dict[str, Any]:
        key = {
            'world': self.plan.world,
            'data': data_sha256(self.plan.data),
            'config': configuration(self.plan.config, self.variant),
            'iterations': self.plan.iterations,
            'seed': self.seed,
        }
        frozen = self.variant.encoder
        if not frozen:
            return key
        file = self.plan.encoders.get(frozen)
        return key | {'encoder': [frozen, _sha256(file) if file else '']}

    def figures(self) -> dict[str, Any]:
        """What it has reached, made now where it is not there yet."""
        if self.result.exists():
            return json.loads(self.result.read_text())
        begun = time.monotonic()
        model = self._trained()
        trained = time.monotonic() - begun
        session = session_of(model)
        wanted = {'size': self.plan.size, 'executed': self.plan.executed}
        told: dict[str, Any] = wanted | dict(self.variant.planning)
        if told.get('planner') in ('adam', 'gd'):
            told.pop('size')
        profile = profile_for(**told)
        world: World = WORLDS[self.plan.world]()
        policy = planned(f'{self.variant.name}, seed {self.seed}', session, profile)
        tasks, made_of = self.plan.judged_on(), self._training_key()
        figures = {
            'variant': self.variant.name,
            'seed': self.seed,
            **planned_row(world, tasks, trials(world, policy, tasks), profile),
            'data': made_of['data'],
            'tasks': tasks.sha256,
            'weights': sha256(model),
            'training_seconds': round(trained),
            'seconds': round(time.monotonic() - begun),
            'made_of': made_of,
        }
        write_whole(self.result, figures)
        return figures

    def _trained(self) -> Path:
        """The weights, trained now where they are not there yet. One encoder serves all predictors
        of a seed.
        """
        key = self._training_key()
        if frozen := self.variant.encoder:
            file = self.plan.encoders.get(frozen, frozen)
            return self._train(key, key['config'], ['--stage', 'predictor', '--encoder', str(file)])
        base = configuration(self.plan.config, BASE)
        common = key | {'config': {**base, 'predictor': None, 'retrained': None}}
        encoder = self._train(common, base, ['--stage', 'encoder'])
        words = ['--stage', 'predictor', '--encoder-from', str(encoder)]
        return self._train(key, key['config'], words)

    def _train(self, key: dict[str, Any], config: dict[str, Any], words: list[str]) -> Path:
        folder = self.plan.out / 'models' / _digest(key)
        weights = folder / f'{config["model"]["name"]}.safetensors'
        if weights.exists():
            return weights
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'config.yaml').write_text(yaml.safe_dump(config))
        data = self._data(config['model']['img_size'])
        words = [*words, '--config', str(folder / 'config.yaml'), '--data', str(data)]
        words += ['--out', str(folder), '--seed', str(self.seed), '--cache', str(self.plan.out)]
        words += ['--threads', str(self.plan.threads)]
        if self.plan.iterations:
            words += ['--iterations', str(self.plan.iterations)]
        if train.main(words):
            raise TrainingError(f'{folder} has not been trained, see above')
        return weights

    def _data(self, size: int) -> Path:
        """The episodes with pictures of a side of `size` [px], the base's or made now from them."""
        if size == configuration(self.plan.config, BASE)['model']['img_size']:
            return self.plan.data
        which = data_sha256(self.plan.data)[:16]
        resized = self.plan.out / f'{self.plan.world}_{size}px_{which}'
        words = ['convert', str(self.plan.data), str(resized), '--to', 'hdf5', '--size', str(size)]
        if not resized.exists() and dataset.main(words):
            raise TrainingError(f'{resized} has not been made, see above')
        return resized


_sha256 = lru_cache(sha256)  # of an encoder's file: it is hundreds of megabytes


def _digest(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
