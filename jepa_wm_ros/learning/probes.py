# SPDX-License-Identifier: Apache-2.0
"""What frozen latents know: linear probes, and how latent distance follows the hand's distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.learning.windows import Recording

_RIDGE = 1e-6
_STILL = 0.005  # m, a cube that moved less than this did not move


@dataclass(frozen=True, slots=True)
class Probes:
    """Median errors [cm] of linear probes on held-out frames, and the geometry of the latents.

    correlation       of latent and hand distance (Pearson) over pairs of one episode
    reached_distance  latent distance (mean square) of frames whose hands are `reached_cm` apart
    """

    hand_xyz_cm: float
    cube_xy_cm: float | None  # None where nobody knows where the cube was
    correlation: float
    reached_distance: float
    effective_rank: float


def ridge(inputs: Tensor, targets: Tensor) -> Tensor:
    """Least-squares weights (D+1, P) of inputs (n, D) with an intercept, slightly regularised."""
    x = _with_one(inputs)
    gram = x.T @ x + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(gram, x.T @ targets.double())


def probe_error_cm(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Median distance [cm] between linear readings and positions [m] on held-out data."""
    weights = ridge(*train)
    error = _with_one(test[0]) @ weights - test[1].double()
    return 100 * float(error.norm(dim=-1).median())


def same_episode_pairs(recording: Recording) -> tuple[Tensor, Tensor]:
    """All pairs of frames (n,), (n,) of one episode between which the cube stood still; all of them
    where nobody knows where it was.
    """
    first, second = [], []
    for episode in recording.episode.unique():
        frames = torch.nonzero(recording.episode == episode).flatten()
        i, j = torch.triu_indices(len(frames), len(frames), offset=1)
        first.append(frames[i])
        second.append(frames[j])
    a, b = torch.cat(first), torch.cat(second)
    if 'cube' not in recording.extras:
        return a, b
    cube = recording.extras['cube'][:, :3]
    still = (cube[a] - cube[b]).norm(dim=-1) < _STILL
    return a[still], b[still]


def reached_distance(latent: Tensor, hand_cm: Tensor, low: float = 0.5, high: float = 1.0) -> float:
    """Median latent distance (n,) of pairs whose hands are `low` ... `high` cm apart (n,).

    With fewer than 30 such pairs it is read off a straight line through the origin fitted to
    latent distance over squared hand distance below 3 cm: close by, a mean square grows so.
    """
    near = (hand_cm > low) & (hand_cm < high)
    if int(near.sum()) >= 30:
        return float(latent[near].median())
    near = hand_cm < 3
    square = hand_cm[near].square()
    slope = (latent[near] * square).sum() / square.square().sum().clamp_min(1e-12)
    return float(slope * ((low + high) / 2) ** 2)


def probe(latents: Tensor, recording: Recording, val_latents: Tensor, val: Recording) -> Probes:
    """Probes fitted on latents (F, D) of a training recording, measured on validation frames."""
    z, z_val = latents.flatten(1).float(), val_latents.flatten(1).float()
    a, b = same_episode_pairs(val)
    latent = (z_val[a] - z_val[b]).square().mean(-1)
    hand_cm = 100 * (val.proprio[a, :3] - val.proprio[b, :3]).norm(dim=-1)
    return Probes(
        hand_xyz_cm=probe_error_cm((z, recording.proprio[:, :3]), (z_val, val.proprio[:, :3])),
        cube_xy_cm=_cube_error_cm(z, recording, z_val, val),
        correlation=float(torch.corrcoef(torch.stack([latent.sqrt(), hand_cm]))[0, 1]),
        reached_distance=reached_distance(latent, hand_cm),
        effective_rank=effective_rank(z_val),
    )


def _cube_error_cm(
    latents: Tensor, recording: Recording, val_latents: Tensor, val: Recording
) -> float | None:
    cubes = [each.extras.get('cube') for each in (recording, val)]
    if cubes[0] is None or cubes[1] is None:
        return None
    return probe_error_cm((latents, cubes[0][:, :2]), (val_latents, cubes[1][:, :2]))


def effective_rank(latents: Tensor) -> float:
    """exp(entropy of the covariance spectrum) of latents (n, D): 1 collapsed, D isotropic."""
    spectrum = torch.linalg.eigvalsh(torch.cov(latents.T.double())).clamp_min(0)
    share = spectrum / spectrum.sum()
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


def _with_one(inputs: Tensor) -> Tensor:
    x = inputs.double()
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
