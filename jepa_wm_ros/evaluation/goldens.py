# SPDX-License-Identifier: Apache-2.0
"""Compare this project with golden arrays of the published code.

    python -m jepa_wm_ros.evaluation.goldens DIR

DIR holds folders in the layout of the golden data (checkpoint, inputs, outputs), or is one. One
row is printed per array; the exit status is 1 when an array is out of tolerance, a folder is
malformed, or nothing was found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        limits = ((self.float32, TOLERANCE['float32']),
                  (self.float64, TOLERANCE['float64' if self.exact else 'float32']))
        return all(error is None or error <= limit for error, limit in limits)

    def __str__(self) -> str:
        errors = ' '.join('-'.rjust(9) if error is None else f'{error:9.2e}'
                          for error in (self.float32, self.float64))
        verdict = 'ok' if self.passed else 'FAIL'
        return f'{self.family:26} {self.array:38} {errors} {verdict:4} {self.note}'.rstrip()


def relative_error(value: np.ndarray, golden: np.ndarray, scale: float | None = None) -> float:
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


def check(directory: Path) -> Iterator[Row]:
    """Rows of every golden folder in `directory`, or of `directory` itself."""
    from jepa_wm_ros.evaluation.golden_checks import checker
    if not directory.is_dir():
        raise GoldenError(f'no folder {directory}')
    if own := checker(directory):
        yield from _checked(directory, own)
        return
    folders = sorted(path for path in directory.iterdir() if path.is_dir())
    if not folders:
        raise GoldenError(f'{directory} holds no golden folders')
    for folder in folders:
        found = checker(folder)
        if found is None:
            raise GoldenError(f'{folder} is not laid out like golden data')
        yield from _checked(folder, found)


def _checked(folder: Path, found: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    try:
        yield from found(folder)
    except (KeyError, OSError, ValueError) as error:
        raise GoldenError(f'{folder} is incomplete or damaged: {error}') from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description='compare with golden arrays of the published code')
    parser.add_argument('directory', type=Path)
    directory = parser.parse_args(argv).directory
    print(f'{"family":26} {"array":38} {"float32":>9} {"float64":>9}')
    rows, fault = [], ''
    try:
        for row in check(directory):
            rows.append(row)
            print(row, flush=True)
    except JepaWmError as error:
        fault = str(error)
    failed = [row for row in rows if not row.passed]
    print(f'{len(rows)} arrays, {len(failed)} out of tolerance (relative to each array\'s maximum: '
          f'float32 {TOLERANCE["float32"]:g}; float64 {TOLERANCE["float64"]:g} where the golden '
          'array is float64)')
    if fault or not rows:
        print(f'error: {fault or f"nothing to compare in {directory}"}', file=sys.stderr)
    return 1 if fault or failed or not rows else 0


if __name__ == '__main__':
    sys.exit(main())
