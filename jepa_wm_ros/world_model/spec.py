# SPDX-License-Identifier: Apache-2.0
"""What a world model is made of: the one description every constructor, file and command reads.

A `ModelSpec` holds no weights. It names the encoder, the predictor, the action and proprioception
it was trained with, its image pipeline and its rollout, and goes to and from JSON.

Source: arXiv 2512.24497, sections 3 and 4 (design choices) and the released configurations.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from jepa_wm_ros.world_model.spec_fields import SpecError, check_fields

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

EFFICIENTNETS = ('efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2')
ENCODERS = ('dinov2', 'dinov3', 'vjepa', 'vjepa2', *EFFICIENTNETS, 'conv', 'patch')
FAMILIES = ('adaln', 'dino_wm', 'vjepa2_ac', 'vit')
CONDITIONINGS = ('adaln', 'feature', 'sequence')
POSITIONS = ('rope', 'sincos', 'learned', 'none')


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpecError(f'{what} is {value!r}; choose one of {", ".join(known)}')


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A frozen map from one picture to a grid of visual tokens.

    kind        one of ENCODERS
    width       D, features per token
    patch_size  side of one patch [px]
    mlp_ratio   hidden width of the MLP over `width`
    native_size side of the picture [px] the stored position table was made for (dinov2, vjepa)
    prefix      tokens before the patches: class token and registers (dinov2, dinov3)
    frames      frames of the clip the stored position table was made for (vjepa)
    tubelet     frames per token; a single picture is repeated that often (vjepa, vjepa2)
    channels, strides, neck, grid, hidden, norm    of the 'conv' encoder, see encoders/conv.py
    """

    kind: str
    width: int
    patch_size: int = 16
    depth: int = 0
    heads: int = 1
    mlp_ratio: float = 4.0
    native_size: int = 224
    prefix: int = 1
    frames: int = 16
    tubelet: int = 1
    channels: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    # Not in the repr: an encoder without one keeps the digest that its decoder knows it by.
    neck: tuple[int, ...] = field(default=(), repr=False)
    grid: int = 1
    hidden: int = 256
    norm: str = 'layer'

    def __post_init__(self) -> None:
        check_fields(self)
        _one_of('the encoder kind', self.kind, ENCODERS)

    @property
    def features(self) -> int:
        """F, numbers of `WorldModel.features`."""
        return self.channels[-1] if self.kind == 'conv' else self.width

    def grid_side(self, img_size: int) -> int:
        """Tokens per side of a square picture of `img_size` [px]."""
        return self.grid if self.kind == 'conv' else img_size // self.patch_size


@dataclass(frozen=True, slots=True)
class PredictorSpec:
    """A frame-causal transformer from latents and actions to the latents one step later.

    width        E, features of a visual token inside the predictor
    project      linear maps D -> E in and E -> D out (else E must be D)
    conditioning how the action enters: 'adaln' (modulates every block), 'feature' (concatenated
                 to every token) or 'sequence' (its own token in front of each frame)
    position     'rope', 'sincos' (added), 'learned' (added) or 'none'
    action_features   width of the concatenated action (conditioning 'feature')
    proprio      'none', 'feature' (concatenated to every token) or 'token' (sequence only)
    proprio_features  width of the concatenated proprioception
    head_dim     0: token width / heads
    mlp_hidden   0: four times the token width
    max_frames   frames of the learned position table
    predict_change    the output is added to the frame it was predicted from
    """

    width: int
    depth: int
    heads: int
    conditioning: str = 'adaln'
    position: str = 'rope'
    project: bool = True
    action_features: int = 0
    proprio: str = 'none'
    proprio_features: int = 0
    head_dim: int = 0
    mlp_hidden: int = 0
    qkv_bias: bool = True
    norm_eps: float = 1e-6
    dropout: float = 0.0
    max_frames: int = 4
    predict_change: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        _one_of('the conditioning', self.conditioning, CONDITIONINGS)
        _one_of('the position encoding', self.position, POSITIONS)
        _one_of('the proprioception', self.proprio, ('none', 'feature', 'token'))
        if self.proprio == 'token' and self.conditioning != 'sequence':
            raise SpecError("proprioception as a token needs conditioning 'sequence'")
        if (self.conditioning == 'feature') != (self.action_features > 0):
            raise SpecError("action_features belongs to conditioning 'feature' and to no other")
        if (self.proprio == 'feature') != (self.proprio_features > 0):
            raise SpecError("proprio_features belongs to proprio 'feature' and to no other")
        if self.head_dim == 0 and self.token_width % self.heads:
            raise SpecError(
                f'token width {self.token_width} is not a multiple of '
                f'{self.heads} heads; set head_dim'
            )

    @property
    def token_width(self) -> int:
        """Features of a token in the blocks: visual, then proprio, then action features."""
        return self.width + self.proprio_features + self.action_features

    @property
    def attention_head_dim(self) -> int:
        return self.head_dim or self.token_width // self.heads

    @property
    def mlp_width(self) -> int:
        return self.mlp_hidden or 4 * self.token_width

    @property
    def condition_tokens(self) -> int:
        """Tokens in front of the visual tokens of each frame."""
        return (self.conditioning == 'sequence') + (self.proprio == 'token')


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A world model: everything but its weights.

    family       names of the parameters in the published file: one of FAMILIES
    action_dim   A, numbers per model step: the environment's action dim x frameskip
    action_mean, action_std    of one environment action; the model sees (a - mean) / std
    proprio_dim  P, numbers of proprioception per frame (0: none), with mean and std
    proprio_position  its entries that are a position, the hand's or the agent's
    proprio_wraps     its entries that are angles which jump by a turn on the way
    img_size     side of the square picture the encoder sees [px]
    antialias    whether downscaling smooths (official models: no)
    fps          nominal model steps per second [Hz]; 0: not a real-time model
    context_window    frames (and actions) the rollout shows the predictor
    normalize_latents parameter-free LayerNorm (eps 1e-5) on encodings and predictions
    proprio_rollout   'predict' (features) or 'integrate' (the pose, analytically)
    proposal_steps    actions of the head that proposes where to begin a search; 0: none
    reached_distance  calibrated latent distance that counts as reached, or None
    licence      of the weights
    """

    name: str
    family: str
    encoder: EncoderSpec
    predictor: PredictorSpec
    action_dim: int
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]
    proprio_dim: int = 0
    proprio_mean: tuple[float, ...] = ()
    proprio_std: tuple[float, ...] = ()
    proprio_position: tuple[int, ...] = ()
    proprio_wraps: tuple[int, ...] = ()
    img_size: int = 256
    image_mean: tuple[float, ...] = IMAGENET_MEAN
    image_std: tuple[float, ...] = IMAGENET_STD
    antialias: bool = False
    fps: float = 4.0
    context_window: int = 2
    normalize_latents: bool = False
    proprio_rollout: str = 'predict'
    proposal_steps: int = 0
    reached_distance: float | None = None
    licence: str = ''

    def __post_init__(self) -> None:
        check_fields(self)
        _one_of('the family', self.family, FAMILIES)
        _one_of('proprio_rollout', self.proprio_rollout, ('predict', 'integrate'))
        means = len(self.action_mean)
        if not means or means != len(self.action_std) or self.action_dim % means:
            raise SpecError(
                f'{self.name}: action statistics of {means} and '
                f'{len(self.action_std)} dims do not fit action_dim {self.action_dim}'
            )
        if not len(self.proprio_mean) == len(self.proprio_std) == self.proprio_dim:
            raise SpecError(f'{self.name}: proprio statistics do not have {self.proprio_dim} dims')
        described = self.proprio_position + self.proprio_wraps
        if not all(0 <= entry < self.proprio_dim for entry in described):
            raise SpecError(
                f'{self.name}: proprio_position and proprio_wraps must be entries of '
                f'{self.proprio_dim} numbers'
            )
        if self.predictor.proprio != 'none' and not self.proprio_dim:
            raise SpecError(f'{self.name}: the predictor hears proprioception; set proprio_dim')
        if not self.predictor.project and self.predictor.width != self.encoder.width:
            raise SpecError(
                f'{self.name}: without projection the predictor width must be {self.encoder.width}'
            )
        if len(self.image_mean) != 3 or len(self.image_std) != 3:
            raise SpecError(f'{self.name}: image_mean and image_std must have 3 numbers')
        for name in ('action_std', 'proprio_std', 'image_std'):
            if any(deviation <= 0 for deviation in getattr(self, name)):
                raise SpecError(f'{self.name}: {name} must be positive')
        if not self.grid:
            raise SpecError(
                f'{self.name}: a picture of {self.img_size} px is smaller than one patch of '
                f'{self.encoder.patch_size} px'
            )

    @property
    def grid(self) -> int:
        """g: visual tokens per side of a frame."""
        return self.encoder.grid_side(self.img_size)

    @property
    def frameskip(self) -> int:
        """Environment actions per model step."""
        return self.action_dim // len(self.action_mean)

    @property
    def uses_proprio(self) -> bool:
        return self.predictor.proprio != 'none'

    @property
    def step_seconds(self) -> float:
        """Nominal duration of one model step [s]; NaN when the model has no real time."""
        return 1.0 / self.fps if self.fps else math.nan

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelSpec:
        """The spec of `to_dict`'s (or its JSON's) values; unknown or missing names raise."""
        try:
            parts = {
                'encoder': EncoderSpec(**_with_tuples(values['encoder'])),
                'predictor': PredictorSpec(**_with_tuples(values['predictor'])),
            }
            return cls(**{**_with_tuples(values), **parts})
        except (TypeError, KeyError, AttributeError) as error:
            raise SpecError(f'the model description is not usable: {error}') from error

    def replace(self, **changes: Any) -> ModelSpec:
        return dataclasses.replace(self, **changes)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON gives them, its lists as the tuples they were."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
