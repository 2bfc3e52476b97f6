# SPDX-License-Identifier: Apache-2.0
"""Tables that people and files give us: read from YAML, and their values judged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Any

import yaml

from jepa_wm_ros.errors import JepaWmError

LARGEST_TEXT = 1 << 20  # bytes


def read_table(path: Path, keys: Iterable[str], refused: type[JepaWmError]) -> dict[str, Any]:
    """The table in a YAML file that has some of `keys`; empty for an empty file.

    Raises `refused` in one line that names the file; also for anchors and aliases, of which a few
    lines can make billions of values.
    """
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise refused(f'{path}: larger than {LARGEST_TEXT} bytes, which no table of ours is')
        text = path.read_text(encoding='utf-8')
        aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        content = {} if aliases else yaml.safe_load(text)
    except OSError as error:
        raise refused(f'cannot read {path}: {error.strerror}') from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise refused(f'{path}: cannot be read as YAML ({reason:.300})') from error
    if aliases:
        raise refused(f'{path}: aliases (*name) are not taken: write the values out')
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise refused(f'{path}: not a table of some of {", ".join(keys)}')
    return content


def check_kinds(table: Any, refused: type[JepaWmError]) -> None:
    """Raise `refused` for a field of a dataclass whose value is not what its annotation says;
    numbers must be finite, and fields of other annotations than those below are not looked at.
    """
    for field in dataclasses.fields(table):
        value, kind = getattr(table, field.name), str(field.type)
        if kind in _FITS and not _FITS[kind](value):
            raise refused(f'{field.name} is {value!r:.80}: it must be {kind}')


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _each(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, tuple) and all(map(fits, values))


_FITS: dict[str, Callable[[Any], bool]] = {
    'str': _is_text,
    'bool': lambda value: isinstance(value, bool),
    'int': _is_count,
    'float': _is_number,
    'float | None': lambda value: value is None or _is_number(value),
    'tuple[str, ...]': _each(_is_text),
    'tuple[int, ...]': _each(_is_count),
    'tuple[float, ...]': _each(_is_number),
}
