# SPDX-License-Identifier: Apache-2.0
"""Steps of an arm as a model sees them: latents before and after, and what it predicts for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros.actions import DIM
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.views import AS_IT_IS, View
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.world_model import Latents, WorldModel

CHUNK = 16  # pictures encoded at a time
TINY = 1e-12  # in place of a change that is none


class SeenSteps:
    """The N steps of some episodes under one view. Latents are compared as flat rows (N, D)."""

    @torch.no_grad()
    def __init__(
        self, model: WorldModel, episodes: Sequence[Episode], view: View = AS_IT_IS
    ) -> None:
        """Raises JepaWmError for a model that does not take arm actions and poses."""
        spec = model.spec
        if spec.action_dim != DIM or (spec.uses_proprio and spec.proprio_dim != DIM):
            raise JepaWmError(f'{spec.name}: is no model of an arm with {DIM}-number actions')
        self.model = model
        seen = [_encoded(model, episode, view) for episode in episodes]
        self.before = _stacked([latents[:-1] for latents in seen])
        self.observed = torch.cat([_rows(latents[1:]) for latents in seen])
        self.actions = np.concatenate([view.actions(episode.actions) for episode in episodes])

    @property
    def start(self) -> Tensor:
        """What was seen before each step (N, D)."""
        return _rows(self.before)

    def predicted(self, actions: np.ndarray | None = None) -> Tensor:
        """What is imagined one step later (N, D), for other actions (N, 7) than were taken."""
        return self.imagined((self.actions if actions is None else actions)[None])

    @torch.no_grad()
    def imagined(self, actions: np.ndarray) -> Tensor:
        """What is imagined (n, D) after actions (T, n, 7) from before the first n steps."""
        taken = torch.as_tensor(actions, dtype=torch.float32)
        taken = taken.to(self.model.device, self.model.dtype)
        context = self.before[: taken.shape[1]]
        return _rows(self.model.unroll(context, self.model.normalize_actions(taken))[-1])

    def errors(self, guess: Tensor) -> Tensor:
        """Mean squared errors (N,) of what was to be seen after each step (N, D)."""
        return (guess - self.observed).square().mean(dim=1)

    def error_share(self) -> float:
        """Squared error of the predictions over that of "nothing changes": 1 is no better."""
        wrong, still = (self.errors(guess).mean() for guess in (self.predicted(), self.start))
        return float(wrong / still.clamp_min(TINY))


def _rows(latents: Latents) -> Tensor:
    return latents.visual.flatten(1).float().cpu()


def _stacked(parts: list[Latents]) -> Latents:
    proprio = [part.proprio for part in parts if part.proprio is not None]
    return Latents(
        torch.cat([part.visual for part in parts]), torch.cat(proprio) if proprio else None
    )


def _encoded(model: WorldModel, episode: Episode, view: View) -> Latents:
    """Latents (T + 1, 1, ...) of an episode's frames, each seen by itself as it is live."""
    frames = np.asarray(episode.frames[:])
    poses = torch.as_tensor(view.poses(np.asarray(episode.proprio)), dtype=torch.float32)
    parts = []
    for start in range(0, len(frames), CHUNK):
        rows = slice(start, start + CHUNK)
        pixels = model.prepare_images(np.ascontiguousarray(view.pictures(frames[rows])))
        parts.append(model.encode(pixels, poses[rows] if model.spec.uses_proprio else None))
    return _stacked(parts)
