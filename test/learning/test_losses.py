# SPDX-License-Identifier: Apache-2.0
"""The losses that shape a latent: small for what they want, large for what they are against."""

import math

import pytest
import torch

from jepa_wm_ros.learning.losses import InverseDynamics, ProprioDecoder, sigreg


def gaussian(samples: int, dim: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, dim, generator=torch.Generator().manual_seed(seed))


def directions(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def statistic_of_gaussian() -> float:
    """Expected n * integral over |t| <= 3 of |phi_n - phi|^2 w: variance 1 - exp(-t^2) over n."""
    t = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    return float(torch.trapezoid((1 - torch.exp(-t * t)) * torch.exp(-t * t / 2), t))


def test_sigreg_of_gaussian_samples_has_the_value_theory_gives_whatever_their_number():
    for samples in (64, 512):
        measured = (
            sum(
                sigreg(gaussian(samples, seed=s), generator=directions(s)).item() for s in range(40)
            )
            / 40
        )
        assert measured == pytest.approx(statistic_of_gaussian(), rel=0.12)


def test_sigreg_of_a_collapsed_cloud_has_the_value_of_one_point():
    """All samples at 0: phi_n = 1, so n * integral (1 - exp(-t^2/2))^2 w dt."""
    t = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    gauss = torch.exp(-t * t / 2)
    expected = 100 * float(torch.trapezoid((1 - gauss).square() * gauss, t))
    assert sigreg(torch.zeros(100, 8)).item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    'spoil',
    [
        lambda z: 0.1 * z,  # shrunk
        lambda z: 3.0 * z,  # blown up
        lambda z: z[:, :1].expand_as(z),  # one direction only
        lambda z: z + 2.0,  # off centre
        lambda z: z.sign(),  # two points per dimension
    ],
)
def test_sigreg_is_larger_for_anything_but_an_isotropic_gaussian(spoil):
    z = gaussian(512, dim=4)
    good = sigreg(z, generator=directions()).item()
    assert sigreg(spoil(z), generator=directions()).item() > 2 * good


def test_sigreg_spreads_a_collapsed_cloud():
    z = (0.05 * gaussian(256, dim=4)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for step in range(120):
        optimizer.zero_grad()
        sigreg(z, generator=directions(step)).backward()
        optimizer.step()
    assert z.std(0).min().item() > 0.8
    assert math.isclose(z.mean().item(), 0.0, abs_tol=0.2)


def test_inverse_dynamics_learns_the_action_between_two_latents():
    torch.manual_seed(0)
    z, map_back = gaussian(600).reshape(100, 6, 16), torch.randn(16, 3) / 4
    actions = (z[:, 1:] - z[:, :-1]) @ map_back
    head = InverseDynamics(16, 3, hidden=32)
    before = head(z, actions).item()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        loss = head(z, actions)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * before


def test_the_proprio_decoder_is_linear_so_its_best_error_is_least_squares():
    torch.manual_seed(0)
    z, target = gaussian(200, dim=8), gaussian(200, dim=2, seed=1)
    best = torch.linalg.lstsq(torch.cat([z, torch.ones(200, 1)], 1), target).solution
    decoder = ProprioDecoder(8, 2)
    with torch.no_grad():
        decoder.weight.copy_(best[:8].T)
        decoder.bias.copy_(best[8])
    residual = (torch.cat([z, torch.ones(200, 1)], 1) @ best - target).square().mean()
    assert decoder.loss(z, target).item() == pytest.approx(residual.item(), rel=1e-4)
