# SPDX-License-Identifier: Apache-2.0
"""The toy that training is tested on."""

import pytest


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Folders `train` and `val` of toy episodes, and `toy.yaml`."""
    import yaml

    from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
    from support.toy_training import TOY, toy_episode

    base = tmp_path_factory.mktemp('toy')
    for name, seeds in (('train', range(40)), ('val', range(100, 110))):
        with EpisodeWriter(base / name, 'a') as writer:
            for seed in seeds:
                writer.write(seed, toy_episode(seed))
    (base / 'toy.yaml').write_text(yaml.safe_dump(TOY))
    return base


@pytest.fixture(scope='module')
def recording(folders):
    """The training episodes."""
    from jepa_wm_ros.learning.windows import load_recording

    return load_recording(folders / 'train')


@pytest.fixture(autouse=True)
def alone(one_thread):
    """Toys lose more to waiting for threads than they win."""
