# SPDX-License-Identifier: Apache-2.0
"""What is compared in each kind of golden folder: models, encoders, decoder, pictures, actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jepa_wm_ros import actions
from jepa_wm_ros.evaluation.golden_planning import planning_rows
from jepa_wm_ros.evaluation.goldens import GoldenError, Row, relative_error
from jepa_wm_ros.evaluation.metrics import action_errors, action_score
from jepa_wm_ros.world_model import images
from jepa_wm_ros.world_model.checkpoints import load_world_model
from jepa_wm_ros.world_model.encoders import build_encoder
from jepa_wm_ros.world_model.heads import load_image_head
from jepa_wm_ros.world_model.latents import Latents
from jepa_wm_ros.world_model.model import WorldModel
from jepa_wm_ros.world_model.objective import Objective, distance, distance_to_go
from jepa_wm_ros.world_model.official import load_encoder, published_name
from jepa_wm_ros.world_model.official_config import encoder_from_kwargs
from jepa_wm_ros.world_model.registry import DINO_STATS  # noqa: F401
from jepa_wm_ros.world_model.safe_files import read_json
from jepa_wm_ros.world_model.spec import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    EncoderSpec,
)
from jepa_wm_ros.world_model.statistics import STATISTICS
from jepa_wm_ros.world_model.training_loss import LossSettings, frame_loss, training_loss
