# SPDX-License-Identifier: Apache-2.0
"""The published models in the published tasks, as far as that goes without their weights: files of
their layout and size with random numbers run the protocol to its end.
"""

import json

import pytest
import torch

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.evaluation import tasks  # noqa: E402
from jepa_wm_ros.evaluation.worlds import profile_for  # noqa: E402
from jepa_wm_ros.planning import load_profile  # noqa: E402
from jepa_wm_ros.tasks import worlds as tasks_worlds  # noqa: E402
from jepa_wm_ros.world_model import build  # noqa: E402
from jepa_wm_ros.world_model.files.official import save_official  # noqa: E402
from jepa_wm_ros.world_model.files.registry import WEIGHTS_VARIABLE, find  # noqa: E402

WORLDS = {
    'wall': 'wall',
    'pointmaze': 'pointmaze',
    'pusht': 'pusht',
    'metaworld': 'metaworld_reach',
}
FAMILIES = 'jepa_wm', 'dino_wm'
MODELS = [(f'{family}_{data}', world) for family in FAMILIES for data, world in WORLDS.items()]


def executed(world):
    """Steps carried out of a plan, by the profile of the world."""
    return load_profile(tasks_worlds.WORLDS[world]().spec.profile).steps_executed


@pytest.fixture
def files(request, tmp_path, monkeypatch):
    """A weights folder with both files of a model, and its name."""
    entry = find(request.param[0])
    model = build(entry.spec, seed=0)
    save_official(model, tmp_path / entry.weights.file)
    encoder = {key.removeprefix('vit.'): v for key, v in model.encoder.state_dict().items()}
    torch.save(encoder, tmp_path / entry.encoder.file)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize('files', MODELS, indirect=True)
def test_a_published_model_runs_its_protocol_to_the_end(files, tmp_path):
    name, world = files
    out = tmp_path / 'rows.json'
    words = [world, '--model', name, '--episodes', '1', '--size', '4x1', '--out', str(out)]
    assert tasks.main(['evaluate', *words]) == 0
    rows = json.loads(out.read_text())['rows']
    assert all(len(rows[f'{name}, {n} of 6 executed']['ends']) == 1 for n in (executed(world), 1))


@pytest.mark.parametrize('world', WORLDS.values())
def test_the_protocol_is_the_published_one(world):
    """REFERENCE 4.6 to 4.9; Tables of arXiv 2512.24497, appendix on planning."""
    profile = profile_for(
        profile=tasks_worlds.WORLDS[world]().spec.profile, executed=executed(world)
    )
    settings = profile.settings
    iterations = 15 if world.startswith('metaworld') else 30
    assert (settings.horizon, settings.num_samples, settings.iterations) == (6, 300, iterations)
    assert (settings.num_elites, settings.max_norms) == (10, None)
    assert profile.steps_executed == (3 if world.startswith('metaworld') else 6)
    assert profile.objective.kind == 'L2' and profile.objective.alpha == 0.1
    assert not profile.objective.sum_all
    assert settings.var_scale == 1.0  # of normalised actions
