# SPDX-License-Identifier: Apache-2.0
"""What the benchmark is made of: one figure, a clock that waits for the device, matrix rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from jepa_wm_ros.errors import JepaWmError

SIDE = {'cpu': 1536, 'cuda': 8192}  # of the square matrices
ROUNDS = 5
Result = TypeVar('Result')


class BenchError(JepaWmError):
    """Options the benchmark cannot follow."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of bench.json."""

    name: str
    value: float
    unit: str
    context: str


def clock(device: torch.device) -> Callable[[], float]:
    """A clock of `device` [s]: the process's own time where one CPU thread does all the work, so
    that a busy machine does not blur the figures, else the wall's.
    """
    alone = device.type == 'cpu' and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def measured(work: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """What `work` returns and its time [s], with the device's queue empty before and after."""
    now = clock(device)
    _wait(device)
    began = now()
    result = work()
    _wait(device)
    return result, now() - began


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time [s] of `work` alone."""
    return measured(work, device)[1]


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


@dataclass(frozen=True, slots=True)
class MatrixRates:
    """Measured floating-point operations per second of square matrix products."""

    float32: float
    bfloat16: float
    context: str

    def figures(self) -> list[Figure]:
        return [
            Figure('matrix rate float32', self.float32 / 1e9, 'GFLOP/s', self.context),
            Figure('matrix rate bfloat16', self.bfloat16 / 1e9, 'GFLOP/s', self.context),
        ]


def matrix_rates(device: torch.device) -> MatrixRates:
    """The best of a few products per number format: what the machine can do at all."""
    side = SIDE.get(device.type, SIDE['cpu'])
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        a @ b
        best = min(seconds(partial(torch.matmul, a, b), device) for _ in range(ROUNDS))
        rates.append(2 * side**3 / best)
    where = (
        torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'CPU, {torch.get_num_threads()} thread(s)'
    )
    wide, narrow = rates
    return MatrixRates(wide, narrow, f'{where}, {side} x {side} matrices')
