# SPDX-License-Identifier: Apache-2.0
"""What the world-model node's worker thread owns: the model, its goals and its frozen contexts."""

from __future__ import annotations

import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch

from jepa_wm_ros.actions import DIM, POSITION
from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.goals.watch import PictureWatch
from jepa_wm_ros.objective import Objective, checked_mode
from jepa_wm_ros.world_model import LatentCost, Latents, WorldModel, load_world_model
from jepa_wm_ros.world_model.device import device_faults
from jepa_wm_ros.world_model.distance import distance

MAX_GOALS = 64
MAX_CONTEXTS = 2
MOST_SHOWN = 6  # frames of a filmstrip: of more, nobody sees anything
L2 = Objective()


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal picture as the model sees it, and the watch over what is seen on the way to it."""

    latents: Latents
    watch: PictureWatch


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as the model sees it: (1, 3, S, S), how foreign it is (above 1: too foreign; NaN:
    not known), and its latents.
    """

    pixels: torch.Tensor
    novelty: float
    latents: Latents


@dataclass(frozen=True, slots=True)
class Context:
    """A frozen observation: its number, the distance of its visual latents to the goal's, and the
    physical actions (H, A) float32 that the model would try first, None where it has no such head.
    """

    id: int
    distance: float
    proposal: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Costs of N candidates, their gradient when asked for, the decoded rollout when asked for."""

    costs: np.ndarray
    gradient: np.ndarray
    seconds: float
    imagined: np.ndarray | None


@dataclass
class ModelSession:
    """Encodes goals, freezes contexts and scores candidates; used by one thread, but `interrupt`
    by any.
    """

    model: WorldModel
    goals: OrderedDict[int, Goal] = field(default_factory=OrderedDict)
    contexts: OrderedDict = field(default_factory=OrderedDict)
    ids: count = field(default_factory=lambda: count(1))
    interrupted: set[int] = field(default_factory=set)
    ahead: tuple[int, Seen] | None = None  # by `look`, with its stamp
    novelty: float = math.nan  # of the last live picture, foreign above 1; NaN: not known

    @classmethod
    def load(
        cls, *, model: str, weights_dir: str, device: str, threads: int, warm_up_mode: str = ''
    ) -> ModelSession:
        """Load a model by name or path; warm up a scoring mode when one is given."""
        if threads:
            torch.set_num_threads(threads)
        if warm_up_mode:
            checked_mode(warm_up_mode)
        with device_faults():
            session = cls(load_world_model(model, weights_dir=weights_dir or None, device=device))
        if warm_up_mode:
            session.warm_up(warm_up_mode)
        return session

    @device_faults()
    def warm_up(self, mode: str) -> None:
        """Make ready now what the first plan in `mode` would wait for; compiling takes a minute."""
        side = self.model.spec.img_size
        black = self._pixels(np.zeros((side, side, 3), np.uint8))
        context = self.model.encode(black, torch.zeros(1, self.model.spec.proprio_dim))
        scorer = LatentCost(self.model, context, context, L2, mode)
        horizon = self.model.spec.context_window + 1  # the window fills, then slides
        for candidates in (1, 2):
            actions = torch.zeros(candidates, horizon, scorer.action_dim)
            scorer(actions)
            scorer.gradient(actions)

    @property
    def reached_distance(self) -> float:
        """Latent distance calibrated as `reached`, NaN when the model does not know one."""
        reached = self.model.spec.reached_distance
        return math.nan if reached is None else reached

    def summary(self) -> str:
        """One line about the loaded model."""
        spec = self.model.spec
        parameters = sum(p.numel() for p in self.model.parameters())
        return (
            f'{spec.name}: {spec.family}, {parameters / 1e6:.1f} M parameters, '
            f'{spec.img_size} px, {spec.fps} steps/s'
        )

    @device_faults()
    @torch.inference_mode()
    def prepare_goals(
        self,
        pictures: list[np.ndarray],
        live: np.ndarray | None,
        states: Sequence[np.ndarray] | None = None,
    ) -> tuple[list[int], list[float]]:
        """Encode goal pictures (H, W, 3) uint8; L2 distance of the live picture to each, or NaN.

        states: what is measured (P,) at each picture, where that is known; costs then count it by
        the objective's alpha, if the model hears it.

        Raises a Fault for a picture that shows nothing, or nothing that the model knows, or has not
        the aspect of the live one.
        """
        watch = PictureWatch(pictures)
        if live is not None:
            watch.check_aspect(live.shape)
        seen = [self._see(picture) for picture in pictures]
        for index, goal in enumerate(seen):
            self._check_familiar(goal.novelty, f'goal picture {index}')
        latents = [goal.latents for goal in seen]
        if states is not None:
            latents = [self._join(*known) for known in zip(latents, states, strict=True)]
        here = None if live is None else self._see(live).latents
        for earlier in self.goals.values():  # a picture each, of goals that have mostly ended
            earlier.watch.forget()
        ids = [next(self.ids) for _ in latents]
        self.goals.update(zip(ids, (Goal(known, watch) for known in latents), strict=True))
        while len(self.goals) > MAX_GOALS:
            self.goals.popitem(last=False)
        return ids, [
            math.nan if here is None else float(distance(here, goal, L2)) for goal in latents
        ]

    @torch.inference_mode()
    def look(self, stamp: int, read: Callable[[], np.ndarray]) -> None:
        """Encode the picture (H, W, 3) uint8 of this stamp [ns] while its state is on its way;
        what is wrong with it is left for `freeze` to say.
        """
        with contextlib.suppress(JepaWmError), device_faults():
            self.ahead = stamp, self._see(read())

    @device_faults()
    @torch.inference_mode()
    def freeze(
        self,
        picture: np.ndarray,
        state: np.ndarray,
        goal_id: int,
        objective: Objective = L2,
        mode: str = 'exact',
        stamp: int | None = None,
    ) -> Context:
        """Freeze a picture (H, W, 3) and state (P,), pose7 of an arm, as the context of one plan to
        a goal; distance and scores are those of `objective`, the scores computed in `mode`, the
        distance, which a goal is ended by, without what is measured. What `look` has made of the
        picture of this `stamp` is used.

        Raises a Fault for a picture that the arm must not be moved by, see goals/.
        """
        if goal_id not in self.goals:
            raise Fault(
                FaultCode.UNKNOWN_ID, f'goal {goal_id} is not known: prepare it (again) first'
            )
        goal = self.goals[goal_id]
        goal.watch.check(picture)
        known, ahead = self.ahead or (None, None)
        seen = ahead if ahead is not None and known == stamp else self._see(picture)
        self.novelty = seen.novelty
        self._check_familiar(seen.novelty, 'the live picture')
        if self.model.spec.action_dim == DIM:  # an arm, whose hand is seen to move
            goal.watch.check_motion(seen.pixels.numpy(), np.asarray(state)[POSITION])
        context = self._join(seen.latents, state)
        number = next(self.ids)
        cost = self.contexts[number] = LatentCost(
            self.model,
            context,
            goal.latents,
            objective,
            mode,
            interrupted=lambda: number in self.interrupted,
        )
        while len(self.contexts) > MAX_CONTEXTS:
            self.interrupted.discard(self.contexts.popitem(last=False)[0])
        proposed = None if cost.proposal is None else cost.proposal.float().cpu().numpy()
        visual = replace(objective, alpha=0.0)
        return Context(number, float(distance(context, goal.latents, visual)), proposed)

    def interrupt(self, context_id: int) -> bool:
        """Give up scoring from a context, now and later; False when it is not known."""
        known = context_id in self.contexts
        if known:
            self.interrupted.add(context_id)
        return known

    @device_faults()
    def score(
        self, context_id: int, actions: np.ndarray, want_gradient: bool, imagine: bool
    ) -> Score:
        """Costs of actions (N, H, A) in physical units from a frozen context."""
        scorer = self.contexts.get(context_id)
        if scorer is None:
            raise Fault(
                FaultCode.UNKNOWN_ID, f'context {context_id} is not known: freeze one first'
            )
        if actions.shape[-1] != scorer.action_dim:
            raise Fault(
                FaultCode.MODEL_OUTPUT_INVALID,
                f'actions have {actions.shape[-1]} numbers, '
                f'model {self.model.spec.name} takes {scorer.action_dim}',
            )
        begun = time.perf_counter()
        candidates = torch.from_numpy(actions.copy())
        gradient = np.empty(0, np.float32)
        if want_gradient:
            costs, slope = scorer.gradient(candidates)
            gradient = slope.float().cpu().numpy().ravel()
        else:
            costs = scorer(candidates)
        costs = costs.float().cpu().numpy()
        imagined = self._imagine(scorer, candidates[:1]) if imagine else None
        return Score(costs, gradient, time.perf_counter() - begun, imagined)

    def _pixels(self, picture: np.ndarray) -> torch.Tensor:
        return self.model.prepare_images(picture[None])

    def _join(self, seen: Latents, state: np.ndarray) -> Latents:
        return self.model.join(seen, torch.as_tensor(state, dtype=torch.float32)[None])

    def _see(self, picture: np.ndarray) -> Seen:
        pixels, known = self._pixels(picture), self.model.familiarity
        latents, features = self.model.encode_and_describe(pixels)
        return Seen(pixels, math.nan if known is None else float(known(features)), latents)

    def _check_familiar(self, novelty: float, what: str) -> None:
        if self.model.familiarity is not None and not novelty <= 1.0:
            raise Fault(
                FaultCode.UNFAMILIAR_VIEW,
                f'{what} is unlike those {self.model.spec.name} was trained on, {novelty:.1f} '
                'times the limit: is it of this camera, whole and upright?',
            )

    def _imagine(self, scorer, candidates: torch.Tensor) -> np.ndarray | None:
        """Filmstrip (h, w, 3) uint8 of a decoded rollout, of a long one of some of its frames from
        the first to the last; None without a decoder.
        """
        if self.model.decoder is None:
            return None
        rollout = scorer.unroll(candidates)
        count = len(rollout.visual)
        shown = torch.linspace(0, count - 1, min(count, MOST_SHOWN)).round().long()
        frames = self.model.decode(rollout[shown])
        return np.concatenate(list(frames.cpu().numpy()), axis=1)
