# SPDX-License-Identifier: Apache-2.0
"""The world model: pictures to latents, latents and actions to imagined latents.

Source: arXiv 2512.24497 sections 3 and 4; doc/reference/models.md sections 2, 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_wm_ros import actions as droid
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.world_model import images
from jepa_wm_ros.world_model.device import is_out_of_memory
from jepa_wm_ros.world_model.encoders import build_encoder
from jepa_wm_ros.world_model.encoders.conv import ConvEncoder
from jepa_wm_ros.world_model.familiarity import Familiarity
from jepa_wm_ros.world_model.latents import Latents, carried, cat_time
from jepa_wm_ros.world_model.predictor import Predictor
from jepa_wm_ros.world_model.proposal import Proposal
from jepa_wm_ros.world_model.spec import ModelSpec, SpecError

LATENT_EPS = 1e-5
ENCODE_CHUNK = 32


class WorldModel(nn.Module):
    """Encoder, predictor and the statistics between physical units and the network."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = build_encoder(spec.encoder, spec.img_size)
        self.predictor = Predictor(spec)
        self.decoder: nn.Module | None = None  # pictures for people, see heads.py
        self.familiarity: Familiarity | None = None  # with the pictures it was trained on
        self.proposal = Proposal(spec) if spec.proposal_steps else None  # see proposal.py

    @property
    def device(self) -> torch.device:
        return self.predictor.predictor_norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.predictor.predictor_norm.weight.dtype

    def train(self, mode: bool = True) -> WorldModel:
        """As torch's, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.train(mode and any(p.requires_grad for p in self.encoder.parameters()))
        return self

    def freeze(self) -> WorldModel:
        """No gradients, evaluation mode."""
        return self.requires_grad_(False).eval()

    # --- physical units <-> network -----------------------------------------------------------

    def normalize_actions(self, actions: Tensor) -> Tensor:
        """Physical actions (..., A) as the network sees them."""
        return (actions - self._tiled('action_mean', actions)) / self._tiled('action_std', actions)

    def denormalize_actions(self, actions: Tensor) -> Tensor:
        return actions * self._tiled('action_std', actions) + self._tiled('action_mean', actions)

    def normalize_proprio(self, proprio: Tensor) -> Tensor:
        """Physical proprioception (..., P) as the network sees it."""
        return (proprio - self._statistic('proprio_mean', proprio)) / self._statistic(
            'proprio_std', proprio
        )

    def denormalize_proprio(self, proprio: Tensor) -> Tensor:
        return proprio * self._statistic('proprio_std', proprio) + self._statistic(
            'proprio_mean', proprio
        )

    def _statistic(self, name: str, like: Tensor) -> Tensor:
        return _constant(getattr(self.spec, name), like.dtype, like.device)

    def _tiled(self, name: str, like: Tensor) -> Tensor:
        return _constant(getattr(self.spec, name) * self.spec.frameskip, like.dtype, like.device)

    # --- pictures -> latents ------------------------------------------------------------------

    def prepare_images(self, frames: Tensor | np.ndarray) -> Tensor:
        """uint8 RGB frames (B, H, W, 3) as normalised pixels (B, 3, S, S), float32."""
        if isinstance(frames, np.ndarray):
            frames = torch.from_numpy(np.ascontiguousarray(frames))
        pixels = images.crop_and_resize(frames, self.spec.img_size, antialias=self.spec.antialias)
        return images.normalize(pixels, self.spec.image_mean, self.spec.image_std)

    def encode(self, pixels: Tensor, proprio: Tensor | None = None) -> Latents:
        """Latents of pixels (B, 3, S, S) or (B, T, 3, S, S) and raw proprio (B, P) or (B, T, P)."""
        return self.join(self.encode_visual(pixels), proprio)

    def join(self, seen: Latents, proprio: Tensor | None) -> Latents:
        """What `encode_visual` made, with the proprio that belongs to it."""
        batch, frames = seen.visual.shape[:2]
        return Latents(seen.visual, self.encode_proprio(proprio, batch, frames))

    def encode_visual(self, pixels: Tensor) -> Latents:
        """Latents of pictures alone, as `encode`: of most goals nothing but a picture is known."""
        return self.encode_and_describe(pixels)[0]

    def features(self, pixels: Tensor) -> Tensor:
        """What pictures (B, 3, S, S) are made of, wherever it lies in them: (B, F)."""
        return self.encode_and_describe(pixels)[1]

    def encode_and_describe(self, pixels: Tensor) -> tuple[Latents, Tensor]:
        """In one pass, `encode_visual` of pictures (B, 3, S, S) or (B, T, 3, S, S) and their
        `features` (B, F) or (B * T, F).
        """
        if pixels.ndim == 4:
            pixels = pixels.unsqueeze(1)
        batch, frames = pixels.shape[:2]
        flat = pixels.flatten(0, 1).to(self.device, self.dtype)
        # An encoder that is being trained sees its batch whole: it may keep statistics of it.
        chunk = len(flat) if self.encoder.training else ENCODE_CHUNK
        parts = [self._tokens_and_features(part) for part in flat.split(chunk)]
        tokens, features = (torch.cat(part) for part in zip(*parts, strict=True))
        g = self.spec.grid
        visual = tokens.view(batch, frames, 1, g, g, self.spec.encoder.width)
        return Latents(self.normalize_visual(visual), None), features

    def _tokens_and_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.encoder, ConvEncoder):
            return self.encoder.tokens_and_features(pixels)
        tokens = self.encoder(pixels)
        return tokens, tokens.mean(dim=1)

    def encode_proprio(self, proprio: Tensor | None, batch: int, frames: int) -> Tensor | None:
        """Raw proprio (B, P) or (B, T, P) as features (B, T, g*g, p) or normalised (B, T, P)."""
        if not self.spec.uses_proprio:
            return None
        if proprio is None:
            raise JepaWmError(
                f'{self.spec.name} hears proprioception: give proprio '
                f'({batch}, {self.spec.proprio_dim})'
            )
        proprio = proprio.to(self.device, self.dtype).view(batch, frames, self.spec.proprio_dim)
        return self.proprio_features(self.normalize_proprio(proprio))

    def proprio_features(self, proprio: Tensor) -> Tensor:
        """Normalised proprio (B, T, P) in the form latents carry it."""
        if self.spec.predictor.proprio == 'token':
            return proprio
        features = self.predictor.proprio_encoder(proprio)
        return features.unsqueeze(-2).expand(-1, -1, self.spec.grid**2, -1)

    def normalize_visual(self, visual: Tensor) -> Tensor:
        """Visual tokens (..., D), each with mean 0 and variance 1 where the model wants that."""
        if not self.spec.normalize_latents:
            return visual
        return F.layer_norm(visual, visual.shape[-1:], eps=LATENT_EPS)

    # --- latents and actions -> imagined latents ------------------------------------------------

    def predict(self, latents: Latents, actions: Tensor) -> Latents:
        """One predictor call: entry t of the result is frame t + 1 seen from frames <= t.

        latents (B, T, ...), normalised actions (B, T, A). Proprio comes back as features, or as
        the predictor's pose token (B, T, 1, E).
        """
        visual, proprio = self.predictor(latents.visual.flatten(2, 4), actions, latents.proprio)
        return Latents(self.normalize_visual(visual.view_as(latents.visual)), proprio)

    def step(self, window: Latents, actions: Tensor) -> Latents:
        """The frame (B, 1, ...) after a window (B, W, ...), given its actions (B, W, A)."""
        predicted = self.predict(window, actions)
        return Latents(predicted.visual[:, -1:], self.next_proprio(window, predicted, actions))

    def next_proprio(self, window: Latents, predicted: Latents, actions: Tensor) -> Tensor | None:
        """Proprio of the next frame: predicted features, or the pose moved by the last action."""
        if window.proprio is None:
            return None
        if self.spec.proprio_rollout == 'predict':
            return carried(predicted.proprio)[:, -1:]
        pose = self.denormalize_proprio(window.proprio[:, -1:])
        return self.normalize_proprio(
            droid.integrate(pose, self.denormalize_actions(actions[:, -1:]))
        )

    def unroll(
        self,
        context: Latents,
        actions: Tensor,
        window: int | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Latents:
        """Imagined frames (T + 1, B, ...), the context frame first.

        Source: doc/reference/models.md section 3.
        context: one encoded frame (1 or B, 1, ...); actions (T, B, A) normalised, time first.
        `pause` is called at every step, also where the slope comes back through it, and may raise.
        """
        window = window or self.spec.context_window
        batch = actions.shape[1]
        frames = [context.expand_batch(batch) if context.visual.shape[0] == 1 else context]
        for h in range(len(actions)):
            seen = cat_time(frames[-window:])
            taken = actions[max(0, h + 1 - window) : h + 1].transpose(0, 1)
            frames.append(self.step(seen, taken))
            paused(frames[-1].visual, pause)
        return cat_time(frames).transpose()

    def propose(self, context: Latents, goal: Latents) -> Tensor | None:
        """Physical actions (B, H, A) that usually led from one frame (B, 1, ...) to another; None
        where the model was not trained to tell.
        """
        if self.proposal is None:
            return None
        now, then = (seen.visual[:, -1, 0].to(self.dtype) for seen in (context, goal))
        return self.denormalize_actions(self.proposal(now, then))

    # --- imagined latents -> something to look at ---------------------------------------------

    def decode(self, latents: Latents) -> Tensor:
        """Pictures uint8 (frames, S, S, 3) of latents, leading dimensions flattened."""
        if self.decoder is None:
            raise JepaWmError(
                f'{self.spec.name} has no picture decoder loaded; see `ros2 run '
                'jepa_wm_ros model list` for its file'
            )
        return self.decoder(latents.visual).flatten(0, 2)

    def decode_proprio(self, latents: Latents) -> Tensor | None:
        """Proprioception (.., .., P) in physical units that latents carry; None without any."""
        if latents.proprio is None:
            return None
        if self.spec.predictor.proprio == 'token':
            return self.denormalize_proprio(latents.proprio)
        encoder = self.predictor.proprio_encoder
        features = latents.proprio.mean(dim=-2) - encoder.bias
        inverse = torch.linalg.pinv(encoder.weight.double()).to(features)
        return self.denormalize_proprio(features @ inverse.T)


def paused(x: Tensor, pause: Callable[[], None]) -> None:
    """Call `pause` here, and once more when the gradient of `x` is known; it may raise."""
    pause()
    if x.requires_grad:
        x.register_hook(lambda _: pause())


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor, sent to the device once and not anew with every call."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def build(
    spec: ModelSpec,
    *,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
    seed: int | None = None,
) -> WorldModel:
    """A world model of `spec` with random weights, trainable; on 'meta' it takes no memory.

    Raises SpecError where torch cannot make one of its layers.
    """
    if seed is not None:
        torch.manual_seed(seed)
    try:
        with torch.device(device):
            model = WorldModel(spec)
            model.predictor.reset_parameters()
    except (RuntimeError, ValueError, TypeError, ArithmeticError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        reason = ' '.join(str(error).split())
        raise SpecError(f'{spec.name} cannot be built: {reason:.200}') from error
    return model.to(dtype)
