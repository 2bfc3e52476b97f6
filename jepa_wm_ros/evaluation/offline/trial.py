# SPDX-License-Identifier: Apache-2.0
"""One clip in front of one model: every planner and baseline, and how well the model imagines.

The goal is a picture, as it is live: the model hears the hand's pose with the first frame only.
Frames are encoded one by one, also as live, so that the same frame gives the same latent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from jepa_wm_ros.actions import DIM, GRIPPER, POSITION, ROTATION, rotation_angle
from jepa_wm_ros.control.gripper import possible_strokes
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.evaluation.metrics import action_errors
from jepa_wm_ros.evaluation.offline.perceptual import Perceptual
from jepa_wm_ros.evaluation.offline.rows import EXPERT, RANDOM, ZERO, Row, curve
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.objective import Objective
from jepa_wm_ros.planning import Budget, Profile, load_profile
from jepa_wm_ros.recordings.clips import Clip
from jepa_wm_ros.world_model import LatentCost, Latents, WorldModel
from jepa_wm_ros.world_model.distance import distance_per_frame

PLANS_PER_SEED = 1_000_000  # random numbers of clip c at seed s: plan index s * this + c
# of random actions where a profile sets none [m, rad, closure]
STEP_LIMITS = (FR3.max_step, FR3.max_turn, 0.75)


@dataclass(frozen=True, slots=True)
class PlannerChoice:
    """A planning profile by the name it was asked for, with the horizon of the clips."""

    name: str
    profile: Profile

    @staticmethod
    def load(name: str, horizon: int | None) -> PlannerChoice:
        profile = load_profile(name)
        if horizon is not None and horizon != profile.settings.horizon:
            profile = replace(
                profile,
                settings=replace(profile.settings, horizon=horizon),
                steps_executed=min(profile.steps_executed, horizon),
            )
        return PlannerChoice(name, profile)

    @property
    def objective(self) -> Objective:
        return self.profile.objective


def random_bounds(profile: Profile) -> np.ndarray:
    """Bounds (7,) of the random baseline: the planner's own, else the arm's step limits."""
    bounds = profile.settings.bounds(DIM).numpy()
    limits = np.empty(DIM)
    limits[POSITION], limits[ROTATION], limits[GRIPPER] = STEP_LIMITS
    return np.where(np.isfinite(bounds), bounds, limits)


class ClipTrial:
    """A model with the planners to try it with."""

    def __init__(
        self,
        model: WorldModel,
        name: str,
        planners: Sequence[PlannerChoice],
        seeds: Sequence[int],
        *,
        perceptual: Perceptual | None = None,
    ) -> None:
        if model.spec.action_dim != DIM:
            raise JepaWmError(
                f'{name}: takes {model.spec.action_dim} numbers per action; bags are '
                f'evaluated with models of {DIM}-number arm actions'
            )
        self.model = model
        self.name = name
        self.planners = planners
        self.seeds = seeds
        self.perceptual = perceptual

    def keys(self, bag: str, number: int) -> list[tuple]:
        """Keys of all rows of one clip."""
        names = [(EXPERT, self.seeds[0]), (ZERO, self.seeds[0])]
        names += [(RANDOM, seed) for seed in self.seeds]
        names += [(planner.name, seed) for planner in self.planners for seed in self.seeds]
        return [(bag, number, self.name, name, seed) for name, seed in names]

    @torch.no_grad()
    def encode(self, frame: np.ndarray, pose: np.ndarray) -> Latents:
        """Latents (1, 1, ...) of a picture (H, W, 3) uint8 and the pose7 it was taken at."""
        proprio = None
        if self.model.spec.uses_proprio:
            proprio = torch.as_tensor(pose, dtype=torch.float32)[None]
        return self.model.encode(self.model.prepare_images(frame[None]), proprio)

    def rows(
        self,
        bag: str,
        number: int,
        stamp: int,
        clip: Clip,
        latents: list[Latents],
        frames: list[np.ndarray],
        done: set[tuple],
    ) -> list[Row]:
        """Rows of a clip (H+1 latents and frames) that are not in `done` yet."""
        base = Row(bag, number, stamp, self.name, '', 0, 'ok', expert=curve(clip.actions))
        made = []
        for key in self.keys(bag, number):
            if key in done:
                continue
            begun = replace(base, planner=key[3], seed=key[4])
            try:
                made.append(self._row(begun, clip, latents, frames))
            except JepaWmError as error:
                made.append(replace(begun, status=str(error)))
        return made

    def failed(self, bag: str, number: int, stamp: int, reason: str, done: set[tuple]) -> list[Row]:
        """Rows that say why a clip could not be evaluated."""
        return [
            Row(bag, number, stamp, self.name, key[3], key[4], reason)
            for key in self.keys(bag, number)
            if key not in done
        ]

    def _row(self, row: Row, clip: Clip, latents: list[Latents], frames: list[np.ndarray]) -> Row:
        planner = next((p for p in self.planners if p.name == row.planner), None)
        objective = (planner or self.planners[0]).objective
        context, goal = latents[0], Latents(latents[-1].visual)
        evaluations, seconds = 0, 0.0
        if planner is not None:
            settings = planner.profile
            begun = time.perf_counter()
            plan = settings.make_planner().plan(
                LatentCost(self.model, context, goal, objective, settings.mode),
                budget=Budget(seconds=settings.budget_seconds),
                index=row.seed * PLANS_PER_SEED + row.clip,
                strokes=possible_strokes(clip.poses[0, GRIPPER]),
            )
            planned, evaluations = plan.actions.double().cpu().numpy(), plan.evaluations
            seconds = time.perf_counter() - begun
        else:
            planned = self._baseline(row, clip)
        rollout = self.imagine(context, planned)
        errors = action_errors(planned, clip.actions)
        costs = self._curve(rollout, goal, objective)
        row = replace(
            row,
            e_xyz=errors.xyz,
            e_orientation=errors.orientation,
            e_closure=errors.closure,
            cost=costs[-1],
            cost_start=costs[0],
            costs=costs,
            evaluations=evaluations,
            seconds=seconds,
            planned=curve(planned),
        )
        if row.planner == EXPERT:
            row = self._with_imagination(row, rollout, latents, frames, objective)
        return row

    def _baseline(self, row: Row, clip: Clip) -> np.ndarray:
        if row.planner == EXPERT:
            return clip.actions
        if row.planner == ZERO:
            return np.zeros_like(clip.actions)
        bounds = random_bounds(self.planners[0].profile)
        return np.random.default_rng([row.seed, row.clip]).uniform(
            -bounds, bounds, clip.actions.shape
        )

    @torch.no_grad()
    def imagine(self, context: Latents, actions: np.ndarray) -> Latents:
        """The rollout (H+1, 1, ...) of physical actions (H, 7) from a frame's latents."""
        taken = torch.as_tensor(actions, dtype=torch.float32)[:, None]
        taken = taken.to(self.model.device, self.model.dtype)
        return self.model.unroll(context, self.model.normalize_actions(taken))

    @staticmethod
    @torch.no_grad()
    def _curve(rollout: Latents, goal: Latents, objective: Objective) -> tuple[float, ...]:
        return curve(distance_per_frame(rollout, goal, objective)[:, 0].float().cpu())

    @torch.no_grad()
    def _with_imagination(
        self,
        row: Row,
        rollout: Latents,
        latents: list[Latents],
        frames: list[np.ndarray],
        objective: Objective,
    ) -> Row:
        """Adds how far the rollout of the expert's actions strays from what was recorded."""
        truths = [Latents(latent.visual) for latent in latents[1:]]
        imagined = [
            self._curve(rollout[h : h + 1], truth, objective)[0]
            for h, truth in enumerate(truths, start=1)
        ]
        still = [self._curve(rollout[:1], truth, objective)[0] for truth in truths]
        return replace(
            row,
            latent_errors=curve(imagined),
            still_errors=curve(still),
            pose_errors=self._pose_errors(rollout, latents),
            lpips=self._lpips(rollout, frames),
        )

    def _pose_errors(self, rollout: Latents, latents: list[Latents]) -> tuple[float, ...]:
        """Decoded imagined poses against the recorded ones, as far as latents carry them.

        The recorded pose goes through the same encoding, so that what a model leaves out (ours
        drops the roll, which flips between -pi and pi) counts neither for it nor against it.
        """
        decoded = self.model.decode_proprio(rollout)
        if decoded is None or decoded.shape[-1] != DIM:
            return ()
        truths = [self.model.decode_proprio(latent)[0, 0] for latent in latents[1:]]
        pairs = [
            (pose.double().cpu().numpy(), truth.double().cpu().numpy())
            for pose, truth in zip(decoded[1:, 0], truths, strict=True)
        ]
        return curve(
            [
                (
                    np.linalg.norm(pose[POSITION] - truth[POSITION]),
                    rotation_angle(pose[ROTATION], truth[ROTATION]),
                    abs(pose[GRIPPER] - truth[GRIPPER]),
                )
                for pose, truth in pairs
            ]
        )

    def _lpips(self, rollout: Latents, frames: list[np.ndarray]) -> tuple[float, ...]:
        if self.perceptual is None:
            return ()
        return curve(self.perceptual.distances(rollout[1:], frames[1:]))
