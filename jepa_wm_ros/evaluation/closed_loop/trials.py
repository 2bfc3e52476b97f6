# SPDX-License-Identifier: Apache-2.0
"""Closed-loop trials in the simulated cell by direct stepping: no ROS, no arm protocol, fast.

    python -m jepa_wm_ros.evaluation.closed_loop --model jepa_wm_cell --planner cell cell/icem

Every row of the table sees the same tasks: start, goal, cube and light come from the seed alone.
The goal is a picture; the true pose serves the judge and the straight line (the ceiling).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from jepa_wm_ros.actions import DIM, POSITION
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.planning import PLANNERS, Profile, load_profile
from jepa_wm_ros.planning.mpc import Mpc
from jepa_wm_ros.world_model import LatentCost, Latents, WorldModel, load_world_model
from jepa_wm_ros.world_model.distance import distance

MAX_STEP = FR3.max_step  # m, norm of one translation: the limit of the arm's controller
NEAR_CM, NEARER_CM = 4.0, 2.5


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy does next: an action (7,), what it knew, and how long it planned, if it did."""

    action: np.ndarray
    latent_distance: float = math.nan
    seconds: float = math.nan


class Policy(Protocol):
    """Something that moves the hand; `goal` is pose7 and only the straight line may look at it."""

    name: str
    reached_distance: float | None

    def begin(self, goal_frame: np.ndarray, goal: np.ndarray, seed: int) -> None:
        """A new task: the goal picture uint8 (H, W, 3)."""

    def decide(self, frame: np.ndarray, pose: np.ndarray) -> Decision:
        """The next action from a camera frame and the measured pose7."""


class NoMotion:
    """Stands still: the floor."""

    name, reached_distance = 'no motion', None

    def begin(self, goal_frame, goal, seed) -> None:
        pass

    def decide(self, frame, pose) -> Decision:
        return Decision(np.zeros(DIM))


class RandomActions(NoMotion):
    """Translations in a uniform direction, of a length uniform up to the limit."""

    name = 'random actions'

    def begin(self, goal_frame, goal, seed) -> None:
        self._rng = np.random.default_rng([seed, 3])

    def decide(self, frame, pose) -> Decision:
        direction = self._rng.normal(size=3)
        action = np.zeros(DIM)
        action[POSITION] = direction / np.linalg.norm(direction) * self._rng.uniform(0, MAX_STEP)
        return Decision(action)


class StraightLine(NoMotion):
    """Knows the goal pose: the ceiling."""

    name = 'straight line (knows the pose)'

    def begin(self, goal_frame, goal, seed) -> None:
        self._goal = goal

    def decide(self, frame, pose) -> Decision:
        action = np.zeros(DIM)
        action[POSITION] = self._goal[POSITION] - pose[POSITION]
        return Decision(action)


class Planned:
    """Model-predictive control with a world model, as the planner and model nodes do it."""

    def __init__(self, name: str, model: WorldModel, profile: Profile) -> None:
        self.name = name
        self.reached_distance = model.spec.reached_distance
        self._model, self._profile = model, profile

    def begin(self, goal_frame, goal, seed) -> None:
        self._mpc = Mpc(self._profile)
        with torch.inference_mode():
            self._goal = self._encode(goal_frame, np.zeros(DIM))
        self._queue: list[np.ndarray] = []

    def decide(self, frame, pose) -> Decision:
        begun, planned = time.perf_counter(), not self._queue
        with torch.inference_mode():
            here = self._encode(frame, pose)
            left = float(distance(here, self._goal, self._profile.objective))
        if planned:
            score = LatentCost(
                self._model, here, self._goal, self._profile.objective, self._profile.mode
            )
            plan = self._mpc.plan(score)
            self._queue = list(plan.actions[: self._profile.steps_executed].double().numpy())
        action = self._queue.pop(0)
        self._mpc.executed(1)
        if limited(action) is not action:
            self._queue.clear()  # the others were planned for where it does not lead
        seconds = time.perf_counter() - begun if planned else math.nan
        return Decision(action, left, seconds)

    def _encode(self, frame: np.ndarray, pose: np.ndarray) -> Latents:
        proprio = torch.as_tensor(pose, dtype=torch.float32)[None]
        return self._model.encode(self._model.prepare_images(frame[None]), proprio)


@dataclass(frozen=True, slots=True)
class Trial:
    """One task: hand-to-goal distance [cm] before each decision and after the last (steps + 1,)."""

    seed: int
    errors_cm: tuple[float, ...]
    stop: int  # decision at which the stopping rule would have ended it; last if never
    stopped: bool
    plan_seconds: tuple[float, ...]

    @property
    def final_cm(self) -> float:
        """Distance after the last step, without the stopping rule."""
        return self.errors_cm[-1]

    @property
    def stop_cm(self) -> float:
        """Distance where the stopping rule ends the task."""
        return self.errors_cm[self.stop]


def run_trial(cell, task, policy: Policy, seed: int, steps: int) -> Trial:
    """Let `policy` act for `steps` steps in `cell` (a sim.direct.DirectCell) on a reach task.

    The task goes on where the stopping rule would have ended it, so one run gives both figures.
    """
    frame, pose = cell.reset(task.start, task.cell)
    policy.begin(cell.goal_frame(task.goal), task.goal, seed)
    errors, stop, seconds = [_error_cm(pose, task.goal)], None, []
    for step in range(steps):
        decision = policy.decide(frame, pose)
        seconds.append(decision.seconds)
        if (
            stop is None
            and policy.reached_distance is not None
            and decision.latent_distance <= policy.reached_distance
        ):
            stop = step
        frame, pose = cell.step(limited(decision.action))
        errors.append(_error_cm(pose, task.goal))
    return Trial(
        seed, tuple(errors), steps if stop is None else stop, stop is not None, tuple(seconds)
    )


def limited(action: np.ndarray) -> np.ndarray:
    """The action with its translation shortened to MAX_STEP, as the arm's controller does."""
    length = np.linalg.norm(action[POSITION])
    if length <= MAX_STEP:
        return action
    shorter = action.copy()
    shorter[POSITION] *= MAX_STEP / length
    return shorter


def _error_cm(pose: np.ndarray, goal: np.ndarray) -> float:
    return 100 * float(np.linalg.norm(pose[POSITION] - goal[POSITION]))


def summarise(name: str, trials: list[Trial]) -> dict[str, float | str]:
    """A row of the table: success, median and 90 % quantile, with the stopping rule and without."""
    row: dict[str, float | str] = {'policy': name, 'episodes': len(trials)}
    for suffix, errors in (
        ('stop', [t.stop_cm for t in trials]),
        ('end', [t.final_cm for t in trials]),
    ):
        cm = np.array(errors)
        row |= {
            f'within_4cm_{suffix}': float((cm <= NEAR_CM).mean()),
            f'within_2.5cm_{suffix}': float((cm <= NEARER_CM).mean()),
            f'median_cm_{suffix}': float(np.median(cm)),
            f'p90_cm_{suffix}': float(np.quantile(cm, 0.9)),
        }
    row['stopped'] = float(np.mean([t.stopped for t in trials]))
    row['steps'] = float(np.median([t.stop for t in trials]))
    took = [s for t in trials for s in t.plan_seconds if not math.isnan(s)]
    row['plan_ms'] = 1000 * float(np.median(took)) if took else math.nan
    return row


def table(rows: list[dict]) -> str:
    """The rows as text; `stop` columns are with the stopping rule, `end` after all steps."""
    lines = [
        f'{"":<32}|{"with the stopping rule":^44}|{"after all steps":^31}|{"ms per":>8}',
        f'{"":<32}|{"<=4cm":>7}{"<=2.5cm":>9}{"median":>8}{"p90":>7}{"steps":>6}{"stopped":>7}'
        f'|{"<=4cm":>7}{"<=2.5cm":>9}{"median":>8}{"p90":>7}|{"plan":>8}',
    ]
    for r in rows:
        lines.append(
            f'{r["policy"]:<32}|'
            f'{r["within_4cm_stop"]:>7.0%}{r["within_2.5cm_stop"]:>9.0%}'
            f'{r["median_cm_stop"]:>8.2f}{r["p90_cm_stop"]:>7.2f}{r["steps"]:>6.0f}'
            f'{r["stopped"]:>7.0%}|'
            f'{r["within_4cm_end"]:>7.0%}{r["within_2.5cm_end"]:>9.0%}'
            f'{r["median_cm_end"]:>8.2f}{r["p90_cm_end"]:>7.2f}|'
            + (f'{r["plan_ms"]:>8.0f}' if math.isfinite(r['plan_ms']) else f'{"-":>8}')
        )
    return '\n'.join(lines)


def policies(options: argparse.Namespace) -> Iterator[Policy]:
    """The rows asked for: baselines, then every model with every planner."""
    if not options.no_baselines:
        yield from (NoMotion(), RandomActions(), StraightLine())
    for name in options.model:
        model = load_world_model(name, weights_dir=options.weights_dir)
        for choice in options.planner:
            profile = load_profile(*_profile_and_planner(choice))
            label = choice if len(options.model) == 1 else f'{Path(name).stem} {choice}'
            yield Planned(label, model, profile)


def _profile_and_planner(choice: str) -> tuple[str, str | None]:
    """`cell/icem` names a profile and another planner for it; a file may have slashes too."""
    profile, _, planner = choice.rpartition('/')
    return (profile, planner) if profile and planner in PLANNERS else (choice, None)


def evaluate(options: argparse.Namespace) -> list[dict]:
    """Run all policies on all tasks; rows of the table."""
    from tqdm import tqdm

    from jepa_wm_ros.sim.direct import DirectCell
    from jepa_wm_ros.sim.variation import sample_reach_task

    rows, record = [], {}
    chosen = list(policies(options))
    with DirectCell() as cell, tqdm(total=len(chosen) * options.episodes, unit='episode') as bar:
        for policy in chosen:
            trials = []
            for seed in range(options.seed, options.seed + options.episodes):
                trials.append(run_trial(cell, sample_reach_task(seed), policy, seed, options.steps))
                bar.set_postfix_str(policy.name)
                bar.update()
            rows.append(summarise(policy.name, trials))
            record[policy.name] = [t.errors_cm for t in trials]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({'rows': rows, 'errors_cm': record}, indent=1))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog='closed_loop', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--model',
        nargs='+',
        default=['jepa_wm_cell'],
        help='model names or weights files (default %(default)s)',
    )
    parser.add_argument(
        '--planner',
        nargs='+',
        default=['cell'],
        help='profiles, or PROFILE/PLANNER for a profile with another planner '
        '(default %(default)s)',
    )
    parser.add_argument('--episodes', type=int, default=40)
    parser.add_argument('--steps', type=int, default=15, help='steps per episode')
    parser.add_argument('--seed', type=int, default=1000, help='seed of the first task')
    parser.add_argument('--weights-dir', type=Path, default=None)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--no-baselines',
        action='store_true',
        help='leave out no motion, random actions and the straight line',
    )
    parser.add_argument('--out', type=Path, default=None, help='JSON file for rows and errors')
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        print(table(evaluate(options)))
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
