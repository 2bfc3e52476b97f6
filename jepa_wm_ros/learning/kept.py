# SPDX-License-Identifier: Apache-2.0
"""Which weights a stage ends with: the last, their moving average, or those of the best round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

Score = Callable[[dict[str, float]], tuple[float, ...]]


class Kept:
    """The weights of a module that is being trained, as they are kept.

    ema       share of the moving average that each step leaves as it is; 0: no average
    score     what a round measured, as numbers of which the higher is better; None: the last
              round is kept
    patience  rounds in a row without a better one that end a run; 0: none does
    """

    def __init__(
        self, module: nn.Module, ema: float = 0.0, score: Score | None = None, patience: int = 0
    ) -> None:
        self._module, self._ema, self._score, self._patience = module, ema, score, patience
        self._average = {name: p.detach().clone() for name, p in self._trained()} if ema else {}
        self._best: dict[str, Tensor] = {}
        self._best_score: tuple[float, ...] = ()
        self._fruitless = 0

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, p) for name, p in self._module.named_parameters() if p.requires_grad)

    @torch.no_grad()
    def step(self) -> None:
        """The optimiser has made a step."""
        if self._average:
            for name, parameter in self._trained():
                self._average[name].lerp_(parameter, 1 - self._ema)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The module holds the average, where there is one."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        if self._average:
            for name, parameter in self._trained():
                last = parameter.clone()
                parameter.copy_(self._average[name])
                self._average[name].copy_(last)

    def judge(self, measured: dict[str, float]) -> None:
        """A round has been measured; called while the module is `averaged`."""
        if self._score is None:
            return
        score = self._score(measured)
        if self._best and score <= self._best_score:
            self._fruitless += 1
            return
        self._best_score, self._fruitless = score, 0
        self._best = {name: v.detach().clone() for name, v in self._module.state_dict().items()}

    @property
    def given_up(self) -> bool:
        """Whether so many rounds were no better that the run is to end."""
        return bool(self._patience) and self._fruitless >= self._patience

    def end(self) -> None:
        """The run is over: leave in the module what is kept."""
        if self._best:
            self._module.load_state_dict(self._best)
        else:
            self._swap()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            'average': self._average,
            'best': self._best,
            'best_score': self._best_score,
            'fruitless': self._fruitless,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._average, self._best = state['average'], state['best']
        self._best_score, self._fruitless = tuple(state['best_score']), state['fruitless']
