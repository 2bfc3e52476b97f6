# SPDX-License-Identifier: Apache-2.0
"""`Task`: what a world must offer so that the control loop can be tried in it."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Task(Protocol):
    """A world in this process. States (P,), waypoints (P,) and actions (A,) are its own numbers.

    `reset` first. Whoever decides sees pictures and states; `error` and `success` are the judge's.
    """

    def reset(self, seed: int) -> None:
        """Set up the start that belongs to `seed` alone: every decider meets the same."""

    def goals(self) -> list[np.ndarray]:
        """The pictures to reach, in order, each uint8 (H, W, 3)."""

    def goal_states(self) -> list[np.ndarray] | None:
        """What `observe` would measure (P,) at each of them; None where a goal is a picture and
        nothing else.
        """

    def observe(self) -> tuple[np.ndarray, np.ndarray]:
        """Picture uint8 (H, W, 3) and measured state (P,), now."""

    def waypoints(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The path (H + 1, P) of actions (H, A) from a measured state."""

    def act(self, target: np.ndarray, gripper: float) -> bool:
        """Go to a waypoint (P,), with the hand at closure `gripper` (NaN: as it is); whether the
        way was shortened. Raises a Fault when nothing was moved.
        """

    def error(self) -> float:
        """True distance to the goal [m, or the task's unit]."""

    def success(self) -> bool:
        """Whether that is near enough."""
