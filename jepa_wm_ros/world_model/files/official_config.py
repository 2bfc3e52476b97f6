# SPDX-License-Identifier: Apache-2.0
"""A `ModelSpec` from a configuration of the released code (doc/reference/models.md section 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from jepa_wm_ros.world_model.files.registry import dino_wm_predictor, dinov2, dinov3, vjepa, vjepa2
from jepa_wm_ros.world_model.files.statistics import STATISTICS
from jepa_wm_ros.world_model.spec import EncoderSpec, ModelSpec, PredictorSpec, SpecError

FAMILY = {'AdaLN': 'adaln', 'dino_wm': 'dino_wm', 'vjepa2_ac': 'vjepa2_ac'}


def spec_from_official(config: Mapping[str, Any], name: str) -> ModelSpec:
    """The model a configuration of the released code describes; raises SpecError."""
    try:
        return _spec(config, name)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise SpecError(
            f'the configuration of {name} lacks or misstates {type(error).__name__}: {error}'
        ) from error


def encoder_file(config: Mapping[str, Any]) -> str:
    """Name of the encoder's weight file beside the configuration."""
    return config.get('encoder_kwargs', {}).get('file', 'encoder.pth')


def _spec(config: Mapping[str, Any], name: str) -> ModelSpec:
    model = config['model_kwargs']
    train, data = model['pretrain_kwargs'], model['data']
    custom, wrapper = data['custom'], model['wrapper_kwargs']
    env = STATISTICS[config['env']]
    normalized = bool(custom.get('normalize_action'))
    repeat = custom['frameskip'] // custom['action_skip']
    predictor = _predictor(train, has_proprio='state' in config['obs'])
    proprio_dim = len(env.proprio_mean) if predictor.proprio != 'none' else 0
    spec = ModelSpec(
        name,
        FAMILY[train['predictor']['pred_type']],
        _encoder(config),
        predictor,
        action_dim=repeat * len(env.action_mean),
        action_mean=env.action_mean if normalized else (0.0,) * len(env.action_mean),
        action_std=env.action_std if normalized else (1.0,) * len(env.action_std),
        proprio_dim=proprio_dim,
        proprio_mean=env.proprio_mean[:proprio_dim] if normalized else (0.0,) * proprio_dim,
        proprio_std=env.proprio_std[:proprio_dim] if normalized else (1.0,) * proprio_dim,
        img_size=data['img_size'],
        image_mean=tuple(model['data_aug']['normalize'][0]),
        image_std=tuple(model['data_aug']['normalize'][1]),
        fps=4.0 if config['env'] == 'droid' else 0.0,
        context_window=wrapper['ctxt_window'],
        normalize_latents=train['wm_encoding']['normalize_reps'],
        proprio_rollout='integrate'
        if wrapper.get('proprio_mode') == 'compute_new_pose'
        else 'predict',
    )
    if spec.grid != train['grid_size']:
        raise SpecError(
            f'{name}: grid_size {train["grid_size"]} is not img_size / patch size = {spec.grid}'
        )
    return spec


def _predictor(train: Mapping[str, Any], *, has_proprio: bool) -> PredictorSpec:
    pred, act, prop = train['predictor'], train['action_encoder'], train['proprio_encoder']
    if act.get('act_mlp') or prop.get('prop_mlp'):
        raise SpecError('action or proprio encoders with an MLP are in no published model')
    width, depth, heads = pred['pred_embed_dim'], pred['pred_depth'], pred['pred_num_heads']
    features = prop['proprio_emb_dim'] if has_proprio else 0
    if pred['pred_type'] == 'dino_wm':
        return dino_wm_predictor(
            width, depth, heads, act['action_emb_dim'], features, train['num_frames_pred']
        )
    position = 'rope' if pred['use_rope'] else 'none'
    if pred['pred_type'] == 'vjepa2_ac':
        token = has_proprio and prop['proprio_tokens'] > 0
        return PredictorSpec(
            width, depth, heads, 'sequence', position, proprio='token' if token else 'none'
        )
    return PredictorSpec(
        width,
        depth,
        heads,
        'adaln',
        position,
        proprio='feature' if features else 'none',
        proprio_features=features,
    )


def _encoder(config: Mapping[str, Any]) -> EncoderSpec:
    if 'encoder_kwargs' in config:
        return encoder_from_kwargs(config['encoder_kwargs'])
    published = config['model_kwargs']['pretrain_kwargs']['visual_encoder']
    if published['enc_type'] == 'dino':
        version = published['enc_version']
        size = version.partition('_vit')[2][:1]
        return dinov3(size) if version.startswith('dinov3') else dinov2(size)
    if published['enc_use_rope']:
        return vjepa2('g' if 'giant' in published['enc_name'] else 'l')
    return vjepa()


def encoder_from_kwargs(kwargs: Mapping[str, Any]) -> EncoderSpec:
    """An encoder from the constructor arguments recorded beside golden data."""
    kind = kwargs['kind'].removesuffix('_vit')
    width, patch = kwargs['embed_dim'], kwargs['patch_size']
    if kind == 'patchify_conv':
        return EncoderSpec('patch', width, patch)
    shape = {
        'depth': kwargs['depth'],
        'heads': kwargs['num_heads'],
        'mlp_ratio': float(Fraction(str(kwargs.get('mlp_ratio', kwargs.get('ffn_ratio'))))),
    }
    if kind in ('dinov2', 'dinov3'):
        registers = kwargs.get('num_register_tokens', 0) + kwargs.get('n_storage_tokens', 0)
        return EncoderSpec(
            kind, width, patch, **shape, prefix=1 + registers, native_size=kwargs['img_size']
        )
    if not kwargs.get('use_rope', True):
        return EncoderSpec(
            'vjepa',
            width,
            patch,
            **shape,
            tubelet=kwargs['tubelet_size'],
            native_size=kwargs['img_size'],
            frames=kwargs['num_frames'],
        )
    return EncoderSpec('vjepa2', width, patch, **shape, tubelet=kwargs['tubelet_size'])
