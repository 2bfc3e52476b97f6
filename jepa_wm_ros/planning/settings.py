# SPDX-License-Identifier: Apache-2.0
"""Planner settings: the same name wherever it means the same.

Each planner's file extends these with what only it knows. Numbers are checked on construction,
so a planner never starts with a setting it cannot honour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from jepa_wm_ros.objective import MOST_CANDIDATES, MOST_STEPS
from jepa_wm_ros.planning.protocol import SettingsError

PROPOSAL = 'proposal'  # of warm_start


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Refuse `value` of setting `name` in one line unless `condition` holds."""
    if not condition:
        raise SettingsError(f'planner setting {name}={value!r} is refused: it must be {rule}')


def is_number(value: object) -> bool:
    """True for a finite int or float (bool excluded)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object, least: int, most: float = math.inf) -> bool:
    """True for an int from `least` to `most` (bool excluded)."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


@dataclass(frozen=True, kw_only=True)
class PlannerSettings:
    """What every planner understands.

    max_norms: symmetric bounds of groups of action dimensions, one per entry of max_norm_dims
    [m, rad or gripper closure]; None leaves every dimension free. frozen_dims stay exactly 0.
    warm_start: where a search begins (mpc.py): false, at zero; true, at the shifted previous plan;
    'proposal', at what the model proposes.
    """

    horizon: int = 3
    iterations: int = 15
    max_norms: tuple[float, ...] | None = None
    max_norm_dims: tuple[tuple[int, ...], ...] = ((0, 1, 2), (6,))
    frozen_dims: tuple[int, ...] = ()
    seed: int = 1
    warm_start: bool | str = False

    def __post_init__(self):
        self._lists_to_tuples()
        require(
            is_count(self.horizon, 1, MOST_STEPS),
            'horizon',
            self.horizon,
            f'an integer from 1 to {MOST_STEPS}',
        )
        require(is_count(self.iterations, 1), 'iterations', self.iterations, 'an integer >= 1')
        require(is_count(self.seed, 0), 'seed', self.seed, 'an integer >= 0')
        require(
            isinstance(self.warm_start, bool) or self.warm_start == PROPOSAL,
            'warm_start',
            self.warm_start,
            f'true, false or {PROPOSAL}',
        )
        require(
            isinstance(self.frozen_dims, tuple) and all(is_count(d, 0) for d in self.frozen_dims),
            'frozen_dims',
            self.frozen_dims,
            'a list of action dimensions counted from 0',
        )
        if self.max_norms is not None:
            self._check_groups(self.max_norms)

    @property
    def planned_iterations(self) -> int:
        """Iterations of a plan that is not cut short, at most."""
        return self.iterations

    def _lists_to_tuples(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, list | tuple):
                value = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
                object.__setattr__(self, f.name, value)

    def _check_groups(self, max_norms: tuple[float, ...]) -> None:
        require(
            isinstance(max_norms, tuple) and all(is_number(n) and n >= 0 for n in max_norms),
            'max_norms',
            max_norms,
            'a list of numbers >= 0, or null for no bounds',
        )
        require(
            isinstance(self.max_norm_dims, tuple)
            and len(self.max_norm_dims) == len(max_norms)
            and all(
                isinstance(g, tuple) and all(is_count(d, 0) for d in g) for g in self.max_norm_dims
            ),
            'max_norm_dims',
            self.max_norm_dims,
            f'one list of action dimensions for each of the {len(max_norms)} max_norms',
        )

    def bounds(self, action_dim: int) -> Tensor:
        """Largest magnitude (A,) of each action dimension, float64; infinite where free."""
        bounds = torch.full((action_dim,), math.inf, dtype=torch.float64)
        groups = zip(self.max_norms or (), self.max_norm_dims, strict=False)
        for norm, dims in (*groups, (0.0, self.frozen_dims)):
            for dim in dims:
                require(
                    dim < action_dim,
                    'max_norm_dims/frozen_dims',
                    dim,
                    f"below the model's action dimension {action_dim}",
                )
                bounds[dim] = norm
        return bounds


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(PlannerSettings):
    """What planners that draw candidates from a normal distribution share.

    num_samples: candidates per iteration. var_scale: STANDARD DEVIATION of the first proposal
    (the paper's name), one number or one per action dimension.
    """

    num_samples: int = 300
    var_scale: float | tuple[float, ...] = 0.1

    def __post_init__(self):
        super().__post_init__()
        require(
            is_count(self.num_samples, 1, MOST_CANDIDATES),
            'num_samples',
            self.num_samples,
            f'an integer from 1 to {MOST_CANDIDATES}',
        )
        scales = self.var_scale if isinstance(self.var_scale, tuple) else (self.var_scale,)
        require(
            bool(scales) and all(is_number(s) and s >= 0 for s in scales),
            'var_scale',
            self.var_scale,
            'a number >= 0 or a list of them, one per dimension',
        )

    def first_std(self, action_dim: int) -> Tensor:
        """Standard deviation (A,) of the first proposal, float64."""
        std = torch.as_tensor(self.var_scale, dtype=torch.float64)
        require(
            std.ndim == 0 or len(std) == action_dim,
            'var_scale',
            self.var_scale,
            f"one number or {action_dim} numbers, the model's action dimension",
        )
        return std.expand(action_dim)


@dataclass(frozen=True, kw_only=True)
class EliteSettings(SamplingSettings):
    """What planners that refit their proposal to elites share.

    momentum_mean, momentum_std: share of the old value that is kept, 0 ... 1.
    """

    num_elites: int = 10
    momentum_mean: float = 0.0
    momentum_std: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require(
            is_count(self.num_elites, 2) and self.num_elites <= self.num_samples,
            'num_elites',
            self.num_elites,
            f'an integer from 2 to {self.num_samples} samples',
        )
        for name in ('momentum_mean', 'momentum_std'):
            value = getattr(self, name)
            require(is_number(value) and 0 <= value < 1, name, value, 'a number in [0, 1)')
