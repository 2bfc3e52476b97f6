# SPDX-License-Identifier: Apache-2.0
"""What was wrong with a recording, said once each, and whether it makes the evaluation partial."""

from __future__ import annotations

from dataclasses import dataclass

from jepa_wm_ros.errors import JepaWmError

SAID = 200  # characters of a library's message that are repeated


class BagError(JepaWmError):
    """A recording of which nothing can be evaluated."""


def in_short(error: BaseException) -> str:
    """What a library said of damaged bytes, on one line that does not go on for ever."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= SAID else f'{text[:SAID]} …'


@dataclass(slots=True)
class Finding:
    """One kind of trouble in one place, with how often it was met.

    A fault means that something recorded could not be evaluated; a notice only explains.
    """

    kind: str
    message: str
    fault: bool
    count: int = 1

    def __str__(self) -> str:
        times = f' ({self.count} times)' if self.count > 1 else ''
        return f'{"FAULT" if self.fault else "note"} {self.kind}: {self.message}{times}'


class Findings:
    """Collects findings; the same kind in the same place is counted, not repeated."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Finding] = {}

    def fault(self, kind: str, message: str, where: str = '') -> None:
        """Note something that could not be read; `message` of the first one in `where` is kept."""
        self._add(kind, message, where, fault=True)

    def notice(self, kind: str, message: str, where: str = '') -> None:
        """Note something the reader of the numbers should know."""
        self._add(kind, message, where, fault=False)

    def _add(self, kind: str, message: str, where: str, *, fault: bool) -> None:
        known = self._by_key.get((kind, where or message))
        if known is None:
            self._by_key[kind, where or message] = Finding(kind, message, fault)
        else:
            known.count += 1

    def __iter__(self):
        return iter(self._by_key.values())

    @property
    def faults(self) -> list[Finding]:
        """The findings that make an evaluation partial."""
        return [finding for finding in self if finding.fault]
