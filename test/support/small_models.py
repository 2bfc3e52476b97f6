# SPDX-License-Identifier: Apache-2.0
"""Models and recordings so small that a step of training takes milliseconds."""

import torch

from jepa_wm_ros.learning.stages import prepare_predictor
from jepa_wm_ros.learning.windows import Recording
from jepa_wm_ros.world_model import build
from jepa_wm_ros.world_model.spec import EncoderSpec, ModelSpec, PredictorSpec

SIZE = 16
FAMILIES = {
    'adaln': {'proprio': 'feature', 'proprio_features': 4, 'predict_change': True},
    'dino_wm': {
        'conditioning': 'feature',
        'action_features': 3,
        'proprio': 'feature',
        'proprio_features': 4,
        'position': 'learned',
        'head_dim': 8,
    },
    'vjepa2_ac': {'conditioning': 'sequence', 'proprio': 'token', 'predict_change': True},
}


def recording(frames=12, proprio=7, episodes=2):
    torch.manual_seed(0)
    return Recording(
        torch.randint(0, 256, (frames, SIZE, SIZE, 3), dtype=torch.uint8),
        torch.randn(frames, proprio),
        torch.randn(frames, 7),
        {},
        torch.arange(episodes).repeat_interleave(frames // episodes),
        4.0,
    )


def model(family, proprio=7, device='cpu', **changes):
    spec = ModelSpec(
        'small',
        family,
        EncoderSpec('patch', 20, 8),
        PredictorSpec(36, 2, 4, **FAMILIES[family]),
        action_dim=7,
        action_mean=(0.0,) * 7,
        action_std=(1.0,) * 7,
        proprio_dim=proprio,
        proprio_mean=(0.0,) * proprio,
        proprio_std=(1.0,) * proprio,
        img_size=SIZE,
        normalize_latents=family == 'vjepa2_ac',
    )
    made = build(spec.replace(**changes), seed=0, device=device)
    prepare_predictor(made)
    return made
