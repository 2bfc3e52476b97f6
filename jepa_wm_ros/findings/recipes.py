# SPDX-License-Identifier: Apache-2.0
"""Configurations of the variants: a base, with what each changes about it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from jepa_wm_ros import resources
from jepa_wm_ros.findings.frozen import ENCODERS
from jepa_wm_ros.findings.questions import Variant
from jepa_wm_ros.world_model.files.registry import find

# What is ours about a published predictor and its training: their size, and the processor's.
OUR_SIZE = ('width', 'depth', 'heads', 'mlp_hidden')
OUR_LENGTH = ('iterations', 'batch', 'light', 'bfloat16')


def configuration(base: str, variant: Variant) -> dict[str, Any]:
    """The training configuration of a variant; base: a file, or a name in config/train."""
    config = _read(base)
    config.pop('proposal', None)  # no question is about it
    changes: dict[str, Any] = {}
    if variant.encoder:
        changes |= ENCODERS[variant.encoder].changes
    if variant.published:
        changes |= _as_published(variant.published, config)
    return changed(config, changes | dict(variant.training))


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes by dotted keys, see questions.Variant."""
    result: dict[str, Any] = copy.deepcopy(dict(config))
    for key, value in changes.items():
        *parents, name = key.split('.')
        table = result['predictor'] if parents == ['stage'] else result['model']
        for parent in parents if parents != ['stage'] else []:
            table = table[parent]
        table[name] = value
        if parents == ['predictor'] and name in result.get('retrained', {}):
            result['retrained'][name] = value
    return result


def _read(told: str) -> dict[str, Any]:
    path = Path(told)
    if path.suffix not in ('.yaml', '.yml'):
        path = resources.find('config', 'train', f'{told}.yaml')
    return yaml.safe_load(path.read_text())


def _as_published(name: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that make the base's predictor and its training those of a published model, but
    for their size; the encoder stays the base's.
    """
    spec = find(name).spec
    stage = _read(str(resources.find('config', 'train', 'published', f'{name}.yaml')))['predictor']
    told = {key: value for key, value in stage.items() if key not in OUR_LENGTH}
    told['warmup'] = round(stage['warmup'] * base['predictor']['iterations'] / stage['iterations'])
    predictor = dataclasses.asdict(spec.predictor)
    return {
        'family': spec.family,
        'context_window': spec.context_window,
        'normalize_latents': spec.normalize_latents,
        **{f'predictor.{key}': predictor[key] for key in predictor if key not in OUR_SIZE},
        # Without projections tokens are as wide as the encoder's.
        **(
            {} if spec.predictor.project else {'predictor.width': base['model']['encoder']['width']}
        ),
        **{f'stage.{key}': value for key, value in told.items()},
    }
