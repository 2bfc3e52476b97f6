# SPDX-License-Identifier: Apache-2.0
"""What people do with the goals of a library: look at one, then go there; put several in a row;
take new ones, rename and delete them.

Two steps before a motion: a goal is previewed, then planned to. What is sent is the picture that
was shown, whatever has become of its file. Nothing here is safe to call from two threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.goals.goal import Goal, GoalError, View
from jepa_wm_ros.goals.library import GoalLibrary
from jepa_wm_ros.goals.thumbnail import thumbnail


class Camera(Protocol):
    """The live camera; both raise JepaWmError without a fresh picture."""

    def view(self) -> View:
        """What it shows now."""

    def capture(self, name: str) -> tuple[Goal, np.ndarray]:
        """What it shows now, as a goal: its label and its picture (H, W, 3) uint8."""


Reach = Callable[[Sequence[np.ndarray]], None]  # begins to reach pictures in order, or raises


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A goal as a person has seen it."""

    goal: Goal
    picture: np.ndarray  # (H, W, 3) uint8


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be drawn anew: the thumbnail (jpeg) of each new or changed goal, what is gone."""

    new: dict[str, bytes]
    gone: list[str]


class Gallery:
    """Each action returns the line that tells what it came to, or raises it as a JepaWmError."""

    def __init__(self, library: GoalLibrary, camera: Camera) -> None:
        self.library, self.camera = library, camera
        self.goals: dict[str, Goal] = {}  # those whose picture can be seen, by name
        self.complaints: list[str] = []  # about the files of the library
        self.previewed: Shown | None = None
        self.sequence: list[Shown] = []  # to be reached one after the other, when it is planned
        self.sought: list[Shown] = []  # what the arm is on its way to, the next one first
        self._way: list[Shown] = []  # ... and all that it set out for
        self._in_sequence = False  # it goes through the sequence
        self._files: dict[str, tuple[int, int]] = {}
        self._drawn: dict[str, tuple] = {}  # state of the files that a thumbnail was drawn from

    def preview(self, name: str) -> str:
        """Have a look at a goal, the first step towards a motion."""
        shown = Shown(self._known(name), self.library.picture(name))
        self.previewed = shown
        shown.goal.view.check_seen_by(self.camera.view(), f'goal {name}')
        return f'{name}: plan to it, or append it'

    def preview_nearest(self, position: Sequence[float], frame: str) -> str:
        """Have a look at the goal whose hand pose is nearest to a point (3,) [m]."""
        placed = [goal for goal in self.goals.values() if goal.pose7 and goal.frame == frame]
        if not placed:
            raise GoalError(
                f'no goal has a hand pose in frame {frame!r}, that of the clicked point: set the '
                'fixed frame of the viewer to the base of the arm, or click on a picture'
            )
        return self.preview(min(placed, key=lambda goal: _distance(goal, position)).name)

    def plan(self, name: str, reach: Reach) -> str:
        """Go to the goal that is previewed. Without a name: through the sequence, if any."""
        in_sequence = bool(self.sequence) and not name
        chosen = self.sequence if in_sequence else [self._seen(name)]
        self._go(chosen, reach)
        self._in_sequence = in_sequence
        return f'on the way to {self._names(chosen)}'

    def append(self, name: str) -> str:
        """Put the goal that is previewed at the end of the sequence."""
        self.sequence = [*self.sequence, self._seen(name)]
        return f'sequence: {self._names(self.sequence)}'

    def capture(self, new_name: str) -> str:
        """Store what the camera sees now as a goal, as `new_name` if that is free."""
        goal, picture = self.camera.capture(self.library.free_name(new_name or 'goal'))
        self.library.add(goal, picture)
        where = '' if goal.pose7 else ', without a hand pose: none was heard'
        return f'captured {goal.name}{where}'

    def rename(self, name: str, new_name: str) -> str:
        """Give a goal another name."""
        if not new_name:
            raise GoalError(
                f'to rename {name}, set the parameter new_name first, then rename again'
            )
        self.library.rename(self._known(name).name, new_name)
        self._forget(name)
        return f'{name} is {new_name} now'

    def delete(self, name: str) -> str:
        """Delete a goal; without a name, the one that is previewed."""
        name = name or self._seen('').goal.name
        self.library.remove(name)
        self._forget(name)
        return f'deleted {name}'

    def names(self) -> str:
        """The names of all goals."""
        return ', '.join(self.goals) or 'no goals: capture one'

    def stop(self) -> None:
        """Forget where the arm was to go."""
        self.sequence, self.sought, self._in_sequence = [], [], False

    def arrive(self, index: int) -> None:
        """The arm is on its way to picture `index` of those it set out for."""
        self.sought = self._way[index:]

    def end(self, reached: bool) -> None:
        """The arm is no longer on its way; a sequence that was reached is done with."""
        if reached and self._in_sequence:
            self.sequence = self.sequence[len(self._way) :]  # some may have been appended
        self.sought = []

    def reload(self) -> Changes:
        """Look at the files again, if one of them has changed."""
        files = self.library.signature()
        if files == self._files:
            return Changes({}, [])
        goals, complaints = self.library.read()
        new, seen = {}, {}
        for goal in goals:
            state = files.get(f'{goal.name}.json'), files.get(f'{goal.name}.png')
            try:
                if self._drawn.get(goal.name) != state:
                    new[goal.name] = thumbnail(self.library.picture(goal.name), goal.name)
                    self._drawn[goal.name] = state
                seen[goal.name] = goal
            except JepaWmError as error:
                complaints.append(str(error))
        gone = [name for name in self.goals if name not in seen]
        changed = [name for name in self.goals if name in new]
        self._files, self.goals, self.complaints = files, seen, complaints
        for name in gone:
            del self._drawn[name]
        for name in (*gone, *changed):
            self._forget(name)
        return Changes(new, gone)

    def _go(self, chosen: list[Shown], reach: Reach) -> None:
        live = self.camera.view()
        for shown in chosen:
            shown.goal.view.check_seen_by(live, f'goal {shown.goal.name}')
        reach([shown.picture for shown in chosen])
        self._way = self.sought = chosen

    def _known(self, name: str) -> Goal:
        if name not in self.goals:
            raise GoalError(f'goal {name!r} is not there any more')
        return self.goals[name]

    def _seen(self, name: str) -> Shown:
        """The goal that is previewed; GoalError where that is none, or not this one."""
        if self.previewed is None or name not in ('', self.previewed.goal.name):
            raise GoalError(f'preview {name or "a goal"} first: nothing moves to what was not seen')
        return self.previewed

    def _forget(self, name: str) -> None:
        if self.previewed is not None and self.previewed.goal.name == name:
            self.previewed = None
        self.sequence = [shown for shown in self.sequence if shown.goal.name != name]

    @staticmethod
    def _names(chosen: list[Shown]) -> str:
        return ', '.join(shown.goal.name for shown in chosen)


def _distance(goal: Goal, position: Sequence[float]) -> float:
    return float(np.linalg.norm(np.array(goal.pose7[:3]) - position))
