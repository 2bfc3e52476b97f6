# SPDX-License-Identifier: Apache-2.0
"""The way out of a memory: along what was seen to follow, across what looks the same."""

import numpy as np
import pytest

from jepa_wm_ros.control.memory import STEPS_BETWEEN, Memory, RecollectionError
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import Fault, FaultCode
from jepa_wm_ros.learning.memory import main
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.registry import cell_spec

WIDE = 4  # numbers of a latent


def walk(points):
    """Latents whose first two numbers are a place in a plane."""
    return np.pad(np.asarray(points, np.float32), ((0, 0), (0, WIDE - 2)))


def memory_of(*episodes):
    episode = np.repeat(np.arange(len(episodes)), [len(e) for e in episodes])
    return Memory.of(np.concatenate([walk(e) for e in episodes]), episode)


def line(begin, end, count=14):
    return np.linspace(begin, end, count)


@pytest.fixture(scope='module')
def corner():
    """An episode goes east, one begins where it has ended and goes north, a third is apart."""
    return memory_of(line([0, 0], [13, 0]), line([13, 0.1], [13, 13.1]), line([99, 99], [99, 112]))


def test_the_way_goes_where_others_went_and_not_straight(corner):
    way = corner.latents[corner.way(*walk([[0, 0], [13, 13]]))]
    assert np.allclose(way[0, :2], [0, 0]) and np.allclose(way[-1, :2], [13, 13], atol=1.1)
    turn = np.linalg.norm(way[:, :2] - [13, 0], axis=1).min()
    assert turn < 1.5  # by way of the corner, never across it
    assert not any(0 < x < 12 and 1 < y < 13 for x, y in way[:, :2])


def test_episodes_lead_forwards_only(corner):
    there = corner.way(*walk([[13, 0], [13, 13]]))
    with pytest.raises(Fault) as caught:
        memory_of(line([0, 0], [50, 0], 40)).way(*walk([[50, 0], [0, 0]]))
    assert len(there) <= 15 and caught.value.code is FaultCode.UNFAMILIAR_VIEW


def test_sub_goals_stand_a_few_steps_apart_and_none_where_the_goal_is_near(corner):
    between = corner.between(*walk([[0, 0], [13, 13]]))
    way = corner.way(*walk([[0, 0], [13, 13]]))
    assert between == way[STEPS_BETWEEN::STEPS_BETWEEN] and len(between) >= 5
    assert corner.between(*walk([[2, 0], [3, 0]])) == []


def test_a_memory_is_read_as_it_was_written_and_only_by_its_model(corner, tmp_path):
    path = tmp_path / 'seen.npz'
    corner.write(path)
    read = Memory.read(path, WIDE)
    ends = walk([[0, 0], [13, 13]])
    assert read.way(*ends) == corner.way(*ends)
    with pytest.raises(RecollectionError, match='write a memory with this model'):
        Memory.read(path, WIDE + 1)
    (tmp_path / 'other.npz').write_bytes(b'nothing')
    with pytest.raises(RecollectionError, match='is no memory'):
        Memory.read(tmp_path / 'other.npz', WIDE)


def test_the_command_keeps_the_latents_of_every_frame_and_a_session_goes_by_them(tmp_path):
    with EpisodeWriter(tmp_path / 'data', 'job0') as writer:
        for number in range(3):
            writer.write(number, brightening(number))
    spec = cell_spec(depth=1, predictor_width=64, heads=4).replace(
        **{f'{what}_{n}': (v,) * 7 for what in ('action', 'proprio') for n, v in STATISTICS}
    )
    save_world_model(build(spec, seed=0), tmp_path / 'model.safetensors')
    words = ['--model', str(tmp_path / 'model.safetensors'), '--data', str(tmp_path / 'data')]
    assert main([*words, '--out', str(tmp_path / 'seen.npz')]) == 0

    session = ModelSession(load_world_model(str(tmp_path / 'model.safetensors')))
    first, last = (brightening(1).frames[i] for i in (0, -1))
    with pytest.raises(Fault, match='sub-goals need a memory'):
        session.prepare_goals([last], first, recall=True)
    session.memory = Memory.read(tmp_path / 'seen.npz', session.latent_size)
    ids, distances = session.prepare_goals([last], first, recall=True)
    straight, (far,) = session.prepare_goals([last], first)
    assert len(straight) == 1 and len(ids) >= 3 and distances[-1] == pytest.approx(far)
    assert distances[:-1] == sorted(distances[:-1])  # each further away, as the pictures brighten
    with pytest.raises(Fault, match='no picture yet'):
        session.prepare_goals([last], None, recall=True)


def brightening(seed):
    """An episode of a pattern that comes out of the dark."""
    pattern = np.random.default_rng(0).integers(60, 255, (96, 96, 3))
    shares = np.linspace(0.2, 1.0, 21) + 0.002 * seed
    frames = np.stack([(share * pattern).clip(0, 255).astype(np.uint8) for share in shares])
    zeros = np.zeros((21, 7), np.float32)
    return Episode(frames, zeros, zeros[1:], 4.0, seed, {})


STATISTICS = (('mean', 0.0), ('std', 0.5))
