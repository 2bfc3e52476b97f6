# SPDX-License-Identifier: Apache-2.0
"""The arm moves by itself while it is looked at: each step as the planner would make it, each
picture taken when the arm stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rcl_interfaces.srv import GetParameters

from jepa_wm_ros.actions import DIM, GRIPPER, POSITION, ROTATION, actions_between
from jepa_wm_ros.control.goal_sequence import GoalSequence
from jepa_wm_ros.control.gripper import EMPTY
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.one_step import OneStep
from jepa_wm_ros.control.ports import Motion, MotionOutcome, Observation
from jepa_wm_ros.control.progress import Limits
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.recordings.episode import STEP_RATE, Episode
from jepa_wm_ros.recordings.exploration import Explorer, Room
from jepa_wm_ros.recordings.pointed import Pointed
from jepa_wm_ros.recordings.skills import GRASP_LOW, SkilledExplorer
from jepa_wm_ros.recordings.streams import NS
from jepa_wm_ros.ros.arm_alone import SETTINGS, BlindPorts
from jepa_wm_ros.ros.commander import CommanderError, JepaCommander
from jepa_wm_ros.world_model.images import kept_square

MAX_SECONDS = 600.0  # of an episode
MOST_REFUSED = 20  # steps in a row that the arm cannot make
MOST_BENT = 3  # times that an episode begins at home
THING_SPREAD = 0.04  # m around where a thing is said to lie: pushed, it lies elsewhere
ANOTHER = (FaultCode.WORKSPACE_LIMIT, FaultCode.COMMAND_REFUSED)  # a step like no other: try one


class SeeingPorts(BlindPorts):
    """`control.ports.Ports` that keep what was seen and what was done from there.

    pictures uint8 (size, size, 3), poses (7,) and stamps [ns], one more of each than actions (7,).
    """

    def __init__(self, commander: JepaCommander, base_frame: str, size: int) -> None:
        super().__init__(commander.node, {**SETTINGS, 'base_frame': base_frame})
        self._commander, self._size = commander, size
        self.clear()

    def clear(self) -> None:
        """Begin an episode."""
        self.pictures: list[np.ndarray] = []
        self.poses: list[np.ndarray] = []
        self.stamps: list[int] = []
        self.actions: list[np.ndarray] = []

    def observe(self, goal_id: int, not_before: int) -> Observation:
        """A picture of the arm, which stands, and where the hand is."""
        picture, pose = self._commander.picture(), self.arm.measured()
        for kept in (self.pictures, self.poses, self.stamps):
            del kept[len(self.actions) :]  # seen before a step that was not made
        self.pictures.append(kept_square(picture, self._size))
        self.poses.append(pose)
        self.stamps.append(self.now())
        return Observation(0, self.stamps[-1], pose, math.nan)

    def score(self, seen: Observation) -> tuple[np.ndarray, np.ndarray]:
        """What is decided by: the measured and the commanded pose7."""
        return self.poses[-1], self.arm.commanded()

    def waypoints(self, seen: Observation, actions: np.ndarray) -> np.ndarray:
        """The path (2, 7) of one action (1, 7) from the pose7 seen."""
        self._next = actions[0]
        return super().waypoints(seen, actions)

    def move(self, target: np.ndarray, planned_from: np.ndarray, gripper: float) -> Motion:
        """Command one waypoint and wait for its end; the hand is told only what is new."""
        closure = float(target[GRIPPER]) if self._next[GRIPPER] else math.nan
        motion = super().move(target, planned_from, closure)
        if motion.outcome is MotionOutcome.DONE:
            self.actions.append(self._next)
        return motion

    def episode(self, seed: int) -> Episode:
        """What was seen and done since `clear`."""
        poses = np.array(self.poses)
        seconds = (np.array(self.stamps) - self.stamps[0]) / NS
        return Episode(
            np.stack(self.pictures),
            poses.astype(np.float32),
            np.array(self.actions, np.float32),
            STEP_RATE,
            seed,
            {
                'achieved': actions_between(poses).astype(np.float32),
                'seconds': seconds.astype(np.float32)[:, None],
            },
        )


# From measured and commanded pose7 to where a thing is, if there is one.
Where = Callable[[np.ndarray, np.ndarray], np.ndarray | None]


class Exploration(OneStep):
    """Explores, round a thing where there is one."""

    def __init__(self, explorer: Explorer, where: Where) -> None:
        self._explorer, self._where = explorer, where

    def action(self, cost: Any) -> np.ndarray:
        """The next one, from the poses that `SeeingPorts.score` tells."""
        return self._explorer.action(*cost, self._where(*cost))


def room_of(commander: JepaCommander) -> Room:
    """Where the controller lets the hand be, and how far in a step."""
    names = ['workspace_low', 'workspace_high', 'max_step']
    answer = commander.call(
        GetParameters, 'franka_controller/get_parameters', GetParameters.Request(names=names)
    )
    low, high, step = answer.values
    return Room(
        np.array(low.double_array_value), np.array(high.double_array_value), step.double_value
    )


def pointed_at(thing: Sequence[float], room: Room) -> Pointed:
    """A thing (x, y[, yaw]) to be grasped. Raises JepaWmError where the hand cannot come to it."""
    if room.low[2] > GRASP_LOW + 0.001:
        raise JepaWmError(
            f'the hand may come down to {room.low[2]:g} m, and grasping takes {GRASP_LOW:g} m: '
            'start the arm with params_file:=grasp.yaml, whose workspace_low fits your table'
        )
    x, y, *yaw = thing
    return Pointed(np.array([x, y, GRASP_LOW, *(yaw or [0.0])]), EMPTY)


def unbent(commander: JepaCommander, explore: Callable[[], Episode]) -> Episode:
    """What `explore` gives, begun again at home where the arm has come to be so bent, beside a
    joint limit or a singularity, that it can go nowhere.
    """
    for _ in range(MOST_BENT):
        try:
            return explore()
        except CommanderError as error:
            if error.code is not FaultCode.WORKSPACE_LIMIT:
                raise
            commander.home()
    return explore()


def explore_episode(
    commander: JepaCommander,
    ports: SeeingPorts,
    room: Room,
    seed: int,
    steps: int,
    thing: Sequence[float] | Pointed | None,
) -> Episode:
    """`steps` actions drawn from a seed, from where the arm stands; round the place (2,) [m] of a
    thing, or with skills about one that is followed. Raises CommanderError when the arm does not go
    on as it should; it has been told to stop then.
    """
    rng = np.random.default_rng(seed)
    if isinstance(thing, Pointed):
        explorer, where = SkilledExplorer(rng, room), thing.follow
        _stand_upright(commander, room, explorer.start_pose()[ROTATION])
    else:
        explorer, where = Explorer(rng, room), around(thing, rng)
        start = explorer.start_pose()
        here = _stand_upright(commander, room, start[ROTATION])
        if abs(here[GRIPPER] - start[GRIPPER]) > 0.1:
            commander.set_gripper(float(start[GRIPPER]))
    decider, refused = Exploration(explorer, where), 0
    ports.clear()
    ports.begin()
    while (done := len(ports.actions)) < steps:
        goals = GoalSequence(1, 'steps', steps_per_goal=steps - done)
        limits = Limits(steps - done, MAX_SECONDS)
        outcome = Reach(ports, decider, None, goals, limits).run([0])
        refused = 0 if len(ports.actions) > done else refused + 1
        if outcome.code not in (FaultCode.SUCCEEDED, *ANOTHER) or refused > MOST_REFUSED:
            raise CommanderError(outcome.message, outcome.code)
    return ports.episode(seed)


def around(thing: Sequence[float] | None, rng: np.random.Generator) -> Where:
    """Somewhere about `thing` (2,) for a whole episode."""
    place = None if thing is None else np.array([*rng.normal(thing[:2], THING_SPREAD), 0.0])
    return lambda pose, commanded: place


def _stand_upright(commander: JepaCommander, room: Room, rotation: np.ndarray) -> np.ndarray:
    """Turn the hand as an episode begins, where it is or at the nearest place in the workspace;
    the pose7 it had.
    """
    here = commander.pose()
    target = np.zeros(DIM)
    target[POSITION] = np.clip(here[POSITION], room.low, room.high)
    target[ROTATION] = rotation
    commander.move_to(target)
    return here
