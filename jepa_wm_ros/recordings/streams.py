# SPDX-License-Identifier: Apache-2.0
"""Hand pose and gripper at a frame's stamp: one rule for live topics, bags and recorders.

A frame is matched as soon as every state topic has said something stamped at or after it; or, with
what is known then, when its patience ends or the clock jumps back. Its state is

- the sample of exactly its stamp; or else
- what lies between the last sample before and the first one after, where those two are at most
  `max_gap` apart: the position on a straight line, the orientation along the shortest arc, the
  closure that of the nearer sample.

Nothing is ever extrapolated, nor taken from a sample on one side only: a frame without such a pair
has no state and is refused, as is one whose stamp repeats that of the frame before.

A sample that arrives late, by no more than DISORDER, is left out. A stamp that goes back further,
or at all among frames, is a clock that was set back (a looped bag, a restarted simulation): frames
that wait are matched with what is known, samples are forgotten, and what follows belongs to a new
clock. Each topic shows such a jump with its own next message; within JUMP_SPREAD it is one jump.

Stamps are integer nanoseconds. `heard` is when a message arrived: record time or the node's clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jepa_wm_ros.actions import quaternion_to_euler, slerp

NS = 1_000_000_000
STATE_GAP = NS // 5  # default: a hand at 0.24 m/s goes 5 cm meanwhile
PATIENCE = 2 * NS  # default: a recorder may write one topic this much later than another
DISORDER = NS // 10
JUMP_SPREAD = NS
HISTORY = 5 * NS  # samples kept for frames that arrive later than they

FRAME, POSE, GRIPPER = 'image', 'pose', 'gripper'


@dataclass(frozen=True, slots=True, eq=False)
class ArmState:
    """Hand position (3,) [m] and unit quaternion (x, y, z, w) in the arm's base frame, closure."""

    position: np.ndarray
    quaternion: np.ndarray
    closure: float

    @property
    def pose7(self) -> np.ndarray:
        """The state as pose7 (7,), see jepa_wm_ros/actions.py."""
        return np.array([*self.position, *quaternion_to_euler(self.quaternion), self.closure])


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A frame with the arm's state at its stamp; `refused` says why where there is none.

    clock grows by one whenever the stamps of the frames jump back.
    """

    stamp: int
    heard: int
    content: Any
    clock: int
    state: ArmState | None = None
    refused: str = ''


class Streams:
    """Matches frames with states. Each `add_` returns the frames that are matched now, in order."""

    def __init__(
        self,
        max_gap: int = STATE_GAP,
        *,
        gripper: bool = True,
        patience: int = PATIENCE,
        on_jump: Callable[[str, int], None] | None = None,
    ) -> None:
        """max_gap, patience [ns]; without a gripper the closure is 0. on_jump(role, by [ns])."""
        self._max_gap = max_gap
        self._patience = patience
        self._on_jump = on_jump
        self._tracks = {role: _Track(max_gap) for role in ((POSE, GRIPPER) if gripper else (POSE,))}
        self._newest: dict[str, int] = {}
        self._waiting: deque[Observation] = deque()
        self._clock = 0
        self._jumped: int | None = None  # when the last jump was first heard of

    @property
    def clock(self) -> int:
        """How often the stamps of the frames have jumped back."""
        return self._clock

    def add_frame(self, stamp: int, heard: int, content: Any = None) -> list[Observation]:
        """Take a frame; `content` comes back with its Observation."""
        repeats = self._newest.get(FRAME) == stamp
        matched = self._follow_clock(FRAME, stamp, heard)
        refused = 'image stamp does not advance' if repeats else ''
        self._waiting.append(Observation(stamp, heard, content, self._clock, refused=refused))
        return matched + self._match(heard)

    def add_pose(
        self, stamp: int, position: np.ndarray, quaternion: np.ndarray, heard: int
    ) -> list[Observation]:
        """Take a measured hand pose: position (3,) [m], unit quaternion (x, y, z, w)."""
        return self._add_state(POSE, stamp, (position, quaternion), heard)

    def add_gripper(self, stamp: int, closure: float, heard: int) -> list[Observation]:
        """Take a measured gripper closure, 0 (open) to 1 (closed)."""
        return self._add_state(GRIPPER, stamp, closure, heard)

    def finish(self) -> list[Observation]:
        """Match the frames that still wait: no more states will come."""
        return self._match(None)

    def missing(self, stamp: int) -> tuple[str, ...]:
        """The state topics ('pose', 'gripper') that do not give a state at `stamp`."""
        return tuple(r for r, track in self._tracks.items() if track.around(stamp) is None)

    def _add_state(self, role: str, stamp: int, sample, heard: int) -> list[Observation]:
        matched = self._follow_clock(role, stamp, heard)
        self._tracks[role].add(stamp, sample)
        return matched + self._match(heard)

    def _follow_clock(self, role: str, stamp: int, heard: int) -> list[Observation]:
        """Notice a clock that was set back; returns the frames that wait for nothing more."""
        newest = self._newest.get(role, stamp)
        if stamp >= newest - (0 if role == FRAME else DISORDER):
            self._newest[role] = max(stamp, newest)
            return []
        self._newest[role] = stamp
        if self._on_jump:
            self._on_jump(role, newest - stamp)
        first = self._jumped is None or abs(heard - self._jumped) >= JUMP_SPREAD
        self._jumped = heard
        matched = self._match(None) if first or role == FRAME else []
        self._clock += role == FRAME
        for other, track in self._tracks.items():
            if first or other == role:
                track.clear()
        return matched

    def _match(self, heard: int | None) -> list[Observation]:
        matched = []
        while self._waiting:
            frame = self._waiting[0]
            known = all(track.reaches(frame.stamp) for track in self._tracks.values())
            # The node's clock, and with it `heard`, may itself be set back.
            if not known and heard is not None and 0 <= heard - frame.heard < self._patience:
                break
            matched.append(self._matched(self._waiting.popleft()))
        return matched

    def _matched(self, frame: Observation) -> Observation:
        state = None if frame.refused else self._state_at(frame.stamp)
        refused = frame.refused
        if state is None and not refused:
            lacking = ' and '.join(self.missing(frame.stamp))
            refused = f'no {lacking} within {self._max_gap / NS:g} s around the frame'
        return Observation(frame.stamp, frame.heard, frame.content, frame.clock, state, refused)

    def _state_at(self, stamp: int) -> ArmState | None:
        poses = self._tracks[POSE].around(stamp)
        if poses is None:
            return None
        closure = 0.0
        if GRIPPER in self._tracks:
            closures = self._tracks[GRIPPER].around(stamp)
            if closures is None:
                return None
            t0, before, t1, after = closures
            closure = before if stamp - t0 <= t1 - stamp else after
        return ArmState(*_between(*poses, stamp), closure)


class _Track:
    """Recent samples of one quantity by stamp."""

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._samples: deque[tuple[int, Any]] = deque()

    def add(self, stamp: int, value: Any) -> None:
        if self._samples and stamp <= self._samples[-1][0]:
            return
        self._samples.append((stamp, value))
        while self._samples[0][0] < stamp - HISTORY:
            self._samples.popleft()

    def clear(self) -> None:
        self._samples.clear()

    def reaches(self, stamp: int) -> bool:
        """Whether what was heard includes a sample at or after `stamp`."""
        return bool(self._samples) and self._samples[-1][0] >= stamp

    def around(self, stamp: int) -> tuple[int, Any, int, Any] | None:
        """The samples just before and after `stamp` as (t0, v0, t1, v1); None beyond the gap."""
        index = bisect_left(self._samples, stamp, key=lambda sample: sample[0])
        if index < len(self._samples) and self._samples[index][0] == stamp:
            return (*self._samples[index], *self._samples[index])
        if index in (0, len(self._samples)):
            return None
        before, after = self._samples[index - 1], self._samples[index]
        if after[0] - before[0] > self._max_gap:
            return None
        return (*before, *after)


def _between(t0: int, before, t1: int, after, stamp: int) -> tuple[np.ndarray, np.ndarray]:
    """Position and quaternion at `stamp` between those of t0 and t1."""
    if t0 == t1:
        return before
    share = (stamp - t0) / (t1 - t0)
    position = (1.0 - share) * before[0] + share * after[0]
    return position, slerp(before[1], after[1], share)
