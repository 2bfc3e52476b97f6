# SPDX-License-Identifier: Apache-2.0
"""Which commands are new: a stale, latched or replayed one never moves the arm."""

from __future__ import annotations

from collections import OrderedDict

SESSIONS = 64  # senders whose last sequence is remembered


class CommandGate:
    """Remembers the last sequence number of each session (one run of one sender)."""

    def __init__(self) -> None:
        self._last: OrderedDict[int, int] = OrderedDict()

    def refusal(self, session: int, sequence: int, age: float, max_age: float) -> str:
        """Why a command of this age [s] is refused; empty when it is new, and then remembered."""
        if age > max_age:
            return (
                f'command is {age:.2f} s old (limit {max_age:g} s): send a fresh one and check '
                'that both machines agree on the time'
            )
        if age < -max_age:
            return f'command is stamped {-age:.2f} s in the future: check the clock of its sender'
        last = self._last.get(session, 0)
        if sequence <= last:
            return (
                f'command {sequence} is a replay: the last of session {session} was {last}, '
                'send a higher sequence number'
            )
        self._last[session] = sequence
        self._last.move_to_end(session)
        if len(self._last) > SESSIONS:
            self._last.popitem(last=False)
        return ''
