# SPDX-License-Identifier: Apache-2.0
"""Which pictures a model knows: the shipped one those of its cell and no others, and how that is
stored with a model without touching its weights.
"""

import numpy as np
import pytest
import torch

from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.variation import sample_reach_task
from jepa_wm_ros.world_model import build, load_world_model, save_world_model
from jepa_wm_ros.world_model.familiarity import MARGIN, Familiarity
from jepa_wm_ros.world_model.files.checkpoints import CheckpointError, add_familiarity
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.files.safe_files import read_safetensors, write_safetensors

RANDOM = np.random.default_rng(0)


def normal(count, spread):
    return torch.from_numpy(RANDOM.normal(size=(count, len(spread))) * spread).float()


def test_the_distance_is_that_of_mahalanobis_and_the_limit_the_farthest_held_out():
    spread = np.array([1.0, 10.0, 0.1])
    training, held_out, other = normal(4000, spread), normal(500, spread), normal(50, 3 * spread)
    learnt = Familiarity.of(training, held_out)
    cov = np.cov(training.numpy().T)
    inverse = np.linalg.inv(cov + 1e-3 * np.trace(cov) / 3 * np.eye(3))

    def distance(x):
        apart = x.numpy() - training.numpy().mean(0)
        return np.sqrt(np.einsum('nd,de,ne->n', apart, inverse, apart) / 3)

    np.testing.assert_allclose(
        learnt(other), distance(other) / (MARGIN * distance(held_out).max()), rtol=1e-3
    )
    assert float(learnt(held_out).max()) == pytest.approx(1 / MARGIN, rel=1e-4)


def test_it_is_stored_beside_weights_that_stay_the_bits_they_are(tmp_path):
    path = tmp_path / 'own.safetensors'
    model = build(cell_spec(depth=1).replace(**STATISTICS), seed=0).half()
    save_world_model(model, path, {'training': 'none'})
    assert load_world_model(path).familiarity is None
    before, said = read_safetensors(path)
    learnt = Familiarity.of(normal(300, np.ones(128)), normal(50, np.ones(128)))
    add_familiarity(path, learnt)
    after, says = read_safetensors(path)
    assert says == said and len(after) == len(before) + 3
    assert all(after[k].dtype == v.dtype and after[k].equal(v) for k, v in before.items())
    loaded = load_world_model(path)
    features = normal(5, np.ones(128))
    assert torch.equal(loaded.familiarity(features), learnt(features))
    save_world_model(loaded, path)
    assert load_world_model(path).familiarity is not None

    write_safetensors({k: v for k, v in after.items() if k != 'familiarity.limit'}, path, says)
    path.with_name(path.name + '.sha256').unlink()
    with pytest.raises(CheckpointError, match='familiarity.limit'):
        load_world_model(path)


STATISTICS = {
    f'{what}_{name}': (value,) * 7
    for what in ('action', 'proprio')
    for name, value in (('mean', 0.0), ('std', 0.5))
}


@pytest.fixture(scope='module')
def views():
    """Pictures of the cell that nothing was trained on, lit and laid out anew each."""
    with DirectCell() as cell:
        tasks = map(sample_reach_task, range(31_000, 31_012))
        return np.stack([cell.reset(task.start, task.cell)[0] for task in tasks])


@pytest.fixture(scope='module')
def novelty():
    model = load_world_model('jepa_wm_cell')
    return lambda frames: model.familiarity(model.features(model.prepare_images(frames))).numpy()


def shuffled(frame):
    patches = [part for row in np.split(frame, 5) for part in np.split(row, 8, axis=1)]
    RANDOM.shuffle(patches)
    return np.concatenate([np.concatenate(patches[8 * i : 8 * i + 8], axis=1) for i in range(5)])


def test_pictures_of_the_cell_are_familiar_to_the_shipped_model(views, novelty):
    noisy = np.clip(views + RANDOM.normal(0, 5, views.shape), 0, 255).astype(np.uint8)
    assert novelty(views).max() < 0.8 and novelty(noisy).max() < 0.8


@pytest.mark.parametrize(
    ('spoil', 'least'),
    [
        (lambda f: np.zeros_like(f), 3.0),
        (lambda f: np.full_like(f, 255), 3.0),
        (lambda f: RANDOM.integers(0, 256, f.shape, np.uint8), 2.0),
        (lambda f: np.zeros_like(f) + RANDOM.integers(0, 256, 3).astype(np.uint8), 2.0),
        (shuffled, 1.0),
        (lambda f: f[::-1], 1.0),
        (lambda f: f[::-1, ::-1], 1.0),
    ],
    ids=['black', 'saturated', 'noise', 'flat', 'shuffled', 'upside down', 'turned over'],
)
def test_pictures_of_nothing_like_it_are_foreign(views, novelty, spoil, least):
    assert novelty(np.stack([spoil(frame) for frame in views])).min() > least
