# SPDX-License-Identifier: Apache-2.0
"""Damage: to bytes, and to the values that JSON and YAML hold. All of it follows from a generator.

Half of the places in a file that are damaged lie near its begin or its end, where its headers and
indexes are.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
           1 << 40, (1 << 62), (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 1 << 31, -(1 << 63), 1 << 80, 10**18, 0.0, 0.5, -1.5, 1e308,
    math.nan, math.inf, -math.inf, '', 'x', 'none', '\x00', 'ü' * 40, '1e999', [], [1], [[]], {},
    {'kind': 'L2'}, [None] * 9, ['a', 'b'], [0.0] * 7, [1e300] * 7,
)  # fmt: skip
DEEP = 3000  # brackets inside brackets


def damaged(data: bytes, rng: np.random.Generator, other: bytes = b'') -> bytes:
    """`data` with one to four faults; pieces of `other` may be spliced in."""
    for _ in range(rng.integers(1, 5)):
        data = FAULTS[rng.integers(len(FAULTS))](data, rng, other or data)
    return data


def place(size: int, rng: np.random.Generator) -> int:
    """Somewhere in `size` bytes, often near an end."""
    near = min(int(2 ** rng.uniform(0, math.log2(max(size, 2)))), max(size - 1, 0))
    return (int(rng.integers(max(size, 1))), near, max(size - 1 - near, 0))[rng.choice(3)]


def _cut(data, rng, _other):
    return data[: place(len(data), rng)]


def _flip(data, rng, _other):
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9) if data else 0):
        changed[place(len(data), rng)] ^= 1 << rng.integers(8)
    return bytes(changed)


def _number(data, rng, _other):
    at, size = place(len(data), rng), int(rng.choice((1, 2, 4, 8)))
    number = NUMBERS[rng.integers(len(NUMBERS))] & ((1 << 8 * size) - 1)
    return data[:at] + number.to_bytes(size, 'little') + data[at + size :]


def _noise(data, rng, _other):
    at, size = place(len(data), rng), int(rng.integers(1, 40))
    return data[:at] + rng.bytes(size) + data[at + size * int(rng.integers(2)) :]


def _splice(data, rng, other):
    begin, at = place(len(other), rng), place(len(data), rng)
    piece = other[begin : begin + int(rng.integers(1, 400))]
    return data[:at] + piece + data[at + len(piece) * int(rng.integers(2)) :]


def _lose(data, rng, _other):
    at = place(len(data), rng)
    return data[:at] + data[at + int(rng.integers(1, 200)) :]


def _blank(data, rng, _other):
    at, size = place(len(data), rng), int(rng.integers(1, 600))
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


FAULTS = (_cut, _flip, _flip, _number, _number, _noise, _splice, _lose, _blank)


def changed(values: Any, rng: np.random.Generator) -> Any:
    """A copy of nested tables and lists with one to three entries altered, added or gone."""
    values = copy.deepcopy(values)
    for _ in range(rng.integers(1, 4)):
        _change_one(values, rng)
    return values


def odd_value(rng: np.random.Generator) -> Any:
    """A value of the wrong kind, or out of any range."""
    return copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def _change_one(values: Any, rng: np.random.Generator) -> None:
    while True:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        inner = values[key]
        if not (isinstance(inner, dict | list) and inner and rng.random() < 0.75):
            break
        values = inner
    what = rng.integers(5)
    if what == 0:
        del values[key]
    elif what == 1 and isinstance(values, dict):
        values[str(odd_value(rng))] = inner
    elif what == 2 and isinstance(inner, int | float) and not isinstance(inner, bool):
        values[key] = inner * float(rng.choice((-1.0, 1e3, 1e9, 0.37)))
    elif what == 3 and isinstance(inner, int) and not isinstance(inner, bool):
        values[key] = int(rng.choice(NUMBERS[:12]))
    else:
        values[key] = odd_value(rng)
