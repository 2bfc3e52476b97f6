# SPDX-License-Identifier: Apache-2.0
"""Where tests find what they read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / 'test' / 'goldens'
CELL_CONFIG = ROOT / 'config' / 'train' / 'cell.yaml'
