# SPDX-License-Identifier: Apache-2.0
"""When the hand really opens or closes: a wavering plan must not chatter the gripper."""

from __future__ import annotations

import math

from jepa_wm_ros.actions import OPEN
from jepa_wm_ros.planning.settings import is_count, is_number, require

MOVES_ON = 2  # steps that a hand stays open after it closed on nothing: it has to be elsewhere
EMPTY = 0.93  # measured closure above which closed fingers have nothing between them


def possible_strokes(measured_closure: float) -> tuple[int, ...]:
    """What a hand could do of which nothing but its measured closure is known: 1 closes an open
    one, -1 opens a closed one.
    """
    return (1,) if measured_closure < OPEN else (-1,)


class GripperPolicy:
    """Two-threshold switch with a minimum hold: planned closure in, open (0) or closed (1) out.

    close_above, open_below: planned closures [0 ... 1] that switch; between them the hand keeps
    what it has. min_hold_steps: steps a command lasts at least. reopens: a hand that has closed on
    nothing, by its measured width, opens again at once and moves on before it closes anew;
    `missed` says so, and `misses` how often in a row.
    """

    def __init__(
        self,
        open_below: float = 0.35,
        close_above: float = 0.65,
        min_hold_steps: int = 2,
        closed: bool = False,
        reopens: bool = False,
    ):
        require(
            is_number(open_below) and is_number(close_above) and 0 <= open_below < close_above <= 1,
            'gripper open_below, close_above',
            (open_below, close_above),
            'two numbers 0 <= open_below < close_above <= 1',
        )
        require(is_count(min_hold_steps, 0), 'min_hold_steps', min_hold_steps, 'an integer >= 0')
        self.open_below, self.close_above = open_below, close_above
        self.min_hold_steps = min_hold_steps
        self.closed, self.reopens = closed, reopens
        self.switched = self.missed = False  # by the last `update`
        self.misses = 0
        self._held = min_hold_steps

    @property
    def strokes(self) -> tuple[int, ...]:
        """What the hand would do if a plan asked for it: 1 closes an open one, -1 opens a closed
        one; nothing while it holds its command.
        """
        if self._held < self.min_hold_steps:
            return ()
        return (-1,) if self.closed else (1,)

    def update(self, planned_closure: float, measured_closure: float = math.nan) -> float:
        """Commanded closure, 0.0 or 1.0, for the closure the plan asks for and the one measured
        before the step (NaN: not known). Call once per step.
        """
        before = self.closed
        self.missed = self.reopens and self.closed and measured_closure > EMPTY
        if self.missed:
            self.misses += 1
            self.closed, self._held = False, self.min_hold_steps - MOVES_ON
        else:
            if self.closed and measured_closure <= EMPTY:
                self.misses = 0
            self._follow(planned_closure)
        self.switched = self.closed != before
        return float(self.closed)

    def _follow(self, planned_closure: float) -> None:
        wanted = self.closed
        if planned_closure >= self.close_above:
            wanted = True
        elif planned_closure <= self.open_below:
            wanted = False
        if wanted != self.closed and self.strokes:
            self.closed, self._held = wanted, 0
        self._held += 1
