# SPDX-License-Identifier: Apache-2.0
"""The control loop's ports over a task in this process: no ROS, no waiting."""

from __future__ import annotations

import time

import numpy as np

from jepa_wm_ros.control.legs import decider_of
from jepa_wm_ros.control.ports import Decider, Motion, MotionOutcome, Observation
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.planning import Profile
from jepa_wm_ros.tasks.task import Task


class TaskPorts:
    """`control.ports.Ports` of a task. Observed through a model's session, as the world-model node
    does it, with the objective and mode of a profile; without one, nothing has a distance.

    `errors` holds the true distance to the goal at the start and after each motion.
    """

    def __init__(
        self, task: Task, session: ModelSession | None = None, profile: Profile | None = None
    ) -> None:
        self._task, self._session, self._profile = task, session, profile
        self.errors = [task.error()]

    def prepare(self) -> list[int]:
        """Encode the task's goals, pictures and what is measured there; returns their numbers."""
        pictures = self._task.goals()
        if self._session is None:
            return list(range(len(pictures)))
        return self._session.prepare_goals(pictures, None, self._task.goal_states())[0]

    def now(self) -> int:
        """A clock [ns] that only goes on."""
        return time.monotonic_ns()

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """Freeze the picture of now; it is always newer than the last motion."""
        stamp = self.now()
        picture, state = self._task.observe()
        if self._session is None or self._profile is None:
            return Observation(0, stamp, state, float('nan'))
        context = self._session.freeze(
            picture, state, goal_id, self._profile.objective, self._profile.mode
        )
        return Observation(context.id, stamp, state, context.distance)

    def decided_by(self, profile: Profile) -> Decider:
        """Who decides by a profile, with scores by its objective from now on."""
        self._profile = profile
        return decider_of(profile)

    def score(self, seen: Observation):
        """The cost function of a frozen context."""
        return None if self._session is None else self._session.contexts[seen.context_id]

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path of actions from the state seen."""
        return self._task.waypoints(seen.pose, actions)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Act; nobody else moves anything here."""
        clipped = self._task.act(target, gripper)
        self.errors.append(self._task.error())
        return Motion(MotionOutcome.DONE, clipped)

    def stand(self) -> bool:
        """A task moves only while it acts."""
        return True
