# SPDX-License-Identifier: Apache-2.0
"""Which pictures a trained model knows: measured by `train`, or put into a file that lacks it.

    python -m jepa_wm_ros.learning.familiarity FILE --data data/cell --val data/cell_val

The weights in the file stay the bits they are; its .sha256 is written anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.learning.probes import LOOKED_AT
from jepa_wm_ros.learning.windows import Recording, load_recording, spread_over
from jepa_wm_ros.world_model import WorldModel, load_world_model
from jepa_wm_ros.world_model.familiarity import Familiarity
from jepa_wm_ros.world_model.files.checkpoints import add_familiarity

_BATCH = 256


@torch.no_grad()
def features(model: WorldModel, recording: Recording) -> Tensor:
    """Features (n, F) of all pictures of a recording, in main memory."""
    parts = [
        model.features(model.prepare_images(frames)).float().cpu()
        for frames in recording.frames.split(_BATCH)
    ]
    return torch.cat(parts)


def familiarity(model: WorldModel, recording: Recording, val: Recording) -> Familiarity:
    """The statistic of the training pictures, its limit from the validation pictures; those of
    some episodes where there are many.
    """
    model.eval()
    return Familiarity.of(*(features(model, spread_over(r, LOOKED_AT)) for r in (recording, val)))


@exit_status('interrupted')
def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='familiarity', description=__doc__.splitlines()[0])
    parser.add_argument('model', type=Path, help='weights file, changed in place')
    parser.add_argument('--data', type=Path, required=True, help='folder of training episodes')
    parser.add_argument('--val', type=Path, required=True, help='folder of validation episodes')
    options = parser.parse_args(arguments)
    model = load_world_model(options.model)
    learnt = familiarity(model, load_recording(options.data), load_recording(options.val))
    digest = add_familiarity(options.model, learnt)
    print(f'{options.model}: limit {float(learnt.limit):.3f}, SHA-256 {digest}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
