# SPDX-License-Identifier: Apache-2.0
"""Target: the YAML files that people write: profiles, topics, training runs, node parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from fuzz.mutations import DEEP, changed, damaged
from jepa_wm_ros.learning.settings import load_settings
from jepa_wm_ros.planning import load_profile
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics
from support.paths import ROOT


def _profile(path: Path) -> None:
    load_profile(path).make_planner()


def _topics(path: Path) -> None:
    live_topics(TopicSpec.load(path))


READERS = {'profiles': _profile, 'topics': _topics, 'train': load_settings}


class Texts:
    """Files of config/ with one value changed, or damaged as text."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'text.yaml'
        self.texts = [
            (read, path.read_bytes())
            for kind, read in READERS.items()
            for path in sorted((ROOT / 'config' / kind).glob('*.yaml'))
        ]

    def prepare(self, rng: np.random.Generator):
        read, text = self.texts[rng.integers(len(self.texts))]
        kind = rng.random()
        if kind < 0.3:
            content = damaged(text, rng)
        elif kind < 0.99:
            content = yaml.safe_dump(changed(yaml.safe_load(text), rng)).encode()
        elif kind < 0.995:
            content = b'[' * DEEP
        else:  # nine levels of nine references each
            rows = [b'a0: &a0 [x]'] + [
                b'a%d: &a%d [%s]' % (i, i, b', '.join([b'*a%d' % (i - 1)] * 9)) for i in range(1, 9)
            ]
            content = b'\n'.join(rows)
        self.file.write_bytes(content)
        return lambda: read(self.file)
