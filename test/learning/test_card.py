# SPDX-License-Identifier: Apache-2.0
"""The card that a training leaves beside its weights."""

import json

from jepa_wm_ros.learning.windows import fingerprint, load_recording
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from support.toy_training import run, toy_episode


def test_a_card_says_what_was_learnt_from_and_what_it_measures(folders):
    run(folders, 'all')
    card = (folders / 'all' / 'toy.md').read_text()
    metrics = json.loads((folders / 'all' / 'metrics.json').read_text())
    assert card.startswith('# Model card: toy')
    for name in ('train', 'val'):
        told = fingerprint(load_recording(folders / name))
        assert f'| {metrics["run"][f"{name}_episodes"]} | `{told}` |' in card
    assert '| encoder | 120 x 16 | 0.003 |' in card and '| predictor | 240 x 16 | 0.01 |' in card
    assert f'| error of one step | {metrics["history"]["predictor"][-1]["val_step"]:.3g} |' in card
    assert f'| {metrics["probes"]["hand_xyz_cm"]:.3g} |' in card


def test_a_fingerprint_is_of_every_picture_and_action_and_of_nothing_else(tmp_path):
    def written(name: str, *episodes):
        with EpisodeWriter(tmp_path / name, name) as writer:
            for number, episode in enumerate(episodes):
                writer.write(number, episode)
        return fingerprint(load_recording(tmp_path / name))

    one, two = toy_episode(1), toy_episode(2)
    whole = written('whole', one, two)
    assert written('again', toy_episode(1), toy_episode(2)) == whole
    assert written('turned', two, one) != whole
    one.frames[-1, 3, 4, 0] ^= 1
    assert written('picture', one, two) != whole
    two.actions[2, 1] += 1e-4
    assert written('action', toy_episode(1), two) != whole
