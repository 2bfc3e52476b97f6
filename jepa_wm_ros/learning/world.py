# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one model, on one machine or more, as torchrun starts them.

Every process draws the same batch from the same seed and computes its share of it; gradients are
averaged, so that all take the step that one process would take.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from jepa_wm_ros.learning.settings import TrainingError


@dataclass(frozen=True, slots=True)
class World:
    """This process among `size`; the first one writes what is written and says what is said."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch (B, ...). Raises TrainingError where B is not a multiple
        of the processes: their gradients would not weigh alike.
        """
        if len(batch) % self.size:
            raise TrainingError(
                f'a batch of {len(batch)} windows is not shared evenly by {self.size} processes: '
                'choose a batch that is a multiple of them'
            )
        return batch[self.rank :: self.size]

    def average(self, module: nn.Module) -> None:
        """Make the gradients of a module the mean over all processes."""
        if self.size == 1:
            return
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = self.mean(parameter.grad)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(value := value.detach().clone())
            value /= self.size
        return value

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """What the first process does here it has done when the others begin."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Return when every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The world that torchrun describes; alone without it."""
    if int(os.environ.get('WORLD_SIZE', 1)) == 1:
        yield World()
        return
    distributed.init_process_group('nccl' if device.type == 'cuda' else 'gloo')
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def own_device(name: str) -> torch.device:
    """The torch device of a name; under torchrun `cuda` is the local one of each process. Raises
    TrainingError for one that is not there.
    """
    if name == 'cuda':
        name = f'cuda:{os.environ.get("LOCAL_RANK", 0)}'
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f'device {name} cannot be used ({reason}): give --device cpu') from None
    return device
