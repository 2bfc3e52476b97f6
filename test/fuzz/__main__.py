# SPDX-License-Identifier: Apache-2.0
"""Read damaged inputs and count how they end.

    PYTHONPATH=.:test python -m fuzz                       # 100,000 inputs over all targets
    PYTHONPATH=.:test python -m fuzz mcap --only 1234      # one input again, as a finding names it

Every input ends in success or in one line of a JepaWmError, within trial.SECONDS and in no more
memory than trial.HEADROOM; all else is a finding. Input n of a target is the same for ever.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from fuzz.bags import McapBags, SqliteBags
from fuzz.parameters import ParameterFiles
from fuzz.pictures import Pictures
from fuzz.requests import Requests
from fuzz.states import States
from fuzz.texts import Texts
from fuzz.trial import Tally, Target, run
from fuzz.weights import OwnWeights, PublishedConfig, TorchWeights

SHARED_MEMORY = '/dev/shm'  # where files need no disk
# name: (target, its share of all inputs, which is what its speed allows)
TARGETS: dict[str, tuple[Callable[[Path], Target], float]] = {
    'own weights': (OwnWeights, 0.12),
    'torch weights': (TorchWeights, 0.15),
    'published config': (PublishedConfig, 0.08),
    'mcap': (McapBags, 0.04),
    'sqlite': (SqliteBags, 0.03),
    'pictures': (Pictures, 0.2),
    'states': (States, 0.18),
    'texts': (Texts, 0.095),
    'parameters': (ParameterFiles, 0.005),
    'requests': (Requests, 0.1),
}


def fuzz(name: str, inputs: range, seed: int = 0) -> Tally:
    """The outcomes of these inputs of one target."""
    make, _ = TARGETS[name]
    in_memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return run(name, make(Path(folder)), inputs, seed)


def main() -> int:
    """Command line; the exit status says whether there were findings."""
    parser = argparse.ArgumentParser(prog='fuzz', description=__doc__.splitlines()[0])
    parser.add_argument('targets', nargs='*', choices=[*TARGETS, []], metavar='TARGET')
    parser.add_argument('--inputs', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--only', type=int, help='the number of one input')
    options = parser.parse_args()
    torch.set_num_threads(1)
    findings = 0
    for name in options.targets or TARGETS:
        count = round(options.inputs * (TARGETS[name][1] if not options.targets else 1))
        only = options.only
        tally = fuzz(name, range(count) if only is None else range(only, only + 1), options.seed)
        outcomes = ', '.join(f'{what} {n}' for what, n in tally.outcomes.most_common())
        print(f'{name}: {tally.inputs} inputs, slowest {tally.slowest:.2f} s: {outcomes}')
        for finding in tally.findings[:20]:
            print(f'  {finding}', flush=True)
        findings += len(tally.findings)
    print(f'{findings} findings')
    return int(bool(findings))


if __name__ == '__main__':
    sys.exit(main())
