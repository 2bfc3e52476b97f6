# SPDX-License-Identifier: Apache-2.0
"""What frozen latents know: linear probes, and how latent distance follows the hand's distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jepa_wm_ros.learning.latents import encode_pictures
from jepa_wm_ros.learning.windows import Recording, spread_over
from jepa_wm_ros.world_model import WorldModel

LOOKED_AT = 20_000  # frames of each recording, in main memory
ENTRIES = 1024  # of a latent that linear probes look at
_BATCH, _NUMBERS_AT_ONCE = 256, 2**22
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


def measure(model: WorldModel, recording: Recording, val: Recording) -> Probes:
    """Probes of a model's latents on each recording, on some of its episodes where there are many.

    Of latents with more than `ENTRIES` numbers so many are drawn, the same in all frames; distances
    are those of whole latents.
    """
    recording, val = (spread_over(each, LOOKED_AT) for each in (recording, val))
    z, z_val = (_entries(model, each) for each in (recording, val))
    return probe(z, recording, z_val, val, lambda a, b: _apart(model, val, a, b))


def probe(
    latents: Tensor,
    recording: Recording,
    val_latents: Tensor,
    val: Recording,
    apart: Callable[[Tensor, Tensor], Tensor],
) -> Probes:
    """Probes fitted on latents (F, D) of a training recording, measured on validation frames.

    apart(a, b) are the mean square distances (n,) of the latents of validation frames a, b (n,).
    """
    a, b = same_episode_pairs(val)
    latent = apart(a, b)
    hand_cm = 100 * (val.proprio[a, :3] - val.proprio[b, :3]).norm(dim=-1)
    positions = recording.proprio[:, :3], val.proprio[:, :3]
    return Probes(
        hand_xyz_cm=probe_error_cm((latents, positions[0]), (val_latents, positions[1])),
        cube_xy_cm=_cube_error_cm(latents, recording, val_latents, val),
        correlation=float(torch.corrcoef(torch.stack([latent.sqrt(), hand_cm]))[0, 1]),
        reached_distance=reached_distance(latent, hand_cm),
        effective_rank=effective_rank(val_latents),
    )


def _entries(model: WorldModel, recording: Recording) -> Tensor:
    """Latents (F, D) of all frames, of each `ENTRIES` numbers at most."""
    size = model.spec.grid**2 * model.spec.encoder.width
    drawn = torch.randperm(size, generator=torch.Generator().manual_seed(0))[:ENTRIES].sort().values
    parts = recording.frames.split(_BATCH)
    return torch.cat([encode_pictures(model, part).flatten(1)[:, drawn] for part in parts])


def _apart(model: WorldModel, recording: Recording, a: Tensor, b: Tensor) -> Tensor:
    """Mean square distances (n,) of whole latents of frames a, b (n,), in the order of their
    episodes, of which one at a time is in memory.
    """
    found = []
    sizes = torch.unique_consecutive(recording.episode[a], return_counts=True)[1].tolist()
    for i, j in zip(a.split(sizes), b.split(sizes), strict=True):
        begin, end = int(i.min()), int(j.max()) + 1
        z = encode_pictures(model, recording.frames[begin:end]).flatten(1)
        at_once = max(1, _NUMBERS_AT_ONCE // z.shape[1])
        for p, q in zip((i - begin).split(at_once), (j - begin).split(at_once), strict=True):
            found.append((z[p] - z[q]).square().mean(-1))
    return torch.cat(found)


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
