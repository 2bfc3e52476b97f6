# SPDX-License-Identifier: Apache-2.0
"""`make faults`: every test that keeps a row of the fault table, and the table of what was seen.

Runs them RUNS times on the machine as it is and, unless told otherwise, RUNS times with a process
per core beside them that does nothing but work; writes doc/reference/faults.md.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.fault_rows import ROWS  # noqa: E402
from support.paths import ROOT  # noqa: E402

PAGE = ROOT / 'doc' / 'reference' / 'faults.md'
HEAD = """# What happens when something goes wrong

Written by `make faults`, not by hand: each row is a fault, injected by the tests that carry its
number (`@pytest.mark.fault(row)`), and what must happen then. The latency is from the fault to the
reaction, where a test measures one. It holds for the machine named below, with the simulated arm;
it is not a safety function (see [safety](../explanation/safety.md)).

"""


def main() -> int:
    """Run, print and write the table; 0 when every row was kept in every run."""
    options = read_options()
    quiet = [line for _ in range(options.runs) for line in run_tests()]
    with hogs(options.hogs):
        loaded = [line for _ in range(options.runs) for line in run_tests()] if options.hogs else []
    lines = table(quiet, loaded)
    where = f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}'
    said = f'{datetime.date.today()}, commit {commit()}, {where}, {options.runs} runs each.'
    print('\n'.join(lines))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(HEAD + said + '\n\n' + '\n'.join(lines) + '\n')
    print(f'\nwritten to {PAGE}')
    return int(any('NOT' in line for line in lines))


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog='make faults', description=__doc__)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--hogs', type=int, default=os.cpu_count(), help='busy processes; 0: none')
    return parser.parse_args()


def run_tests() -> list[dict]:
    """One run of the marked tests: a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / 'seen.jsonl'
        command = [sys.executable, '-m', 'pytest', '-q', '-m', 'fault and not gpu', 'test']
        environment = os.environ | {'JEPA_WM_ROS_FAULTS': str(seen)}
        subprocess.run(command, cwd=ROOT, env=environment, check=False)
        return [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []


@contextlib.contextmanager
def hogs(count: int):
    """So many processes that keep a core busy."""
    busy = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def table(quiet: list[dict], loaded: list[dict]) -> list[str]:
    """The lines of the table."""
    lines = [
        '| # | fault | reaction | p50 / p95 | beside a busy process per core | tests | verdict |',
        '|---|---|---|---|---|---|---|',
    ]
    for row, (fault, reaction) in ROWS.items():
        mine = [line for line in quiet + loaded if row in line['rows']]
        outcomes = collections.Counter(line['outcome'] for line in mine)
        ran = outcomes['passed'] + outcomes['failed']
        kept = 'kept' if ran and not outcomes['failed'] else 'NOT KEPT' if ran else 'NOT RUN'
        times = ' | '.join(latencies(lines_of, row) for lines_of in (quiet, loaded))
        lines.append(
            f'| {row} | {fault} | {reaction} | {times} | {outcomes["passed"]} of {ran} | {kept} |'
        )
    return lines


def latencies(lines: list[dict], row: int) -> str:
    """p50 and p95 of the measured reactions of a row."""
    seconds = [s for line in lines if row in line['rows'] for s in line['seconds']]
    if not seconds:
        return '–'
    p50, p95 = np.percentile(seconds, [50, 95])
    return f'{p50:.2f} / {p95:.2f} s'


def commit() -> str:
    """The commit that is tested."""
    asked = ['git', 'rev-parse', '--short', 'HEAD']
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()


if __name__ == '__main__':
    sys.exit(main())
