# SPDX-License-Identifier: Apache-2.0
"""The two stages of the recipe.

encoder    encoder and predictor learn together from pictures: prediction, SIGReg, inverse
           dynamics and proprioception shape the latent (arXiv 2511.08544 and 2512.24497)
predictor  the encoder is frozen, all frames are encoded once, and a fresh predictor learns on
           them with teacher forcing and the multi-step rollout loss (arXiv 2512.24497 section 4)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_wm_ros.learning.losses import InverseDynamics, ProprioDecoder, sigreg
from jepa_wm_ros.learning.optimise import LossTerms
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, TrainSettings
from jepa_wm_ros.learning.windows import (
    Recording,
    Statistics,
    Windows,
    draw_windows,
    gather,
    statistics,
    vary_light,
)
from jepa_wm_ros.world_model import ModelSpec, WorldModel, build
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.training_loss import LossSettings, training_loss

ROLL = 3  # of pose7
_ENCODE_BATCH = 256
_VALIDATION_WINDOWS = 1024


def new_model(settings: TrainSettings, recording: Recording, seed: int) -> WorldModel:
    """A fresh world model for a recording: its statistics, frame size and rate go into the spec."""
    stats = statistics(recording)
    values = dict(settings.model)
    if values['img_size'] != recording.size:
        raise TrainingError(
            f'the model wants {values["img_size"]} px pictures and the recording '
            f'has {recording.size} px: record again or change img_size'
        )
    values |= {
        'fps': recording.fps,
        'proprio_dim': recording.proprio.shape[1],
        'action_dim': recording.actions.shape[1],
        **_as_tuples(stats),
    }
    model = build(ModelSpec.from_dict(values), seed=seed)
    prepare_predictor(model)
    return model


def _as_tuples(stats: Statistics) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(getattr(stats, name).tolist())
        for name in ('action_mean', 'action_std', 'proprio_mean', 'proprio_std')
    }


def prepare_predictor(model: WorldModel) -> None:
    """Set what learning starts from beside random numbers: no change, and a fixed proprio map."""
    predictor = model.predictor
    if model.spec.predictor.predict_change:
        nn.init.zeros_(predictor.predictor_proj.weight)
    if predictor.proprio_encoder is not None:
        fix_proprio_encoder(predictor.proprio_encoder)


def fix_proprio_encoder(encoder: nn.Linear) -> None:
    """Make it an orthonormal map that is not trained and does not see the roll.

    Trained on its own predictions it could shrink its features to zero. The roll of a hand that
    points down jumps between +pi and -pi, so as a number it only adds noise.
    """
    nn.init.orthogonal_(encoder.weight)
    nn.init.zeros_(encoder.bias)
    with torch.no_grad():
        encoder.weight[:, ROLL] = 0
    encoder.requires_grad_(False)


class EncoderStage(nn.Module):
    """Encoder and predictor end to end, with the heads that only training needs."""

    def __init__(self, model: WorldModel, recording: Recording, settings: StageSettings) -> None:
        super().__init__()
        self.model = model
        dim = model.spec.encoder.width * model.spec.grid**2
        self.inverse = InverseDynamics(dim, model.spec.action_dim)
        self.proprio = ProprioDecoder(dim, 3)
        self._recording, self._settings = recording, settings
        self._starts = recording.windows(settings.window)

    def losses(self, generator: torch.Generator) -> LossTerms:
        """Weighted losses of a batch of windows, drawn and lit by `generator`."""
        s = self._settings
        windows = draw_windows(self._recording, self._starts, s.window, s.batch, generator)
        pixels = vary_light(prepare(self.model, windows), s.light, generator)
        with torch.autocast('cpu', torch.bfloat16, enabled=s.bfloat16):
            visual = self.model.encoder(pixels.flatten(0, 1))
        visual = visual.float().unflatten(0, windows.index.shape)
        actions = self.model.normalize_actions(windows.actions)
        flat = visual.flatten(2)
        position = self.model.normalize_proprio(windows.proprio)[..., :3]
        with torch.autocast('cpu', torch.bfloat16, enabled=s.bfloat16):
            prediction = prediction_loss(
                self.model, as_latents(self.model, visual, windows.proprio), actions, s, generator
            )
            inverse = self.inverse(flat, actions[:, :-1])
        return {
            'prediction': (1.0, prediction),
            'sigreg': (
                s.sigreg,
                torch.stack([sigreg(visual[:, t].flatten(0, 1)) for t in range(s.window)]).mean(),
            ),
            'inverse': (s.inverse_dynamics, inverse),
            'proprio': (s.proprio, self.proprio(flat, position)),
        }


class PredictorStage(nn.Module):
    """The predictor on latents of a frozen encoder, computed once per view of every frame."""

    def __init__(
        self, model: WorldModel, recording: Recording, settings: StageSettings, seed: int
    ) -> None:
        super().__init__()
        model.encoder.requires_grad_(False)
        self.model = model
        self._recording, self._settings = recording, settings
        self._starts = recording.windows(settings.window)
        generator = torch.Generator().manual_seed(seed)
        self._views = torch.stack(
            [
                encode_frames(
                    model, recording, light=settings.light if view else 0.0, generator=generator
                )
                for view in range(settings.views)
            ]
        )

    def losses(self, generator: torch.Generator) -> LossTerms:
        """The paper's loss on a batch of windows drawn by `generator`."""
        s = self._settings
        picked = self._starts[torch.randint(len(self._starts), (s.batch,), generator=generator)]
        index = picked[:, None] + torch.arange(s.window)
        view = torch.randint(s.views, (s.batch, 1), generator=generator)
        actions = self.model.normalize_actions(self._recording.actions[index])
        latents = as_latents(self.model, self._views[view, index], self._recording.proprio[index])
        with torch.autocast('cpu', torch.bfloat16, enabled=s.bfloat16):
            loss = prediction_loss(self.model, latents, actions, s, generator)
        return {'prediction': (1.0, loss)}


def prediction_loss(
    model: WorldModel,
    latents: Latents,
    actions: Tensor,
    settings: StageSettings,
    generator: torch.Generator,
) -> Tensor:
    """The paper's loss of clips, the rollout starting from a random frame of them."""
    last = settings.window - settings.rollout_steps
    prefix = int(torch.randint(max(1, last), (), generator=generator))
    return training_loss(
        model,
        latents,
        actions,
        LossSettings(
            rollout_steps=settings.rollout_steps,
            window=model.spec.context_window,
            stop_gradient=settings.stop_gradient,
        ),
        prefix,
    ).total


def prepare(model: WorldModel, windows: Windows) -> Tensor:
    """Pixels (B, T, 3, S, S) of a batch, through the one image pipeline."""
    return model.prepare_images(windows.frames.flatten(0, 1)).unflatten(0, windows.index.shape)


def as_latents(model: WorldModel, visual: Tensor, poses: Tensor) -> Latents:
    """Latents of encodings (B, T, g*g, D) and measured poses (B, T, 7)."""
    side = model.spec.grid
    return Latents(
        visual.unflatten(2, (1, side, side)), model.encode_proprio(poses, *visual.shape[:2])
    )


@torch.no_grad()
def encode_frames(
    model: WorldModel,
    recording: Recording,
    light: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Encodings (F, g*g, D) of all frames; with `light`, each episode in a light of its own."""
    model.encoder.eval()
    episodes = int(recording.episode[-1]) + 1
    gain = torch.ones(episodes, 1, 1, 1)
    offset = torch.zeros(episodes, 3, 1, 1)
    if light:
        lit = vary_light(
            torch.stack([torch.zeros(episodes, 3, 1, 1), torch.ones(episodes, 3, 1, 1)], dim=1),
            light,
            generator,
        )
        offset, gain = lit[:, 0], lit[:, 1] - lit[:, 0]
    parts = []
    for frames, episode in zip(
        recording.frames.split(_ENCODE_BATCH), recording.episode.split(_ENCODE_BATCH), strict=True
    ):
        pixels = model.prepare_images(frames)
        parts.append(model.encoder(pixels * gain[episode] + offset[episode]))
    return torch.cat(parts)


def validation(
    model: WorldModel, recording: Recording, settings: StageSettings
) -> Callable[[], dict[str, float]]:
    """A function that measures one-step, rollout and copy errors (mean square) on a recording.

    copy is the error of predicting that nothing changes: a model has to stay well below it.
    """
    starts = recording.windows(settings.window)
    count = min(_VALIDATION_WINDOWS, len(starts))
    picked = starts[torch.linspace(0, len(starts) - 1, count).long()]
    windows = gather(recording, picked[:, None] + torch.arange(settings.window))

    @torch.no_grad()
    def measure() -> dict[str, float]:
        visual = torch.cat(
            [
                model.encoder(model.prepare_images(frames.flatten(0, 1)))
                for frames in windows.frames.split(64)
            ]
        )
        latents = as_latents(model, visual.unflatten(0, windows.index.shape), windows.proprio)
        actions = model.normalize_actions(windows.actions)
        rollout = model.unroll(latents[:, :1], actions[:, :-1].transpose(0, 1)).transpose()
        truth = latents.visual
        return {
            'val_step': functional.mse_loss(rollout.visual[:, 1], truth[:, 1]).item(),
            f'val_step{settings.window - 1}': functional.mse_loss(
                rollout.visual[:, -1], truth[:, -1]
            ).item(),
            'val_copy': functional.mse_loss(truth[:, 0], truth[:, 1]).item(),
        }

    return measure
