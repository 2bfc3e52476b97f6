# SPDX-License-Identifier: Apache-2.0
"""What the fields of a model description may hold. Descriptions come in the headers of files, so
each number is judged before anything is made of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from jepa_wm_ros.errors import JepaWmError

LARGEST = 1 << 16  # of a count without a limit of its own
MOST = {'depth': 256, 'img_size': 4096, 'native_size': 4096, 'grid': 256, 'context_window': 1024}
LEAST_ONE = {
    'width',
    'patch_size',
    'heads',
    'native_size',
    'frames',
    'tubelet',
    'grid',
    'hidden',
    'max_frames',
    'action_dim',
    'img_size',
    'context_window',
}


class SpecError(JepaWmError):
    """A model description that cannot be built."""


def check_fields(spec: Any) -> None:
    """Raise SpecError for a field of a dataclass that is not what its annotation and the limits
    above say.
    """
    for field in dataclasses.fields(spec):
        value, kind = getattr(spec, field.name), str(field.type)
        if kind in _FITS and not _FITS[kind](value):
            raise SpecError(f'{field.name} is {value!r:.80}: it must be {kind}')
        if kind == 'int':
            least, most = int(field.name in LEAST_ONE), MOST.get(field.name, LARGEST)
            if not least <= value <= most:
                raise SpecError(f'{field.name} is {value}: it must be {least} to {most}')


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _each(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, tuple) and all(map(fits, values))


_FITS: dict[str, Callable[[Any], bool]] = {
    'str': lambda value: isinstance(value, str),
    'bool': lambda value: isinstance(value, bool),
    'int': _is_count,
    'float': _is_number,
    'float | None': lambda value: value is None or _is_number(value),
    'tuple[int, ...]': _each(lambda value: _is_count(value) and 0 <= value <= LARGEST),
    'tuple[float, ...]': _each(_is_number),
}
