# SPDX-License-Identifier: Apache-2.0
"""The command that tells how fast training gets its data: its figures are figures."""

import json

from jepa_wm_ros.learning import throughput
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from support.toy_training import toy_episode


def test_every_figure_is_told(tmp_path, capsys):
    import dataclasses

    data = tmp_path / 'data'
    with EpisodeWriter(data, 'a') as writer:
        for seed in range(4):
            small = toy_episode(seed)
            large = small.frames.repeat(6, axis=1).repeat(6, axis=2)  # 96 px
            writer.write(seed, dataclasses.replace(small, frames=large))
    assert throughput.main([str(data), '--steps', '1', '--threads', '1']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop('data') == 'data' and told['pictures'] == 4 * 9
    assert 0 < told['of which waiting for data'] < 1
    assert all(value >= 0 for value in told.values())
    assert (
        told['predictor stage, windows per s, latents cached']
        > told['predictor stage, windows per s, not cached']
    )
    assert [path.name for path in tmp_path.iterdir()] == ['data']
