# SPDX-License-Identifier: Apache-2.0
"""The first stage of the recipe on convolutions that another model has learnt: minutes in place of
an hour, since every frame goes through them once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.learning.latents import encoded_views, stem
from jepa_wm_ros.learning.losses import FeatureDecoder
from jepa_wm_ros.learning.optimise import LossTerms
from jepa_wm_ros.learning.settings import StageSettings, TrainingError
from jepa_wm_ros.learning.stages import EncoderStage, draw_views, narrow_numbers
from jepa_wm_ros.learning.windows import Recording
from jepa_wm_ros.world_model import WorldModel, load_world_model
from jepa_wm_ros.world_model.encoders.conv import ConvEncoder
from jepa_wm_ros.world_model.latents import Latents

_LOOKED_AT = 2000  # frames, for how features vary


class HeadStage(EncoderStage):
    """As `EncoderStage`, on the frozen convolutions of another model (`settings.stem`): only the
    head of the encoder is trained, on what they have made of every frame once.
    """

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        settings: StageSettings,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        """cache: folder for what the convolutions have made; without one it is in memory."""
        super().__init__(model, recording, settings)
        take_stem(model, settings.stem)
        self._views = encoded_views(model, recording, settings, seed, cache, stem)
        self.features: FeatureDecoder | None = None
        if settings.features:
            some = np.linspace(0, len(recording.episode) - 1, _LOOKED_AT, dtype=int)
            dim = model.spec.encoder.width * model.spec.grid**2 + len(self._told)
            self.features = FeatureDecoder(dim, self._features(torch.from_numpy(some)))
            self.features.to(model.device)

    def _of_pictures(self, index: Tensor, latents: Tensor, proprio: Tensor) -> LossTerms:
        if self.features is None:
            return {}
        loss = self.features.loss(latents, proprio, self._features(index).to(latents.device))
        return {'features': (self._settings.features, loss)}

    def _features(self, index: Tensor) -> Tensor:
        """What the convolutions have made of frames (...) in the light they were recorded in:
        (..., F).
        """
        seen = self._views[0, index.flatten().numpy()]
        return torch.from_numpy(seen).float().reshape(*index.shape, -1)

    def _encoded(self, index: Tensor, generator: torch.Generator) -> Latents:
        model = self.model
        view = draw_views(self._settings, len(index), generator).expand(index.shape)
        seen = torch.from_numpy(self._views[view.flatten().numpy(), index.flatten().numpy()])
        with narrow_numbers(model, self._settings):
            tokens = model.encoder.tokens(seen.to(model.device, model.dtype))
        grid = model.spec.grid
        visual = tokens.view(*index.shape, 1, grid, grid, model.spec.encoder.width)
        proprio = model.encode_proprio(self._recording.proprio[index], *index.shape)
        return Latents(model.normalize_visual(visual), proprio)


def take_stem(model: WorldModel, name: str) -> None:
    """Give a model the convolutions of another one's encoder, frozen. Raises TrainingError."""
    other = load_world_model(name).encoder
    if not isinstance(model.encoder, ConvEncoder) or not isinstance(other, ConvEncoder):
        raise TrainingError(f'stem: {name}: only encoders of kind conv have a stem')
    try:
        model.encoder.stem.load_state_dict(other.stem.state_dict())
    except RuntimeError as error:
        raise TrainingError(
            f'stem: {name} has other convolutions than this configuration: '
            f'{str(error).splitlines()[-1].strip()}'
        ) from error
    model.encoder.stem.requires_grad_(False)
