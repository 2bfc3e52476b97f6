# SPDX-License-Identifier: Apache-2.0
"""From one picture: what has been seen to follow what leads from here to a goal out of reach.

A planner that looks three steps ahead goes straight for where the hand stands in the goal picture,
and leaves the cube behind. A memory holds the latents of recorded frames as a graph: a frame leads
to the next of its episode by one step, and to frames of other episodes that look the same. The
shortest way from what is seen now to the goal is cut into sub-goals that a few steps reach, and the
flat planner goes from each to the next. The idea of a second, slower level is that of HWM (arXiv
2604.03208); a graph of what was seen needs no second model (as in arXiv 1906.05253).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError

NEIGHBOURS = 12  # frames that look most alike, of each
CROWD = 12  # more of them, since many are of the same episode, which leads forwards only
STEPS_BETWEEN = 4  # from one sub-goal to the next, about what a plan of three steps reaches
JUMP = 1.0  # steps that it costs to take one frame for another, and again where one step is between


class RecollectionError(JepaWmError):
    """A memory that cannot be read, or does not belong to the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Latents (F, D) float32 of recorded frames, in order, and the episode (F,) of each."""

    latents: np.ndarray
    episode: np.ndarray
    graph: csr_matrix
    step: float  # latent distance (mean square) that one recorded step leads, the median

    @classmethod
    def of(cls, latents: np.ndarray, episode: np.ndarray) -> Memory:
        """A memory with its graph."""
        latents = np.ascontiguousarray(latents.reshape(len(latents), -1), np.float32)
        follows = np.flatnonzero(episode[1:] == episode[:-1])
        moved = np.square(latents[follows + 1] - latents[follows]).mean(1)
        step = float(np.median(moved))
        near, away = nearest(latents, latents, min(len(latents), NEIGHBOURS + CROWD))
        rows = np.repeat(np.arange(len(latents)), near.shape[1])
        costs = jump_cost(away.ravel(), step)
        other = episode[rows] != episode[near.ravel()]
        graph = csr_matrix(
            (
                np.concatenate([np.ones(len(follows)), costs[other]]),
                (
                    np.concatenate([follows, rows[other]]),
                    np.concatenate([follows + 1, near.ravel()[other]]),
                ),
            ),
            shape=(len(latents),) * 2,
        )
        return cls(latents, episode, graph, step)

    @classmethod
    def read(cls, path: Path, size: int) -> Memory:
        """Read what `write` has written for a model whose latents have `size` numbers. Raises
        RecollectionError.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                latents, episode = file['latents'].astype(np.float32), file['episode']
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RecollectionError(f'{path} is no memory: write one with `memory`') from error
        if latents.ndim != 2 or latents.shape[1] != size or len(latents) != len(episode):
            raise RecollectionError(
                f'{path} holds latents {latents.shape}, the model makes {size} numbers of a '
                'picture: write a memory with this model'
            )
        return cls.of(latents, episode)

    def write(self, path: Path) -> None:
        """Keep the latents, in half precision; the graph is made anew where they are read."""
        np.savez_compressed(path, latents=self.latents.astype(np.float16), episode=self.episode)

    def way(self, now: np.ndarray, goal: np.ndarray) -> list[int]:
        """Frames on the shortest way from one latent (D,) to another, the nearest to `now` first.
        Raises a Fault where the goal is like nothing that was seen to be reached from here.
        """
        begins, near = (row[0] for row in nearest(now[None], self.latents, NEIGHBOURS))
        ends, far = (row[0] for row in nearest(goal[None], self.latents, NEIGHBOURS))
        costs, before = dijkstra(self.graph, indices=begins, return_predecessors=True)
        total = jump_cost(near, self.step)[:, None] + costs[:, ends] + jump_cost(far, self.step)
        first, last = np.unravel_index(np.argmin(total), total.shape)
        if not np.isfinite(total[first, last]):
            raise Fault(
                FaultCode.UNFAMILIAR_VIEW,
                'the memory knows no way from what is seen to the goal picture: record more, or '
                'give more pictures',
            )
        path = [int(ends[last])]
        while path[-1] != begins[first]:
            path.append(int(before[first, path[-1]]))
        return path[::-1]

    def between(self, now: np.ndarray, goal: np.ndarray) -> list[int]:
        """Frames that are sub-goals on the way, in order; none where the goal is near."""
        path = self.way(now, goal)
        return path[STEPS_BETWEEN::STEPS_BETWEEN]


def nearest(points: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of `others` (F, D) to each point (N, D), nearest first: their indices and
    mean square distances, (N, count) each.
    """
    squares = np.square(others).sum(1)
    found, away = [], []
    for part in np.array_split(points, max(1, len(points) // 512)):
        distance = squares + np.square(part).sum(1)[:, None] - 2 * part @ others.T
        picked = np.argpartition(distance, count - 1, axis=1)[:, :count]
        chosen = np.take_along_axis(distance, picked, 1)
        order = np.argsort(chosen, axis=1)
        found.append(np.take_along_axis(picked, order, 1))
        away.append(np.take_along_axis(chosen, order, 1).clip(0) / others.shape[1])
    return np.concatenate(found), np.concatenate(away)


def jump_cost(away: np.ndarray, step: float) -> np.ndarray:
    """What it costs, in steps, to take one frame for another that is so far `away`. However far, a
    step that was seen costs less: no way leads over what merely looks alike, say back in time.
    """
    return JUMP * (1.0 + np.square(away / step))
