# SPDX-License-Identifier: Apache-2.0
"""Pick and place, and pushing, in the simulated cell by direct stepping: no ROS, fast.

    python -m jepa_wm_ros.evaluation.closed_loop.cube pick_place --model jepa_wm_cell_grasp
    python -m jepa_wm_ros.evaluation.closed_loop.cube push --pictures 1
    python -m jepa_wm_ros.evaluation.closed_loop.cube pick_place --change taken

Goals are pictures that an expert leaves (sim/manipulation.py); the loop, its gripper policy and its
sequence of goals are those of the planner node. The simulator says what became of the cube.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from jepa_wm_ros.actions import DIM, GRIPPER, POSITION, ROTATION, wrapped
from jepa_wm_ros.control.goal_sequence import SWITCHES, GoalSequence
from jepa_wm_ros.control.gripper import GripperPolicy
from jepa_wm_ros.control.loop import Reach
from jepa_wm_ros.control.one_step import OneStep
from jepa_wm_ros.control.progress import Limits, Phase, Progress
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation.closed_loop.baselines import NoMotion, RandomActions
from jepa_wm_ros.evaluation.closed_loop.ports import TaskPorts
from jepa_wm_ros.evaluation.closed_loop.trials import DAY, Policy
from jepa_wm_ros.evaluation.walks import half_width
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.overwriting import add_force, refuse_what_is_there
from jepa_wm_ros.planning import load_profile
from jepa_wm_ros.sim.changes import CHANGES
from jepa_wm_ros.sim.manipulation import FAR_PROFILES, FAR_STEPS, PROFILES, STEPS, TRIES, expert
from jepa_wm_ros.tasks.cell import CubeCell
from jepa_wm_ros.world_model import load_world_model

YAW = ROTATION.stop - 1  # of a hand that points down
AT = 0.008  # m, from where a move of the expert was to end


@dataclass(frozen=True, slots=True)
class CubeTrial:
    """What became of the cube; `error` is its distance from its place at the end [m], `table_force`
    the most that the arm has pressed on the table [N].
    """

    seed: int
    grasped: bool
    carried: bool
    placed: bool
    error: float
    steps: int
    code: str
    table_force: float
    plan_seconds: tuple[float, ...]


class Expert(OneStep):
    """Does what the expert does, in steps of the arm: the ceiling."""

    def __init__(self, task: CubeCell) -> None:
        self._task, self._moves = task, expert(task.task)

    def action(self, cost: Any) -> np.ndarray:
        """The next step of the move under way."""
        _, pose = self._task.observe()
        commanded = self._task.commanded
        action = np.zeros(DIM)
        while self._moves and self._there(pose, commanded, self._moves[0].pose):
            self._moves.pop(0)
        if self._moves:
            wanted = self._moves[0].pose
            action[POSITION] = (wanted - pose)[POSITION]
            turn = wrapped((wanted - commanded)[YAW])
            action[YAW] = np.clip(turn, -FR3.max_turn, FR3.max_turn)
            if np.linalg.norm(action[POSITION]) < AT:
                action[GRIPPER] = (wanted - commanded)[GRIPPER]
        return action

    @staticmethod
    def _there(pose: np.ndarray, commanded: np.ndarray, wanted: np.ndarray) -> bool:
        near = np.linalg.norm((wanted - pose)[POSITION]) < AT
        turned = abs(wrapped((wanted - commanded)[YAW])) < 0.01
        return bool(near and turned and wanted[GRIPPER] == commanded[GRIPPER])


def schedule_of(steps: tuple[int, ...], pictures: int) -> tuple[int, ...]:
    """Steps for each of the last pictures: one that is left out leaves its own to the next."""
    left_out = len(steps) - pictures
    return (sum(steps[: left_out + 1]), *steps[left_out + 1 :])


def run_cube_trial(
    task: CubeCell, policy: Policy, seed: int, switch: str, steps: tuple[int, ...]
) -> CubeTrial:
    """The goals of a seed, each for its share of `steps` at most."""
    task.reset(seed)
    ports = TaskPorts(task, policy.session, policy.profile)
    ids = ports.prepare()
    schedule = schedule_of(steps, len(ids))
    # As in the planner node with config/grasp.yaml, except where nobody recovers a push: what was
    # pushed stays where it is, and the picture before is of no use.
    recovery = policy.recovery
    goes_back = task.kind == 'pick_place' or recovery is not None or len(ids) == 1
    goals = GoalSequence(len(ids), switch, policy.tolerance, schedule, goes_back)
    planning: list[float] = []

    def note(said: Progress) -> None:
        if said.phase is Phase.PLANNING:
            planning.append(said.planning_seconds)

    hand = None if task.kind == 'push' else GripperPolicy(min_hold_steps=1, reopens=True)
    loop = Reach(
        ports,
        policy.decider(task, seed),
        hand,
        goals,
        Limits(TRIES * sum(schedule), DAY),
        policy.reached_distance,
        note,
        recovery=None if recovery is None else lambda: ports.decided_by(recovery),
    )
    outcome = loop.run(ids)
    return CubeTrial(
        seed,
        task.lifted,
        task.carried,
        task.success(),
        task.error(),
        outcome.progress.step,
        outcome.code.name,
        task.table_force,
        tuple(planning),
    )


def policies(options: argparse.Namespace) -> Iterator[Policy]:
    """The rows asked for."""
    if options.baselines:
        yield Policy('no motion', lambda task, seed: NoMotion())
        yield Policy('random actions', lambda task, seed: RandomActions(seed))
        yield Policy('expert (knows the poses)', lambda task, seed: Expert(cast(CubeCell, task)))
    recovery = load_profile(options.recovery) if options.recovery else None
    for name in options.model:
        session = ModelSession(load_world_model(name))
        for profile in options.profile:
            label = f'{Path(name).stem} {profile}'
            yield Policy.planned(label, session, load_profile(profile), recovery)


def row(name: str, trials: list[CubeTrial]) -> str:
    """A line of the table."""
    placed = float(np.mean([t.placed for t in trials]))
    took = [s for t in trials for s in t.plan_seconds if not math.isnan(s)]
    counts = [sum(getattr(t, what) for t in trials) for what in ('grasped', 'carried', 'placed')]
    return (
        f'{name:<40}{counts[0]:>9}{counts[1]:>9}{counts[2]:>8}/{len(trials)}'
        f'{placed:>7.0%} ±{half_width(placed, len(trials)):>4.0%}'
        f'{100 * float(np.median([t.error for t in trials])):>9.1f}'
        f'{float(np.mean([t.steps for t in trials])):>7.1f}'
        f'{max(t.table_force for t in trials):>8.0f}'
        + (f'{1000 * float(np.median(took)):>8.0f}' if took else f'{"-":>8}')
    )


HEADER = f'{"":<40}' + ''.join(
    f'{title:>{width}}'
    for title, width in {
        'grasped': 9,
        'carried': 9,
        'placed': 11,
        'cm': 21,
        'steps': 7,
        'N': 8,
        'ms/plan': 8,
    }.items()
)


def evaluate(
    kind: str,
    chosen: list[Policy],
    seeds: range,
    pictures: int,
    change: str,
    switch: str,
    steps: tuple[int, ...],
    say: Callable[[str], None],
) -> dict[str, list[CubeTrial]]:
    """Every policy on every seed; a row is said as soon as it is there."""
    from tqdm import tqdm

    from jepa_wm_ros.recordings.skills import TABLE
    from jepa_wm_ros.sim.changes import design_of
    from jepa_wm_ros.sim.direct import DirectCell

    found: dict[str, list[CubeTrial]] = {}
    with (
        DirectCell(design=design_of(change), low=TABLE.low) as cell,
        tqdm(total=len(chosen) * len(seeds), unit='episode', disable=None, leave=False) as bar,
    ):
        task = CubeCell(cell, kind, pictures, change)
        for policy in chosen:
            planned = policy.session is not None
            trials = found[policy.name] = []
            for seed in seeds:
                how = switch if planned else 'steps'
                trials.append(run_cube_trial(task, policy, seed, how, steps))
                bar.update()
            say(row(policy.name, trials))
    return found


@exit_status('interrupted')
def main(words: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('task', choices=STEPS)
    parser.add_argument('--model', nargs='*', default=['jepa_wm_cell_grasp'])
    parser.add_argument('--profile', nargs='+', help="planning profiles (default: the task's)")
    parser.add_argument(
        '--pictures', type=int, default=0, help='the last so many of the goals (default: all)'
    )
    parser.add_argument(
        '--recovery',
        help="profile for the last picture alone once one was missed, or '' (default: the task's)",
    )
    parser.add_argument(
        '--change',
        default='',
        choices=CHANGES,
        help='what is otherwise than the pictures say, or than anything trained on',
    )
    parser.add_argument('--switch', choices=SWITCHES, help='default: steps, of one picture: plan')
    parser.add_argument('--steps', type=int, nargs='+', help='for each picture, at most')
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--seed', type=int, default=3000)
    parser.add_argument('--baselines', action='store_true', help='also who does not plan')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--out', type=Path, help='JSON file for every trial')
    add_force(parser)
    options = parser.parse_args(words)
    refuse_what_is_there(options.out, options.force)
    torch.set_num_threads(options.threads)
    far = options.pictures == 1
    options.profile = options.profile or [(FAR_PROFILES if far else PROFILES)[options.task]]
    if options.recovery is None:
        options.recovery = '' if far else FAR_PROFILES[options.task]
    options.switch = options.switch or ('plan' if far else 'steps')
    usual = (FAR_STEPS[options.task],) if far else STEPS[options.task]
    steps = tuple(options.steps or usual)
    seeds = range(options.seed, options.seed + options.episodes)
    print(HEADER, flush=True)
    found = evaluate(
        options.task,
        list(policies(options)),
        seeds,
        options.pictures,
        options.change,
        options.switch,
        steps,
        lambda line: print(line, flush=True),
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        told = {name: [asdict(trial) for trial in trials] for name, trials in found.items()}
        options.out.write_text(json.dumps(told, indent=1))
    return 0


if __name__ == '__main__':
    sys.exit(main())
