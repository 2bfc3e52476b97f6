# SPDX-License-Identifier: Apache-2.0
"""One damaged input at a time: it is read, or refused in one line, soon and in little memory."""

from __future__ import annotations

import contextlib
import resource
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from jepa_wm_ros.errors import JepaWmError

SECONDS = 5.0  # of this process' own time, for one input
HEADROOM = 512 << 20  # bytes that reading one small input may ask for beyond what is in use


class Target(Protocol):
    """Something that reads what others wrote."""

    def __init__(self, folder: Path) -> None:
        """folder: where the files of the trials may lie."""

    def prepare(self, rng: np.random.Generator) -> Callable[[], object]:
        """A damaged input that follows from `rng`, as the act of reading it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that ended in neither success nor one line."""

    target: str
    seed: int
    index: int
    what: str

    def __str__(self) -> str:
        return f'{self.target} --seed {self.seed} --only {self.index}: {self.what}'


@dataclass
class Tally:
    """How the inputs of one target ended."""

    outcomes: Counter = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def inputs(self) -> int:
        """How many inputs were tried."""
        return self.outcomes.total()


def run(name: str, target: Target, inputs: range, seed: int) -> Tally:
    """Read the inputs of these numbers; each follows from target, seed and number alone."""
    tally = Tally()
    for index in inputs:
        act = target.prepare(np.random.default_rng([seed, zlib.crc32(name.encode()), index]))
        begun = time.process_time()
        outcome, fault = _judged(act)
        took = time.process_time() - begun
        tally.slowest = max(tally.slowest, took)
        if not fault and took > SECONDS:
            outcome, fault = 'SLOW', f'took {took:.1f} s'
        tally.outcomes[outcome] += 1
        if fault:
            tally.findings.append(Finding(name, seed, index, fault))
    return tally


def _judged(act: Callable[[], object]) -> tuple[str, str]:
    """How it ended, and what was wrong with that."""
    try:
        with memory_limit():
            act()
    except JepaWmError as error:
        text = str(error)
        if '\n' in text or not text:
            return 'NOT ONE LINE', f'{type(error).__name__} of several lines: {text[:300]!r}'
        if hungry := _hunger(error):
            return 'MEMORY', f'{hungry} behind: {text[:300]}'
        return type(error).__name__, ''
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # a panic of a Rust library is no Exception
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f'{Path(place.filename).name}:{place.lineno}'
        return 'RAW', f'{type(error).__name__} at {where}: {str(error)[:300]}'
    return 'read', ''


def _hunger(error: BaseException | None) -> str:
    """The lack of memory that an error goes back to: the claim was believed, then it was asked."""
    while error is not None:
        if isinstance(error, MemoryError) or 'DefaultCPUAllocator' in str(error):
            return f'{type(error).__name__} {str(error)[:100]}'
        error = error.__cause__ or error.__context__
    return ''


@contextlib.contextmanager
def memory_limit(headroom: int = HEADROOM) -> Iterator[None]:
    """Refuse this process more than `headroom` bytes of address space beyond what it holds."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + headroom, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
