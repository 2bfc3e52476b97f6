# SPDX-License-Identifier: Apache-2.0
"""Probes read what is linear in a latent, and the calibrated distance is that of near hands."""

from types import SimpleNamespace

import pytest
import torch

from jepa_wm_ros.learning import probes
from jepa_wm_ros.learning.probes import (
    effective_rank,
    measure,
    probe,
    probe_error_cm,
    reached_distance,
    same_episode_pairs,
)
from jepa_wm_ros.learning.windows import Recording, spread_over


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def recording(episodes: int, seed: int) -> Recording:
    count = episodes * 10
    poses = 0.1 * normal(count, 7, seed=seed)
    return Recording(
        torch.zeros(count, 2, 2, 3, dtype=torch.uint8),
        poses,
        torch.zeros(count, 7),
        {'cube': 0.1 * normal(episodes, 7, seed=seed + 1).repeat_interleave(10, 0)},
        torch.arange(episodes).repeat_interleave(10),
        4.0,
    )


def test_a_probe_finds_what_is_linear_and_reports_the_noise_it_cannot():
    mix = normal(3, 16)
    hand = 0.1 * normal(2000, 3, seed=1)
    latents = hand @ mix
    assert probe_error_cm((latents[:1000], hand[:1000]), (latents[1000:], hand[1000:])) < 0.05
    nothing = normal(2000, 16, seed=2)
    error = probe_error_cm((nothing[:1000], hand[:1000]), (nothing[1000:], hand[1000:]))
    assert error == pytest.approx(100 * hand.norm(dim=-1).median().item(), rel=0.1)


def test_reached_distance_is_the_median_of_near_pairs_and_falls_back_to_a_fit():
    hand_cm = torch.linspace(0.0, 10.0, 2001)
    latent = 0.02 * hand_cm.square()
    assert reached_distance(latent, hand_cm) == pytest.approx(0.02 * 0.75**2, rel=0.02)
    few = (hand_cm < 0.4) | (hand_cm > 1.1)
    assert reached_distance(latent[few], hand_cm[few]) == pytest.approx(0.02 * 0.75**2, rel=0.02)


def test_pairs_come_from_one_episode_and_from_a_cube_at_rest():
    data = recording(3, seed=0)
    data.extras['cube'][15:20] += 0.05
    a, b = same_episode_pairs(data)
    assert torch.equal(data.episode[a], data.episode[b])
    assert len(a) == 45 + 2 * 10 + 45


def test_effective_rank_counts_the_directions_in_use():
    assert effective_rank(normal(4000, 8)) == pytest.approx(8, rel=0.05)
    assert effective_rank(normal(4000, 1) @ normal(1, 8, seed=1)) == pytest.approx(1, abs=0.01)


def test_probing_a_latent_that_is_the_hand_gives_a_perfect_score():
    train, val = recording(20, seed=0), recording(8, seed=5)
    latents = [
        torch.cat([r.proprio[:, :3], r.extras['cube'][:, :2]], 1)[:, None] for r in (train, val)
    ]
    z, z_val = (each.flatten(1) for each in latents)
    measured = probe(z, train, z_val, val, lambda a, b: (z_val[a] - z_val[b]).square().mean(-1))
    assert measured.hand_xyz_cm < 0.5 and measured.cube_xy_cm < 0.5
    assert measured.correlation > 0.99


def test_a_published_grid_is_measured_by_some_of_its_numbers_and_whole_distances(monkeypatch):
    """16 x 16 tokens of 384 numbers: a square matrix of them would take 77 GB."""
    train, val = recording(20, seed=0), recording(8, seed=5)
    mix = normal(3, 16 * 16 * 384, seed=9)

    def encode(_model, frames: torch.Tensor) -> torch.Tensor:
        return frames.reshape(len(frames), -1)[:, :3].float() / 1000 @ mix

    def seen(data: Recording) -> Recording:  # the picture tells where the hand is [mm]
        frames = (1000 * data.proprio[:, :3]).reshape(-1, 1, 1, 3)
        return Recording(frames, data.proprio, data.actions, {}, data.episode, data.fps)

    monkeypatch.setattr(probes, 'encode_pictures', encode)
    model = SimpleNamespace(spec=SimpleNamespace(grid=16, encoder=SimpleNamespace(width=384)))
    train, val = seen(train), seen(val)
    measured = measure(model, train, val)
    assert measured.hand_xyz_cm < 0.5 and measured.cube_xy_cm is None
    assert measured.effective_rank < 4
    z = encode(model, val.frames)
    a, b = same_episode_pairs(val)
    hand_cm = 100 * (val.proprio[a, :3] - val.proprio[b, :3]).norm(dim=-1)
    whole = torch.stack([(z[i] - z[j]).square().mean() for i, j in zip(a, b, strict=True)])
    assert measured.reached_distance == pytest.approx(reached_distance(whole, hand_cm), rel=1e-4)


def test_of_a_large_set_some_episodes_are_measured():
    data = recording(50, seed=0)
    part = spread_over(data, 100)
    assert len(part.episode) == 100 and part.episode[-1] == 9
    first, last = part.proprio[:10], part.proprio[-10:]
    assert torch.equal(first, data.proprio[:10]) and torch.equal(last, data.proprio[-10:])
    assert spread_over(data, 500) is data
