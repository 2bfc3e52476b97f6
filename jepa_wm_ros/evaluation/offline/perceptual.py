# SPDX-License-Identifier: Apache-2.0
"""LPIPS between decoded and recorded frames, where everything it needs is at hand.

It needs a picture decoder of the model, the `lpips` package and the backbone weights that package
would otherwise download (torchvision's AlexNet). Nothing is downloaded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from jepa_wm_ros.evaluation.offline.pictures import square
from jepa_wm_ros.world_model import Latents, WorldModel

BACKBONE = 'alexnet-owt-7be5be79.pth'
BACKBONE_URL = f'https://download.pytorch.org/models/{BACKBONE}'


class Perceptual:
    """LPIPS with the AlexNet backbone (Zhang et al., 2018) on a model's decoded pictures."""

    def __init__(self, model: WorldModel) -> None:
        import lpips

        self._network = lpips.LPIPS(net='alex', verbose=False).eval()
        self._model = model

    @torch.no_grad()
    def distances(self, rollout: Latents, frames: Sequence[np.ndarray]) -> list[float]:
        """LPIPS (T,) of a decoded rollout (T, 1, ...) against recorded frames (H, W, 3)."""
        imagined = self._model.decode(rollout).cpu().numpy()
        size = imagined.shape[1]
        return [
            float(self._network(_signed(picture), _signed(square(frame, size))))
            for picture, frame in zip(imagined, frames, strict=True)
        ]


def _signed(picture: np.ndarray) -> torch.Tensor:
    """A picture (S, S, 3) uint8 as (1, 3, S, S) in [-1, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def find_perceptual(model: WorldModel) -> tuple[Perceptual | None, str]:
    """LPIPS for a model, or None and what it lacks in one line."""
    if model.decoder is None:
        return None, f'{model.spec.name} has no picture decoder loaded'
    if find_spec('lpips') is None:
        return None, 'the package lpips is not installed (pip install lpips)'
    path = Path(torch.hub.get_dir()) / 'checkpoints' / BACKBONE
    if not path.is_file():
        return None, f'its backbone {path} is missing; fetch it from {BACKBONE_URL}'
    return Perceptual(model), ''
