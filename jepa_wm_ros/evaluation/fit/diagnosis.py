# SPDX-License-Identifier: Apache-2.0
"""Is it the model, the planner or the data? Questions to a few recorded steps, each with a verdict.

What a model must be able to do for planning: change its mind when the action changes, know the
action that was taken from others, and predict better than "nothing changes" as far as plans reach.
What a cell must be able to do: plan in time, and show pictures that are not old.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch

from jepa_wm_ros.actions import POSITION
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.fit.seen import TINY, SeenSteps
from jepa_wm_ros.planning import Profile
from jepa_wm_ros.recordings.episode import Episode
from jepa_wm_ros.world_model import LatentCost, Latents, WorldModel

OTHERS = 63  # random actions that the true one is ranked among
PLANS = 3  # timed, after one that is not


class Grade(IntEnum):
    """How the answer to a question is."""

    GOOD = 0
    POOR = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question: a number in words, a grade, and what to do unless it is good."""

    question: str
    said: str
    value: float
    grade: Grade
    advice: str = ''


def _answer(
    question: str, said: str, value: float, limits: tuple[float, float], advice: str
) -> Answer:
    """Graded by limits (good, bad): whichever side of them `value` lies on; a NaN is bad."""
    good, bad = limits
    sign = 1.0 if bad > good else -1.0
    if sign * value <= sign * good:
        return Answer(question, said, value, Grade.GOOD)
    grade = Grade.POOR if sign * value < sign * bad else Grade.BAD
    return Answer(question, said, value, grade, advice)


def random_actions(rng: np.random.Generator, actions: np.ndarray) -> np.ndarray:
    """Actions (N, 7) as long as the given ones in directions of their own, the hand not turned."""
    drawn = np.zeros_like(actions)
    directions = rng.normal(size=(len(actions), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = np.linalg.norm(actions[:, POSITION], axis=1, keepdims=True)
    drawn[:, POSITION] = lengths * directions
    return drawn


def ask_the_model(
    model: WorldModel, episodes: Sequence[Episode], horizon: int, seed: int = 0
) -> list[Answer]:
    """What a model makes of recorded steps. Raises JepaWmError where there are none."""
    if not any(episode.steps for episode in episodes):
        raise JepaWmError('no recorded steps to ask the model about')
    seen = [SeenSteps(model, [episode]) for episode in episodes]
    spread, rank = _among_others(seen, np.random.default_rng(seed))
    return [
        _answer(
            'does the prediction change with the action?',
            f'by {spread:.2f} of the change that a step makes',
            spread,
            (0.4, 0.15),
            'the model hardly hears the action: look at the statistics of its actions (units: '
            'metres, radians, as commanded) and whether its file is the trained one',
        ),
        _answer(
            'is the action that was taken the one that explains best what was seen?',
            f'{rank:.0%} of random actions explain it better (50% is chance)',
            rank,
            (0.15, 0.35),
            'the model does not connect actions with what this camera shows: run check_camera, '
            'which tells a turned picture, another camera and a wrong frame apart',
        ),
        *(
            _answer(
                f'is what comes after {ahead} step{"s" * (ahead > 1)} imagined better than '
                '"nothing changes"?',
                f'with {share:.2f} of its error',
                share,
                (0.7, 1.0),
                'plan fewer steps ahead (horizon of the profile), or train on data of this cell; '
                'where the first step is wrong already, run check_camera',
            )
            for ahead in range(1, horizon + 1)
            if (share := _error_share(seen, ahead)) is not None
        ),
    ]


def _among_others(seen: Sequence[SeenSteps], rng: np.random.Generator) -> tuple[float, float]:
    """How far predictions for random actions are apart, of the change that a step makes; and the
    share of them that explain what was seen better than the true action, a tie counting half.
    """
    apart, changed, better = [], [], []
    for steps in seen:
        true, last = steps.errors(steps.predicted()), None
        changed.append(steps.errors(steps.start))
        for _ in range(OTHERS):
            guess = steps.predicted(random_actions(rng, steps.actions))
            error = steps.errors(guess)
            better.append((error < true).double() + 0.5 * (error == true).double())
            if last is not None:
                apart.append((guess - last).square().mean(dim=1) / 2)
            last = guess
    spread = torch.cat(apart).mean() / torch.cat(changed).mean().clamp_min(TINY)
    return float(spread.sqrt()), float(torch.cat(better).mean())


def _error_share(seen: Sequence[SeenSteps], ahead: int) -> float | None:
    """The squared error of what is imagined some steps ahead, of that of "nothing changes"; None
    where no episode is that long.
    """
    wrong, still = [], []
    for steps in seen:
        starts = len(steps.actions) - ahead + 1
        if starts > 0:
            taken = np.stack([steps.actions[k : k + starts] for k in range(ahead)])
            truth = steps.observed[ahead - 1 :]
            wrong.append((steps.imagined(taken) - truth).square().mean(dim=1))
            still.append((steps.start[:starts] - truth).square().mean(dim=1))
    if not wrong:
        return None
    return float(torch.cat(wrong).mean() / torch.cat(still).mean().clamp_min(TINY))


def ask_the_planner(model: WorldModel, episodes: Sequence[Episode], profile: Profile) -> Answer:
    """How long a plan takes on this machine, from the first picture to the last one."""
    seen = SeenSteps(model, episodes)
    context, goal = seen.before[:1], Latents(seen.before.visual[-1:])
    planner, seconds = profile.make_planner(), []
    for index in range(PLANS + 1):
        score = LatentCost(model, context, goal, profile.objective, profile.mode)
        begun = time.perf_counter()
        planner.plan(score, index=index)
        seconds.append(time.perf_counter() - begun)
    value = float(np.median(seconds[1:]))
    return _answer(
        'is a plan made in time?',
        f'{value:.2f} s with the profile {profile.name}',
        value,
        (1.0, 5.0),
        'choose a faster profile (fast, reactive), a GPU (--device cuda), or fewer samples',
    )


def ask_the_camera(ages: np.ndarray) -> Answer:
    """How old pictures are [s] when they are heard."""
    value = float(np.quantile(ages, 0.95)) if len(ages) else float('nan')
    question, said = 'are pictures fresh?', f'95% are at most {value:.3f} s old when they are heard'
    if len(ages) and np.median(ages) < -0.05:
        return Answer(
            question,
            f'{said}: they come from the future',
            value,
            Grade.BAD,
            'the clocks of camera and this machine differ: synchronise them (chrony), or describe '
            'the topics with `stamps: record`',
        )
    return _answer(
        question,
        said,
        value,
        (0.15, 0.5),
        'lower the resolution or compress (transport), connect camera and model by cable, look at '
        'the load of the machine',
    )
