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
from pathlib import Path

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.goldens.checks import checker
from jepa_wm_ros.evaluation.goldens.row import TOLERANCE, GoldenError, Row


def check(directory: Path) -> Iterator[Row]:
    """Rows of every golden folder in `directory`, or of `directory` itself."""
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
    print(
        f"{len(rows)} arrays, {len(failed)} out of tolerance (relative to each array's maximum: "
        f'float32 {TOLERANCE["float32"]:g}; float64 {TOLERANCE["float64"]:g} where the golden '
        'array is float64)'
    )
    if fault or not rows:
        print(f'error: {fault or f"nothing to compare in {directory}"}', file=sys.stderr)
    return 1 if fault or failed or not rows else 0


if __name__ == '__main__':
    sys.exit(main())
