# SPDX-License-Identifier: Apache-2.0
"""The stage that learns what to try first: what was done between two pictures of one episode, the
later one taken for a goal (world_model/proposal.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from jepa_wm_ros.learning.latents import encode_pictures
from jepa_wm_ros.learning.optimise import LossTerms
from jepa_wm_ros.learning.settings import StageSettings
from jepa_wm_ros.learning.stages import LatentStage, narrow_numbers, some
from jepa_wm_ros.learning.windows import Recording
from jepa_wm_ros.world_model import WorldModel
from jepa_wm_ros.world_model.proposal import Proposal


class ProposalStage(LatentStage):
    """The head; nothing else of the model changes."""

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        settings: StageSettings,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        """As `LatentStage`."""
        give_head(model.requires_grad_(False), settings.window - 1, seed)
        super().__init__(model, recording, settings, seed, cache)

    def losses(self, generator: torch.Generator) -> LossTerms:
        """Mean square error of the actions proposed from a frame to one 1 ... H steps later."""
        s = self._settings
        picked = self._starts[torch.randint(len(self._starts), (s.batch,), generator=generator)]
        ahead = torch.randint(1, s.window, (s.batch,), generator=generator)
        view = torch.randint(s.views, (s.batch,), generator=generator)
        now, goal = self.latents(view, picked), self.latents(view, picked + ahead)
        actions = self._recording.actions[picked[:, None] + torch.arange(s.window - 1)]
        with narrow_numbers(self.model, s):
            loss = proposal_loss(self.model, now, goal, actions, ahead)
        return {'proposal': (1.0, loss)}


def give_head(model: WorldModel, steps: int, seed: int) -> None:
    """A fresh head that proposes so many actions, in place of one that may be there."""
    torch.manual_seed(seed)
    model.spec = model.spec.replace(proposal_steps=steps)
    model.proposal = Proposal(model.spec).to(model.device, model.dtype)


def proposal_loss(
    model: WorldModel, now: Tensor, goal: Tensor, actions: Tensor, ahead: Tensor
) -> Tensor:
    """Error of what is proposed from latents (B, 1, g, g, D) to those `ahead` (B,) steps later.

    actions (B, H, A) are what was done, physical; after the goal the arm is to stand still.
    """
    assert model.proposal is not None
    done = torch.arange(actions.shape[1]) < ahead[:, None]
    wanted = model.normalize_actions((actions * done[..., None]).to(model.device))
    return functional.mse_loss(model.proposal(now[:, 0], goal[:, 0]), wanted)


def validation(
    model: WorldModel, recording: Recording, settings: StageSettings
) -> Callable[[], dict[str, float]]:
    """A function that measures the error on a recording, and that of proposing to stand still."""
    starts = some(recording.windows(settings.window))
    ahead = 1 + torch.arange(len(starts)) % (settings.window - 1)
    seen, goals = (
        encode_pictures(model, recording.frames[frames]) for frames in (starts, starts + ahead)
    )
    actions = recording.actions[starts[:, None] + torch.arange(settings.window - 1)]

    @torch.no_grad()
    def measure() -> dict[str, float]:
        now, goal = seen.to(model.device), goals.to(model.device)
        told = proposal_loss(model, now, goal, actions, ahead).item()
        done = torch.arange(actions.shape[1]) < ahead[:, None]
        still = model.normalize_actions(torch.zeros_like(actions))
        moved = model.normalize_actions(actions * done[..., None])
        return {'val_proposal': told, 'val_still': functional.mse_loss(still, moved).item()}

    return measure
