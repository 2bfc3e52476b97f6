# SPDX-License-Identifier: Apache-2.0
"""Command `memory`: keep what a model has seen, so that one picture is goal enough.

    jepa-wm memory --model jepa_wm_cell_grasp --data data/skills --out skills.npz
    ros2 param set /world_model memory skills.npz          # or in the params file

The planner then asks for sub-goals on the way to a goal picture, see control/memory.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jepa_wm_ros.control.memory import Memory
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.learning.latents import encode_frames
from jepa_wm_ros.learning.windows import load_recording
from jepa_wm_ros.world_model import load_world_model


@exit_status('interrupted')
def main(words: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(': ', 1)[1])
    parser.add_argument('--model', required=True, help='name or file of the model that will use it')
    parser.add_argument('--data', type=Path, required=True, help='folder of episodes')
    parser.add_argument('--out', type=Path, required=True, help='file to write, .npz')
    parser.add_argument('--episodes', type=int, help='the first so many (default: all)')
    options = parser.parse_args(words)
    model = load_world_model(options.model)
    most = options.episodes or sys.maxsize
    recording = load_recording(options.data, lambda number: number < most)
    latents = encode_frames(model, recording).float().numpy()
    memory = Memory.of(latents, recording.episode.numpy())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    memory.write(options.out)
    print(f'{options.out}: {len(memory.latents)} frames of {recording.episode[-1] + 1} episodes')
    return 0


if __name__ == '__main__':
    sys.exit(main())
