# SPDX-License-Identifier: Apache-2.0
"""The stage that learns to draw what a frozen encoder has seen (world_model/picture_decoder.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jepa_wm_ros.learning.optimise import LossTerms
from jepa_wm_ros.learning.settings import StageSettings
from jepa_wm_ros.learning.stages import LatentStage, narrow_numbers
from jepa_wm_ros.learning.windows import Recording
from jepa_wm_ros.world_model import WorldModel
from jepa_wm_ros.world_model.images import crop_and_resize
from jepa_wm_ros.world_model.picture_decoder import PictureDecoder

_MEASURED = 512  # pictures, at most
_CHUNK = 64
_SHOWN = 10


class DecoderStage(LatentStage):
    """The decoder; nothing else of the model changes."""

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        settings: StageSettings,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        """As `LatentStage`."""
        give_decoder(model.requires_grad_(False), seed)
        super().__init__(model, recording, settings, seed, cache)

    def losses(self, generator: torch.Generator) -> LossTerms:
        """Mean square error of the pixels (0..1): the absolute one would leave out what is small
        and not known to the pixel, as the cube is.

        In whatever light a view is, its picture is wanted as it was recorded.
        """
        s = self._settings
        frame = torch.randint(len(self._recording.episode), (s.batch,), generator=generator)
        view = torch.randint(s.views, (s.batch,), generator=generator)
        seen = wanted_pixels(self.model, self._recording.frames[frame])
        with narrow_numbers(self.model, s):
            drawn = _decoder(self.model).pixels(self.latents(view, frame))
        return {'pixels': (1.0, functional.mse_loss(drawn.float(), seen.to(drawn.device)))}


def give_decoder(model: WorldModel, seed: int) -> None:
    """A fresh decoder, in place of one that may be there."""
    torch.manual_seed(seed)
    model.decoder = PictureDecoder(model.spec).to(model.device, model.dtype)


def _decoder(model: WorldModel) -> PictureDecoder:
    assert isinstance(model.decoder, PictureDecoder)
    return model.decoder


def wanted_pixels(model: WorldModel, frames: Tensor) -> Tensor:
    """Frames uint8 (n, H, W, 3) as the model sees them before they are normalised: (n, 3, S, S) in
    0..1.
    """
    return crop_and_resize(frames, model.spec.img_size, antialias=model.spec.antialias)


def psnr(drawn: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio [dB] of pixels in 0..1, from the mean square error of all."""
    return (-10 * functional.mse_loss(drawn, truth).log10()).item()


def validation(model: WorldModel, recording: Recording) -> Callable[[], dict[str, float]]:
    """A function that measures the PSNR on a recording, beside that of the mean of its pictures,
    which is the best that somebody draws who has seen nothing.
    """
    truth, latents = _some(model, recording, _MEASURED)
    mean = truth.mean(dim=0, keepdim=True).expand_as(truth)

    def measure() -> dict[str, float]:
        return {'val_psnr': psnr(_drawn(model, latents), truth), 'val_psnr_mean': psnr(mean, truth)}

    return measure


@torch.no_grad()
def _drawn(model: WorldModel, latents: Tensor) -> Tensor:
    parts = [
        _decoder(model).pixels(part.to(model.device)).float().cpu().clamp(0, 1)
        for part in latents.split(_CHUNK)
    ]
    return torch.cat(parts)


def draw(model: WorldModel, recording: Recording, path: Path) -> None:
    """Write a picture: a few frames of a recording above what the decoder makes of them."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import image

    truth, latents = _some(model, recording, _SHOWN)
    both = torch.stack([truth, _drawn(model, latents)])  # (2, n, 3, S, S)
    rows = both.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    image.imsave(path, (255 * rows).round().numpy().astype(np.uint8))


@torch.no_grad()
def _some(model: WorldModel, recording: Recording, count: int) -> tuple[Tensor, Tensor]:
    """At most so many frames of a recording, evenly spread: what is wanted of them (n, 3, S, S),
    and their latents (n, 1, g, g, D).
    """
    total = len(recording.episode)
    places = torch.linspace(0, total - 1, min(count, total)).round().long()
    frames = recording.frames[places]
    pixels = model.prepare_images(frames)
    return wanted_pixels(model, frames), model.encode_visual(pixels).visual[:, 0]
