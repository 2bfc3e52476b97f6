# SPDX-License-Identifier: Apache-2.0
"""Every example is run by a test, the others where what they need is running already."""

import numpy as np
import pytest

pytest.importorskip('jepa_wm_ros.sim')  # chooses MuJoCo's OpenGL: before mujoco
pytest.importorskip('mujoco')
pytest.importorskip('franky_sim')

from jepa_wm_ros.sim.variation import sample_reach_task  # noqa: E402
from support import examples  # noqa: E402
from support.paths import ROOT  # noqa: E402


def test_a_planner_of_ones_own_brings_the_hand_nearer(one_thread):
    task, seed = sample_reach_task(7), '7'
    away = examples.load('own_planner').main(seed, steps=3)
    begun = 100 * np.linalg.norm((task.start - task.goal)[:3])
    assert away.keys() == {'cell', 'shooting'}
    assert max(away.values()) < 0.6 * begun


@pytest.mark.parametrize('name', [path.stem for path in (ROOT / 'examples').glob('*.py')])
def test_every_example_is_run(name):
    tests = [path.read_text() for path in (ROOT / 'test').rglob('test_*.py')]
    assert any(f"'{name}'" in text for text in tests)
