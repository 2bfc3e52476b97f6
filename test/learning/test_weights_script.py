# SPDX-License-Identifier: Apache-2.0
"""`make weights` from end to end, with hardly any data: a model nobody would use, and its card."""

import subprocess
import sys
from pathlib import Path

import pytest

from jepa_wm_ros.world_model import load_world_model

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts' / 'weights.py'


@pytest.mark.slow
def test_a_model_and_its_card_come_of_nothing(tmp_path):
    words = [str(tmp_path), '--episodes', '12', '--iterations', '3']
    subprocess.run([sys.executable, str(SCRIPT), *words], check=True, timeout=1800)
    assert load_world_model(tmp_path / 'model' / 'jepa_wm_cell.safetensors').proposal is not None
    card = (tmp_path / 'model' / 'jepa_wm_cell.md').read_text()
    assert '| learnt from | 12 |' in card and '| held out | 150 |' in card
    assert '20 tasks of cell 0' in card and '| **together** |' in card
