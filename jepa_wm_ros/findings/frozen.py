# SPDX-License-Identifier: Apache-2.0
"""Encoders that are not trained here but frozen as they are: what each needs, and which file.

All see pictures so large that a frame is 4 x 4 tokens of theirs: a sixteenth of the published
models' 16 x 16, and small enough for a processor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.findings.questions import Question
from jepa_wm_ros.world_model import EncoderSpec
from jepa_wm_ros.world_model.files.registry import (
    DINOV2_VITS,
    DINOV3_VITL,
    VJEPA2_VITG,
    dinov2,
    dinov3,
    vjepa,
    vjepa2,
)
from jepa_wm_ros.world_model.files.safe_files import existing_file
from jepa_wm_ros.world_model.spec import HALF, IMAGENET_MEAN, IMAGENET_STD

SIDE = 4  # tokens of a frame


@dataclass(frozen=True, slots=True)
class Frozen:
    """An encoder and its image pipeline.

    file    how its published weights are called; '': it needs none
    """

    spec: EncoderSpec
    file: str
    normalize_latents: bool
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def changes(self) -> dict[str, Any]:
        """As questions.Variant.training."""
        return {
            'encoder': dataclasses.asdict(self.spec),
            'img_size': SIDE * self.spec.patch_size,
            'image_mean': list(self.mean),
            'image_std': list(self.std),
            'normalize_latents': self.normalize_latents,
        }


_LITE0 = EncoderSpec('efficientnet_lite0', 112, patch_size=16)
ENCODERS = {
    'efficientnet_lite0': Frozen(_LITE0, 'efficientnet-lite0-57934424.pth', True, HALF, HALF),
    'random': Frozen(_LITE0, '', True, HALF, HALF),
    'dinov2': Frozen(dinov2('s'), DINOV2_VITS.file, False),
    'dinov3': Frozen(dinov3('l'), DINOV3_VITL.file, False),
    'vjepa': Frozen(vjepa(), 'vitl16.pth.tar', True),
    'vjepa2': Frozen(vjepa2('g'), VJEPA2_VITG.file, True),
}


def files_of(told: Iterable[str]) -> dict[str, Path]:
    """The files of KIND=FILE words, by kind. Raises JepaWmError for another word, and
    CheckpointError for a file that is not there.
    """
    kinds = [kind for kind, encoder in ENCODERS.items() if encoder.file]
    found = {}
    for word in told:
        kind, _, file = word.partition('=')
        if kind not in kinds or not file:
            raise JepaWmError(f'--encoder {word}: give KIND=FILE, KIND one of {", ".join(kinds)}')
        found[kind] = existing_file(file)
    return found


def needed(question: Question, given: Mapping[str, Path]) -> dict[str, str]:
    """By the names of the variants that cannot be run: the file each would need."""
    return {
        variant.name: ENCODERS[variant.encoder].file
        for variant in question.variants
        if variant.encoder and variant.encoder not in given and ENCODERS[variant.encoder].file
    }
