# SPDX-License-Identifier: Apache-2.0
"""Latents of a frozen encoder: every picture is encoded once, and kept on disk for the next run.

A file is called by what made its numbers (encoder, image pipeline, pictures, light, seed): what was
made of anything else is never read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jepa_wm_ros.learning.settings import StageSettings, TrainingError
from jepa_wm_ros.learning.windows import Recording, fingerprint, vary_light
from jepa_wm_ros.world_model import WorldModel
from jepa_wm_ros.world_model.files.decoders import encoder_digest

_BATCH = 256  # pictures


Encode = Callable[[WorldModel, Tensor], Tensor]


def visual(model: WorldModel, pixels: Tensor) -> Tensor:
    """Visual latents (n, 1, g, g, D) of pixels (n, 3, S, S)."""
    return model.encode_visual(pixels).visual[:, 0].float()


def stem(model: WorldModel, pixels: Tensor) -> Tensor:
    """What the convolutions of a `ConvEncoder` make of pixels (n, 3, S, S): (n, C, s, s)."""
    return model.encoder.stem(pixels.to(model.device, model.dtype)).half()


@torch.no_grad()
def encode_pictures(model: WorldModel, frames: Tensor) -> Tensor:
    """Visual latents (n, 1, g, g, D) of pictures uint8 (n, H, W, 3), in main memory."""
    model.encoder.eval()
    parts = frames.split(_BATCH)
    return torch.cat([visual(model, model.prepare_images(part)).cpu() for part in parts])


def encode_frames(model: WorldModel, recording: Recording) -> Tensor:
    """Visual latents (F, 1, g, g, D) of all frames, in main memory."""
    return torch.cat([encode_pictures(model, part) for part in recording.frames.split(_BATCH)])


def encoded_views(
    model: WorldModel,
    recording: Recording,
    settings: StageSettings,
    seed: int,
    folder: Path | None = None,
    encode: Encode = visual,
) -> np.ndarray:
    """What `encode` makes of all frames, (V, F, ...) float32 or float16, the first view as they
    are, the others each in a light of its own: in memory, or in a file of `folder`, read when
    indexed.

    Raises TrainingError where the file cannot be written.
    """
    generator = torch.Generator().manual_seed(seed)
    if folder is None:
        views = [
            torch.cat(
                list(_encoded(model, recording, settings.light if view else 0.0, generator, encode))
            )
            for view in range(settings.views)
        ]
        return torch.stack(views).numpy()
    kind = 'latents' if encode is visual else encode.__name__
    path = folder / f'{kind}-{_key(model, recording, settings, seed)}.npy'
    if not path.exists():
        try:
            _write(path, model, recording, settings, generator, encode)
        except OSError as error:
            raise TrainingError(
                f'latents cannot be kept in {folder} ({error}): make room, or give another --cache'
            ) from error
    return np.load(path, mmap_mode='r')


def _write(
    path: Path,
    model: WorldModel,
    recording: Recording,
    settings: StageSettings,
    generator: torch.Generator,
    encode: Encode,
) -> None:
    """Encode part by part; the file has its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f'.{os.getpid()}.part')
    frames = len(recording.episode)
    model.encoder.eval()
    with torch.no_grad():
        one = encode(model, model.prepare_images(recording.frames[:1])).cpu().numpy()
    shape = (settings.views, frames, *one.shape[1:])
    try:
        with (
            part.open('wb') as file,
            tqdm(
                total=settings.views * frames,
                desc='encode',
                unit='picture',
                disable=None,
                leave=False,
            ) as bar,
        ):
            header = {'descr': one.dtype.str, 'fortran_order': False, 'shape': shape}
            np.lib.format.write_array_header_2_0(file, header)
            for view in range(settings.views):
                light = settings.light if view else 0.0
                for latents in _encoded(model, recording, light, generator, encode):
                    file.write(latents.numpy().tobytes())
                    bar.update(len(latents))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@torch.no_grad()
def _encoded(
    model: WorldModel,
    recording: Recording,
    light: float,
    generator: torch.Generator,
    encode: Encode,
) -> Iterator[Tensor]:
    """What `encode` makes of all frames (n, ...), in order, in main memory."""
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
    for frames, episode in zip(
        recording.frames.split(_BATCH), recording.episode.split(_BATCH), strict=True
    ):
        pixels = model.prepare_images(frames)
        if light:
            pixels = torch.addcmul(offset[episode], pixels, gain[episode])
        yield encode(model, pixels).cpu()


def _key(model: WorldModel, recording: Recording, settings: StageSettings, seed: int) -> str:
    """What the numbers of a file depend on."""
    told = encoder_digest(model), settings.light, settings.views, seed, fingerprint(recording)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:20]
