# SPDX-License-Identifier: Apache-2.0
"""One line of the comparison with golden data, and how far off it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jepa_wm_ros.errors import JepaWmError

TOLERANCE = {'float32': 5e-5, 'float64': 1e-9}


class GoldenError(JepaWmError):
    """A folder that is not golden data, or golden data this code does not know."""


@dataclass(frozen=True, slots=True)
class Row:
    """How far an array computed in float32 and in float64 is from the golden one.

    Errors are relative to the golden array's largest magnitude. The float64 result is held to
    1e-9 where the golden array is float64 (`exact`), else to the golden array's own rounding.
    """

    family: str
    array: str
    float32: float | None
    float64: float | None
    exact: bool = False
    note: str = ''

    @property
    def passed(self) -> bool:
        limits = (
            (self.float32, TOLERANCE['float32']),
            (self.float64, TOLERANCE['float64' if self.exact else 'float32']),
        )
        return all(error is None or error <= limit for error, limit in limits)

    def __str__(self) -> str:
        errors = ' '.join(
            '-'.rjust(9) if error is None else f'{error:9.2e}'
            for error in (self.float32, self.float64)
        )
        verdict = 'ok' if self.passed else 'FAIL'
        return f'{self.family:26} {self.array:38} {errors} {verdict:4} {self.note}'.rstrip()


def compared(
    family: str, array: str, values: Iterable[ArrayLike], golden: ArrayLike, exact: bool = False
) -> Row:
    """The row of one golden array and what was computed for it in float32 and in float64."""
    single, double = (relative_error(value, golden) for value in values)
    return Row(family, array, single, double, exact)


def relative_error(value: ArrayLike, golden: ArrayLike, scale: float | None = None) -> float:
    """Largest deviation over the golden array's largest magnitude, or over `scale`.

    Infinite when the shapes differ or a value is not finite.
    """
    value, golden = np.asarray(value, np.float64), np.asarray(golden, np.float64)
    if value.shape != golden.shape or not np.isfinite(value).all():
        return float('inf')
    if not golden.size:
        return 0.0
    scale = np.abs(golden).max() if scale is None else scale
    return float(np.abs(value - golden).max() / (scale if scale else 1.0))
