# SPDX-License-Identifier: Apache-2.0
"""The curves of a run as TensorBoard reads them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tensorboardX import SummaryWriter


class Board:
    """Writes numbers into `folder`, each start of a run into an event file of its own.

    begun: iterations that were done before; what an interrupted run wrote beyond them is hidden.
    """

    def __init__(self, folder: Path, begun: int = 0) -> None:
        self._folder, self._purge = folder, begun + 1 if begun else None
        self._writer: SummaryWriter | None = None

    def write(self, told: dict[str, float]) -> None:
        """Numbers by their names, and the `iteration` they belong to; on the disk at once. Curves
        that the disk has no room for are no reason to stop: the checkpoint has them as well.
        """
        with contextlib.suppress(OSError):
            if self._writer is None:
                self._writer = SummaryWriter(str(self._folder), purge_step=self._purge)
            for name, value in told.items():
                if name != 'iteration':
                    self._writer.add_scalar(name, value, int(told['iteration']))
            self._writer.flush()

    def close(self) -> None:
        """Nothing more is written."""
        if self._writer is not None:
            self._writer.close()
