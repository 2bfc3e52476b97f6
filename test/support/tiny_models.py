# SPDX-License-Identifier: Apache-2.0
"""A world model so small that it is made in a moment, with the steps of the paper's tasks."""

from jepa_wm_ros.world_model import EncoderSpec, ModelSpec, PredictorSpec

STEP = 10  # numbers of an action: five of two


def tiny_spec(name, **more):
    """Its spec: one layer, patches of a half of `img_size`."""
    size = more.setdefault('img_size', 64)
    more.setdefault('action_std', (1.0,) * STEP)
    return ModelSpec(
        name,
        'adaln',
        EncoderSpec('patch', 8, patch_size=size // 2),
        PredictorSpec(16, 1, 2),
        action_dim=STEP,
        action_mean=(0.0,) * STEP,
        **more,
    )
