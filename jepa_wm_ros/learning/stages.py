# SPDX-License-Identifier: Apache-2.0
"""The two stages of the recipe.

encoder    encoder and predictor learn together from pictures: prediction, SIGReg, inverse
           dynamics and proprioception shape the latent (arXiv 2511.08544 and 2512.24497)
predictor  the encoder is frozen, all frames are encoded once, and a fresh predictor learns on
           them with teacher forcing and the multi-step rollout loss (arXiv 2512.24497 section 4)
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from jepa_wm_ros.learning.latents import encoded_views
from jepa_wm_ros.learning.losses import InverseDynamics, ProprioDecoder, sigreg
from jepa_wm_ros.learning.optimise import LossTerms
from jepa_wm_ros.learning.settings import StageSettings, TrainingError, TrainSettings
from jepa_wm_ros.learning.windows import (
    Recording,
    Statistics,
    Windows,
    draw_frames,
    gather,
    gripper_weights,
    statistics,
    vary_light,
)
from jepa_wm_ros.learning.world import World
from jepa_wm_ros.world_model import ModelSpec, WorldModel, build
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.training_loss import (
    LossSettings,
    draw_prefix,
    frame_loss,
    published_settings,
    training_loss,
)

_VALIDATION_WINDOWS, _WINDOWS_AT_ONCE = 1024, 64


def new_model(settings: TrainSettings, recording: Recording, seed: int) -> WorldModel:
    """A fresh world model for a recording: its statistics, frame size and rate go into the spec."""
    stats = statistics(recording)
    values = dict(settings.model)
    if values['img_size'] != recording.size:
        raise TrainingError(
            f'the model wants {values["img_size"]} px pictures and the recording '
            f'has {recording.size} px: change img_size, or `dataset convert --size '
            f'{values["img_size"]}`'
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


def going_on_from(model: WorldModel, recording: Recording) -> WorldModel:
    """A trained model made ready to learn on from another recording, with the statistics it has.

    Raises TrainingError where pictures, numbers or rate are not those of the recording.
    """
    spec = model.spec
    told = (recording.size, recording.proprio.shape[1], recording.actions.shape[1], recording.fps)
    # What a model has no number of, as published ones of proprioception or rate, is all one to it.
    wanted = (
        spec.img_size,
        spec.proprio_dim or told[1],
        spec.action_dim,
        spec.fps or recording.fps,
    )
    if told != wanted:
        raise TrainingError(
            f'{spec.name} takes {_shape(wanted)}, the recording has {_shape(told)}: '
            f'`dataset convert --size {spec.img_size}` makes pictures of another size'
        )
    # What is learnt anew at the end, or afterwards.
    model.spec, model.proposal = spec.replace(fps=recording.fps, proposal_steps=0), None
    model.familiarity = model.decoder = None
    model = model.float().requires_grad_(True)
    if spec.predictor.proprio == 'feature':
        model.predictor.proprio_encoder.requires_grad_(False)  # see fix_proprio_encoder
    return model


def _shape(told: tuple) -> str:
    size, proprio, action, fps = told
    return f'{size} px, P = {proprio}, A = {action} at {fps:g} steps/s'


def _as_tuples(stats: Statistics) -> dict[str, tuple[float, ...]]:
    return {
        name: tuple(getattr(stats, name).tolist())
        for name in ('action_mean', 'action_std', 'proprio_mean', 'proprio_std')
    }


def prepare_predictor(model: WorldModel) -> None:
    """Set what learning starts from beside random numbers: no change, and a fixed proprio map."""
    spec, predictor = model.spec, model.predictor
    if spec.predictor.predict_change:
        nn.init.zeros_(predictor.predictor_proj.weight)
    if spec.predictor.proprio == 'feature':
        fix_proprio_encoder(predictor.proprio_encoder, spec.proprio_wraps)


def fix_proprio_encoder(encoder: nn.Linear, unheard: tuple[int, ...]) -> None:
    """Make it an orthonormal map that is not trained and does not hear some entries.

    Trained on its own predictions it could shrink its features to zero. An angle that jumps by a
    turn, such as the roll of a hand that points down, as a number only adds noise.
    """
    nn.init.orthogonal_(encoder.weight)
    nn.init.zeros_(encoder.bias)
    with torch.no_grad():
        encoder.weight[:, list(unheard)] = 0
    encoder.requires_grad_(False)


def position_entries(spec: ModelSpec) -> tuple[int, ...]:
    """Entries of the proprioception that latents should tell: a position, else all but jumps."""
    steady = (entry for entry in range(spec.proprio_dim) if entry not in spec.proprio_wraps)
    return spec.proprio_position or tuple(steady)


class EncoderStage(nn.Module):
    """Encoder and predictor end to end, with the heads that only training needs."""

    def __init__(self, model: WorldModel, recording: Recording, settings: StageSettings) -> None:
        super().__init__()
        self.model = model
        dim = model.spec.encoder.width * model.spec.grid**2
        self.inverse = InverseDynamics(dim, model.spec.action_dim)
        self._told = list(position_entries(model.spec))
        self.proprio = ProprioDecoder(dim, len(self._told))
        self.to(model.device)
        self._recording, self._settings = recording, settings
        self._starts = recording.windows(settings.window)
        self._weights = drawn_by(recording, self._starts, settings)

    def losses(self, generator: torch.Generator) -> LossTerms:
        """Weighted losses of a batch of windows, drawn and lit by `generator`."""
        s, model = self._settings, self.model
        index = draw_frames(self._starts, s.window, s.batch, generator, self._weights)
        latents = self._encoded(index, generator)
        visual = latents.visual.float()
        actions = model.normalize_actions(self._recording.actions[index].to(model.device))
        flat = visual.flatten(2)
        proprio = model.normalize_proprio(self._recording.proprio[index].to(model.device))
        proprio = proprio[..., self._told]
        with narrow_numbers(model, s):
            prediction = prediction_loss(
                model, Latents(visual, latents.proprio), actions, s, generator
            )
            inverse = self.inverse(flat, actions[:, :-1])
        return {
            'prediction': (1.0, prediction),
            'sigreg': (
                s.sigreg,
                torch.stack([sigreg(visual[:, t].flatten(0, -2)) for t in range(s.window)]).mean(),
            ),
            'inverse': (s.inverse_dynamics, inverse),
            'proprio': (s.proprio, self.proprio.loss(flat, proprio)),
            **self._of_pictures(index, flat, proprio),
        }

    def _of_pictures(self, index: Tensor, latents: Tensor, proprio: Tensor) -> LossTerms:
        """What latents (B, T, D) of frames (B, T) tell of them beside proprioception (B, T, P)."""
        return {}

    def _encoded(self, index: Tensor, generator: torch.Generator) -> Latents:
        """Latents (B, T, ...) of frames (B, T)."""
        s, model = self._settings, self.model
        pixels = prepare(model, self._recording.frames[index])
        if s.light_of == 'frame':
            pixels = vary_light(pixels.flatten(0, 1)[:, None], s.light, generator)
            pixels = pixels.view(*index.shape, *pixels.shape[2:])
        else:
            pixels = vary_light(pixels, s.light, generator)
        with narrow_numbers(model, s):
            return model.encode(pixels, self._recording.proprio[index])


def draw_views(settings: StageSettings, batch: int, generator: torch.Generator) -> Tensor:
    """Which view of its frames a window sees (B, 1), or which each frame is seen in (B, T)."""
    width = settings.window if settings.light_of == 'frame' else 1
    return torch.randint(settings.views, (batch, width), generator=generator)


def drawn_by(recording: Recording, starts: Tensor, settings: StageSettings) -> Tensor | None:
    """Weights (W,) by which windows are drawn; None: all alike."""
    if settings.gripper_windows == 1.0:
        return None
    return gripper_weights(recording, starts, settings.window, settings.gripper_windows)


class LatentStage(nn.Module):
    """What learns on latents of a frozen encoder, computed once per view of every frame."""

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        settings: StageSettings,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        """cache: folder for the latents; without one they are in memory."""
        super().__init__()
        model.encoder.requires_grad_(False)
        self.model = model
        self._recording, self._settings = recording, settings
        self._starts = recording.windows(settings.window)
        self._weights = drawn_by(recording, self._starts, settings)
        self._views = encoded_views(model, recording, settings, seed, cache)

    def latents(self, view: Tensor, frame: Tensor) -> Tensor:
        """Visual latents (..., 1, g, g, D) of frames (...) in these views, where the model is."""
        return torch.from_numpy(self._views[view.numpy(), frame.numpy()]).to(self.model.device)


class PredictorStage(LatentStage):
    """The predictor."""

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        settings: StageSettings,
        seed: int,
        world: World | None = None,
        cache: Path | None = None,
    ) -> None:
        """As `LatentStage`; in a world of several processes `losses` are of a share."""
        super().__init__(model, recording, settings, seed, cache)
        self._world = world or World()

    def losses(self, generator: torch.Generator) -> LossTerms:
        """The paper's loss on a batch of windows drawn by `generator`, on this process's share."""
        s = self._settings
        index = draw_frames(self._starts, s.window, s.batch, generator, self._weights)
        view = draw_views(s, s.batch, generator)
        index, view = self._world.share(index), self._world.share(view)
        model = self.model
        actions = model.normalize_actions(self._recording.actions[index].to(model.device))
        proprio = model.encode_proprio(self._recording.proprio[index], *index.shape)
        latents = Latents(self.latents(view, index), proprio)
        with narrow_numbers(model, s):
            loss = prediction_loss(model, latents, actions, s, generator)
        return {'prediction': (1.0, loss)}


def prediction_loss(
    model: WorldModel,
    latents: Latents,
    actions: Tensor,
    settings: StageSettings,
    generator: torch.Generator,
) -> Tensor:
    """The paper's loss of clips as `loss_settings` has it."""
    wanted = loss_settings(model.spec, settings)
    prefix = draw_prefix(settings.window, wanted, generator)
    return training_loss(model, latents, actions, wanted, prefix).total


def loss_settings(spec: ModelSpec, settings: StageSettings) -> LossSettings:
    """The loss that the model's family was published with, over this stage's rollout."""
    return replace(
        published_settings(spec),
        rollout_steps=settings.rollout_steps,
        window=settings.context_window or spec.context_window,
        stop_gradient=settings.stop_gradient,
    )


def narrow_numbers(
    model: WorldModel, settings: StageSettings
) -> contextlib.AbstractContextManager[None]:
    """bfloat16 on the model's device where the stage wants it."""
    if not settings.bfloat16:
        return contextlib.nullcontext()
    return torch.autocast(model.device.type, torch.bfloat16)


def prepare(model: WorldModel, frames: Tensor) -> Tensor:
    """Pixels (B, T, 3, S, S) of frames (B, T, S, S, 3), through the one image pipeline."""
    return model.prepare_images(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def some(starts: Tensor) -> Tensor:
    """Those of the windows (W,) that are measured, evenly spread."""
    count = min(_VALIDATION_WINDOWS, len(starts))
    return starts[torch.linspace(0, len(starts) - 1, count).long()]


def validation(
    model: WorldModel, recording: Recording, settings: StageSettings
) -> Callable[[], dict[str, float]]:
    """A function that measures errors of one step and more, and of copying, on a recording, as the
    family's loss measures them.

    copy is the error of predicting that nothing changes: a model has to stay well below it.
    """
    starts = some(recording.windows(settings.window))
    index = starts[:, None] + torch.arange(settings.window)

    def errors(windows: Windows) -> dict[str, float]:
        visual = model.encode_visual(prepare(model, windows.frames)).visual
        truth = Latents(visual, model.encode_proprio(windows.proprio, *windows.index.shape))
        actions = model.normalize_actions(windows.actions.to(model.device))
        rollout = model.unroll(truth[:, :1], actions[:, :-1].transpose(0, 1)).transpose()

        def error(seen: Latents, frame: int) -> float:
            pair = Latents(seen.visual), Latents(truth.visual[:, frame])
            return frame_loss(*pair, published_settings(model.spec)).item()

        return {
            'val_step': error(rollout[:, 1], 1),
            **{f'val_step{k}': error(rollout[:, k], k) for k in range(2, settings.window)},
            'val_copy': error(truth[:, 0], 1),
        }

    @torch.no_grad()
    def measure() -> dict[str, float]:
        measured: dict[str, float] = defaultdict(float)
        for part in index.split(_WINDOWS_AT_ONCE):
            for name, value in errors(gather(recording, part)).items():
                measured[name] += value * len(part) / len(index)
        return dict(measured)

    return measure
