# SPDX-License-Identifier: Apache-2.0
"""Every model by name: its files, their licences, where to get them and what it is made of.

Nothing is downloaded: `Entry.present_file` and `WeightFile.present_file` say which file to fetch
by hand. Architectures: doc/reference/models.md section 1.5.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from jepa_wm_ros import resources
from jepa_wm_ros.world_model.encoders.conv import conv_spec
from jepa_wm_ros.world_model.files.safe_files import CheckpointError
from jepa_wm_ros.world_model.files.statistics import STATISTICS
from jepa_wm_ros.world_model.spec import HALF, EncoderSpec, ModelSpec, PredictorSpec

WEIGHTS_VARIABLE = 'JEPA_WM_WEIGHTS'
MODELS_URL = 'https://huggingface.co/facebook/jepa-wms/resolve/main'
CC_BY_NC = 'CC-BY-NC-4.0'


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file in weights/, and the address a person fetches it from."""

    file: str
    url: str
    licence: str
    sha256: str = ''

    def present_file(self, folder: Path) -> Path:
        """The file's path below `folder`; raises with the address when it is not there."""
        path = folder / self.file
        if not path.is_file():
            raise CheckpointError(
                f'{path} is missing; fetch it by hand from {self.url} (licence: {self.licence})'
            )
        return path


@dataclass(frozen=True, slots=True)
class Entry:
    """A model's name, its weight file, its encoder's file and its picture decoder."""

    weights: WeightFile
    spec: ModelSpec
    encoder: WeightFile | None = None
    decoder: str = ''

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def files(self) -> tuple[WeightFile, ...]:
        return (self.weights,) if self.encoder is None else (self.weights, self.encoder)


# --- encoders -----------------------------------------------------------------------------------


def dinov2(size: str = 's') -> EncoderSpec:
    """DINOv2 ViT-S/B/L with 14 px patches, no registers, positions made for 518 px."""
    width, depth, heads = {'s': (384, 12, 6), 'b': (768, 12, 12), 'l': (1024, 24, 16)}[size]
    return EncoderSpec('dinov2', width, patch_size=14, depth=depth, heads=heads, native_size=518)


def dinov3(size: str = 'l') -> EncoderSpec:
    """DINOv3 ViT-S/B/L with 16 px patches, a class token and four storage tokens."""
    width, depth, heads = {'s': (384, 12, 6), 'b': (768, 12, 12), 'l': (1024, 24, 16)}[size]
    return EncoderSpec('dinov3', width, depth=depth, heads=heads, prefix=5)


def vjepa2(size: str = 'g') -> EncoderSpec:
    """V-JEPA 2 ViT-L or ViT-g with rotary positions; a picture is a clip of two equal frames."""
    width, depth, heads, ratio = {'l': (1024, 24, 16, 4.0), 'g': (1408, 40, 22, 48 / 11)}[size]
    return EncoderSpec('vjepa2', width, depth=depth, heads=heads, mlp_ratio=ratio, tubelet=2)


def vjepa() -> EncoderSpec:
    """V-JEPA ViT-L: as V-JEPA 2's, with stored positions for 16 frames of 224 px."""
    return EncoderSpec('vjepa', 1024, depth=24, heads=16, tubelet=2, native_size=224, frames=16)


DINOV2_VITS = WeightFile(
    'dinov2_vits14_pretrain.pth',
    'https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth',
    'Apache-2.0',
)
DINOV3_VITL = WeightFile(
    'dinov3_vitl16_pretrain_lvd1689m-7c1da9a5.pth',
    'https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/ (after accepting its '
    'licence)',
    'DINOv3 License',
)
VJEPA2_VITG = WeightFile(
    'vjepa2_vit_giant.pth', 'https://dl.fbaipublicfiles.com/vjepa2/vitg.pt (rename it)', 'MIT'
)

# --- picture decoders ---------------------------------------------------------------------------

OURS = 'this repository; its card says how it is made'
DECODERS = {
    name: WeightFile(f'{name}.pth.tar', f'{MODELS_URL}/{name}.pth.tar', CC_BY_NC)
    for name in (
        'dinov2_vits_224',
        'dinov2_vits_224_INet',
        'dinov3_vitl_256_INet',
        'vjepa2_vitg_256_INet',
    )
} | {
    name: WeightFile(f'{name}.decoder.safetensors', OURS, 'Apache-2.0')
    for name in ('jepa_wm_cell', 'jepa_wm_cell_grasp')
}

# --- models -------------------------------------------------------------------------------------


def _published(file: str, spec: ModelSpec, encoder: WeightFile, decoder: str) -> Entry:
    weights = WeightFile(f'{file}.pth.tar', f'{MODELS_URL}/{file}.pth.tar', CC_BY_NC)
    return Entry(weights, spec, encoder, decoder)


def _statistics(env: str, frameskip: int, proprio: bool) -> dict:
    s = STATISTICS[env]
    values = {
        'action_dim': frameskip * len(s.action_mean),
        'action_mean': s.action_mean,
        'action_std': s.action_std,
    }
    if proprio:
        values |= {
            'proprio_dim': len(s.proprio_mean),
            'proprio_mean': s.proprio_mean,
            'proprio_std': s.proprio_std,
        }
    return values


def _jepa_wm_droid() -> Entry:
    spec = ModelSpec(
        'jepa_wm_droid',
        'adaln',
        dinov3('l'),
        PredictorSpec(1024, 12, 16),
        **_statistics('droid', 1, proprio=False),
        licence=CC_BY_NC,
    )
    return _published('droid_jepa-wm_noprop', spec, DINOV3_VITL, 'dinov3_vitl_256_INet')


def _jepa_wm_sim(env: str, short: str) -> Entry:
    predictor = PredictorSpec(384, 6, 16, proprio='feature', proprio_features=16)
    spec = ModelSpec(
        f'jepa_wm_{env}',
        'adaln',
        dinov2('s'),
        predictor,
        **_statistics(env, 5, proprio=True),
        img_size=224,
        fps=0.0,
        licence=CC_BY_NC,
    )
    return _published(f'{short}_jepa-wm', spec, DINOV2_VITS, 'dinov2_vits_224_INet')


def dino_wm_predictor(
    width: int,
    depth: int,
    heads: int,
    action_features: int,
    proprio_features: int = 0,
    max_frames: int = 4,
) -> PredictorSpec:
    """DINO-WM's predictor: no projections, 64 dims per head and a 2048-wide MLP at any width."""
    return PredictorSpec(
        width,
        depth,
        heads,
        'feature',
        'learned',
        project=False,
        action_features=action_features,
        proprio='feature' if proprio_features else 'none',
        proprio_features=proprio_features,
        head_dim=64,
        mlp_hidden=2048,
        qkv_bias=False,
        norm_eps=1e-5,
        dropout=0.1,
        max_frames=max_frames,
    )


def _dino_wm(env: str, file: str, action_features: int, proprio_features: int = 0) -> Entry:
    droid = env == 'droid'
    spec = ModelSpec(
        f'dino_wm_{env}',
        'dino_wm',
        dinov2('s'),
        dino_wm_predictor(384, 6, 16, action_features, proprio_features),
        **_statistics(env, 1 if droid else 5, proprio=not droid),
        img_size=224,
        image_mean=HALF,
        image_std=HALF,
        fps=4.0 if droid else 0.0,
        licence=CC_BY_NC,
    )
    return _published(file, spec, DINOV2_VITS, 'dinov2_vits_224')


def _vjepa2_ac(name: str, file: str, state: bool) -> Entry:
    predictor = PredictorSpec(1024, 24, 16, 'sequence', proprio='token' if state else 'none')
    spec = ModelSpec(
        name,
        'vjepa2_ac',
        vjepa2('g'),
        predictor,
        **_statistics('droid', 1, proprio=state),
        normalize_latents=True,
        proprio_rollout='integrate',
        licence=CC_BY_NC,
    )
    return _published(file, spec, VJEPA2_VITG, 'vjepa2_vitg_256_INet')


def cell_spec(
    *,
    name: str = 'jepa_wm_cell',
    width: int = 128,
    grid: int = 1,
    neck: tuple[int, ...] = (),
    depth: int = 4,
    predictor_width: int = 176,
    heads: int = 4,
    proprio_features: int = 16,
    predict_change: bool = True,
) -> ModelSpec:
    """A small model of the simulated cell: 96 px pictures, one latent token, AdaLN + RoPE.

    Its statistics are units until training replaces them.
    """
    predictor = PredictorSpec(
        predictor_width,
        depth,
        heads,
        proprio='feature',
        proprio_features=proprio_features,
        predict_change=predict_change,
    )
    return ModelSpec(
        name,
        'adaln',
        conv_spec(width, grid, neck=neck),
        predictor,
        **_statistics('droid', 1, proprio=True),
        img_size=96,
        image_mean=HALF,
        image_std=HALF,
        antialias=True,
        licence='Apache-2.0',
    )


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            WeightFile('jepa_wm_cell.safetensors', OURS, 'Apache-2.0'),
            cell_spec(),
            decoder='jepa_wm_cell',
        ),
        Entry(
            WeightFile('jepa_wm_cell_grasp.safetensors', OURS, 'Apache-2.0'),
            cell_spec(name='jepa_wm_cell_grasp', neck=(64,), depth=2, predictor_width=96),
            decoder='jepa_wm_cell_grasp',
        ),
        _jepa_wm_droid(),
        _jepa_wm_sim('metaworld', 'mw'),
        _jepa_wm_sim('pusht', 'pt'),
        _jepa_wm_sim('pointmaze', 'mz'),
        _jepa_wm_sim('wall', 'wall'),
        _dino_wm('droid', 'droid_dino-wm_noprop', 10),
        _dino_wm('metaworld', 'mw_dino-wm', 20, 20),
        _dino_wm('pusht', 'pt_dino-wm', 10, 20),
        _dino_wm('pointmaze', 'mz_dino-wm', 10, 20),
        _dino_wm('wall', 'wall_dino-wm', 10, 10),
        _vjepa2_ac('vjepa2_ac_droid', 'droid_vj2ac_noprop', state=False),
        _vjepa2_ac('vjepa2_ac_oss', 'droid_vj2ac_oss-prop', state=True),
    )
}


def find(name: str) -> Entry:
    """The entry of a name; an unknown one raises with the names it may have meant."""
    if name in ENTRIES:
        return ENTRIES[name]
    near = difflib.get_close_matches(name, ENTRIES, n=3, cutoff=0.4) or list(ENTRIES)
    raise CheckpointError(
        f'no model or file {name!r}; did you mean {", ".join(near)}? '
        '`ros2 run jepa_wm_ros model list` shows all'
    )


def find_file(path: Path) -> Entry:
    """The entry a published file belongs to, by its name."""
    for entry in ENTRIES.values():
        if entry.weights.file == path.name:
            return entry
    raise CheckpointError(
        f'{path} has no published file name, so its architecture is unknown; '
        'rename it as `ros2 run jepa_wm_ros model list` shows, or give a folder '
        'with its config.json'
    )


def weights_directory() -> Path:
    """$JEPA_WM_WEIGHTS, else the package's weights/ (installed or in the checkout)."""
    if value := os.environ.get(WEIGHTS_VARIABLE):
        return Path(value).expanduser()
    return resources.find('weights')
