# SPDX-License-Identifier: Apache-2.0
"""The demo's tasks with the cube: shown once by an expert, done from the pictures it leaves.

The expert stands for the person who shows the task: it moves the arm by the same services as that
person would, and the camera takes a goal picture where it says so. Then arm and cube are put back,
and the pictures go to the `reach_goal` action. Where the cube is, the simulator says, to the judge
alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from jepa_wm_msgs.action import ReachGoal

from jepa_wm_ros.actions import GRIPPER, POSITION
from jepa_wm_ros.errors import FaultCode
from jepa_wm_ros.recordings.skills import TABLE
from jepa_wm_ros.ros.commander import CommanderError
from jepa_wm_ros.ros.demo.cell import DemoCell
from jepa_wm_ros.sim.manipulation import FAR_STEPS, STEPS, TRIES, CubeTask, expert, sample_task


@dataclass
class CubeRecord:
    """One episode as the simulator saw it; metres, base frame."""

    task: CubeTask
    goals: list[np.ndarray] = field(default_factory=list)
    place: np.ndarray = field(default_factory=lambda: np.zeros(2))  # of the cube in the last goal
    frames: list[np.ndarray] = field(default_factory=list)
    imagined: dict[int, np.ndarray] = field(default_factory=dict)  # of the first plan to a goal
    shown: list[int] = field(default_factory=list)  # which goal counted when a frame was taken
    costs: list[tuple[int, int, float]] = field(default_factory=list)  # step, goal, cost
    away: list[tuple[int, float]] = field(default_factory=list)  # step, cube from its place
    planning_seconds: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    grasped: bool = False
    carried: bool = False
    placed: bool = False
    error: float = np.inf
    table_force: float = np.nan  # the most that the arm has pressed on the table [N]
    outside: float = 0.0  # how far the hand has been outside the workspace at most
    steps: int = 0
    seconds: float = 0.0
    message: str = ''
    fault: bool = False


def show(cell: DemoCell, task: CubeTask, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Have the expert do the task of a seed: its goal pictures, and where it leaves the cube (2,).
    Hand and cube then stand at the start.
    """
    stand(cell, task.start)
    cell.reset(seed)
    goals = []
    for move in expert(task):
        cell.move_to(move.pose)
        cell.set_gripper(float(move.pose[GRIPPER]))
        if move.goal:
            goals.append(cell.picture())
    place = cell.cube_position()[:2]
    stand(cell, task.start)
    cell.reset(seed)
    return goals, place


def stand(cell: DemoCell, start: np.ndarray) -> None:
    """Bring the hand to a start pose7, from above and by way of the home posture: straight motions
    let the elbow drift, episode after episode, to where no recording has seen it.
    """
    above = cell.pose()
    above[POSITION.stop - 1] = max(above[POSITION.stop - 1], start[POSITION.stop - 1])
    cell.set_gripper(float(start[GRIPPER]))
    cell.move_to(np.concatenate([above[POSITION], start[POSITION.stop :]]))
    cell.home()
    cell.move_to(start)


def episode(cell: DemoCell, kind: str, seed: int, switch: int, pictures: int) -> CubeRecord:
    """Show the task of a seed, then have it done from the last so many pictures; 0: from all."""
    task = sample_task(kind, seed)
    record = CubeRecord(task)
    goals, record.place = show(cell, task, seed)
    record.goals = goals[-pictures:]
    steps = [FAR_STEPS[kind]] if pictures else STEPS[kind]
    begun = time.monotonic()
    goal = 0

    def on_feedback(said: ReachGoal.Feedback) -> None:
        nonlocal goal
        goal = said.goal_index
        cube = cell.latest_cube()
        away = float(np.linalg.norm(cube[:2] - record.place))
        record.grasped |= task.in_air(cube)
        record.carried |= task.carried(cube, record.place)
        record.outside = max(record.outside, TABLE.outside(cell.latest_hand()))
        if said.phase == ReachGoal.Feedback.MOVING:
            record.latencies.append(said.latency_seconds)
            record.planning_seconds.append(said.planning_seconds)
            print(
                f'  step {said.step:2d}  picture {goal + 1}  cost {said.cost:7.4f}  planning '
                f'{said.planning_seconds * 1e3:4.0f} ms  cube {100 * away:5.1f} cm from its place',
                flush=True,
            )
        elif said.phase == ReachGoal.Feedback.WAITING_FOR_OBSERVATION and np.isfinite(said.cost):
            record.costs.append((said.step, goal, said.cost))
            record.away.append((said.step, away))

    def on_frame(picture: np.ndarray) -> None:
        record.frames.append(picture)
        record.shown.append(goal)

    def on_imagined(strip: np.ndarray) -> None:
        record.imagined.setdefault(goal, strip)

    with cell.filming(on_frame, on_imagined):
        result = cell.reach(
            record.goals,
            on_feedback,
            max_steps=TRIES * sum(steps),
            switch_on=switch,
            steps_of_goals=steps,
        )
    record.seconds = time.monotonic() - begun
    judge(cell, record)
    record.steps, record.message = result.steps, result.error_msg
    record.fault = FaultCode(result.error_code).is_fault
    print(
        f'seed {seed}: {"placed" if record.placed else "missed"}, cube {100 * record.error:.1f} cm '
        f'from its place after {record.steps} steps {result.error_msg}',
        flush=True,
    )
    return record


def judge(cell: DemoCell, record: CubeRecord) -> None:
    """What the simulator says of the end."""
    cube, task = cell.cube_position(), record.task
    record.error = float(np.linalg.norm(cube[:2] - record.place))
    record.table_force = cell.table_force
    record.placed = task.placed(cube, record.place, cell.pose()[GRIPPER])


def attempt(cell: DemoCell, kind: str, seed: int, switch: int, pictures: int) -> CubeRecord:
    """One of many episodes: an error ends it, not the others, and counts as an exception."""
    try:
        return episode(cell, kind, seed, switch, pictures)
    except CommanderError as error:
        cell.check()
        print(f'exception: {error}', flush=True)
        return CubeRecord(sample_task(kind, seed), message=str(error), fault=True)
