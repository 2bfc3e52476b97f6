# SPDX-License-Identifier: Apache-2.0
"""Reads an arm's state at a steady rate, whatever else happens."""

from __future__ import annotations

import threading

from jepa_wm_ros.robot.faults import ArmError, ErrorKind, one_line
from jepa_wm_ros.robot.ledger import Ledger
from jepa_wm_ros.robot.link import Link

READ_FAILURES = 3  # failed readings in a row that count as a lost connection


class StateReader:
    """A thread that keeps a ledger's reading new until it is closed or the connection is lost."""

    def __init__(self, link: Link, ledger: Ledger, rate: float) -> None:
        self._link, self._ledger, self._period = link, ledger, 1.0 / rate
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f'arm-{ledger.address}', daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """End the thread; one that hangs in a reading is left behind and says no more."""
        self._closing.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        import franky

        failures = 0
        while not self._closing.wait(self._period):
            try:
                state = self._link.read()
            except Exception as error:  # whatever franky raises: the next reading may succeed
                failures += 1
                lost = isinstance(error, franky.NetworkException | ArmError)
                if (lost or failures == READ_FAILURES) and not self._closing.is_set():
                    self._lose(error)
                    return
                continue
            failures = 0
            if not self._closing.is_set():
                self._ledger.keep(state)

    def _lose(self, error: Exception) -> None:
        self._ledger.latch(
            ArmError(
                ErrorKind.NETWORK,
                f'arm at {self._ledger.address} lost the connection ({one_line(error)}): check '
                'that it is powered and reachable, then call ~/recover',
            )
        )
