# SPDX-License-Identifier: Apache-2.0
"""What the world model thinks of a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.errors import JepaWmError


@dataclass(frozen=True, slots=True)
class Latents:
    """Visual tokens and proprioception of frames; the two leading dimensions are the same.

    visual   (B, T, 1, g, g, D), or (T, B, 1, g, g, D) from a rollout
    proprio  features (.., .., g*g, p), the raw pose (.., .., P) when it is a token, or None
    """

    visual: Tensor
    proprio: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Latents:
        return Latents(
            function(self.visual), None if self.proprio is None else function(self.proprio)
        )

    def __getitem__(self, index) -> Latents:
        return self.map(lambda t: t[index])

    def detach(self) -> Latents:
        return self.map(Tensor.detach)

    def to(self, *args, **kwargs) -> Latents:
        return self.map(lambda t: t.to(*args, **kwargs))

    def transpose(self) -> Latents:
        """Batch first to time first, and back."""
        return self.map(lambda t: t.transpose(0, 1))

    def expand_batch(self, size: int) -> Latents:
        """One context (1, T, ...) seen `size` times, without a copy."""
        return self.map(lambda t: t.expand(size, *t.shape[1:]))


def carried(proprio: Tensor | None) -> Tensor:
    """Proprioception where the model cannot do without it. Raises JepaWmError if there is none."""
    if proprio is None:
        raise JepaWmError(
            'the model hears proprioception and its latents carry none; encode pictures with it'
        )
    return proprio


def cat_time(parts: list[Latents]) -> Latents:
    """Frames joined along the time of batch-first latents."""
    proprio = None
    if parts[0].proprio is not None:
        proprio = torch.cat([carried(part.proprio) for part in parts], dim=1)
    return Latents(torch.cat([part.visual for part in parts], dim=1), proprio)
