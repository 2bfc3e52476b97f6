# SPDX-License-Identifier: Apache-2.0
"""What shapes the latents while the encoder learns, beside the prediction loss itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_KNOTS = 17
_LIMIT = 3.0


def sigreg(
    latents: Tensor, projections: int = 256, generator: torch.Generator | None = None
) -> Tensor:
    """Sketched isotropic Gaussian regularisation of LeJEPA (arXiv 2511.08544).

    Samples are projected on random unit directions; along each, the Epps-Pulley statistic
    compares their empirical characteristic function with that of N(0, 1). It is the weighted
    integral over |t| <= 3 of |phi_empirical(t) - exp(-t^2/2)|^2 with weight exp(-t^2/2), by the
    trapezoidal rule on 17 knots, times the number of samples, averaged over the directions.
    For samples of N(0, I) it stays near a constant of order one whatever their number; for a
    collapsed or stretched cloud it grows with the number of samples.

    Parameters
    ----------
    latents : samples (n, D)
    projections : random directions, drawn anew in each call
    generator : source of the directions

    """
    samples = latents.float()
    directions = torch.randn(
        samples.shape[-1], projections, generator=generator, device=samples.device
    )
    projected = samples @ functional.normalize(directions, dim=0)
    # The integrand is even in t: integrate over [0, limit] and double.
    knots = torch.linspace(0.0, _LIMIT, _KNOTS, device=samples.device)
    gaussian = torch.exp(-knots.square() / 2)
    angles = projected[..., None] * knots
    distance = (angles.cos().mean(0) - gaussian).square() + angles.sin().mean(0).square()
    statistic = 2 * torch.trapezoid(distance * gaussian, knots, dim=-1)
    return samples.shape[0] * statistic.mean()


class InverseDynamics(nn.Module):
    """Reads the action between two latents; its error (mean square) grounds latents in motion."""

    def __init__(self, latent_dim: int, action_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * latent_dim, hidden), nn.GELU(), nn.Linear(hidden, action_dim)
        )

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Loss of latents (B, T, D) and normalised actions (B, T-1, A) between them."""
        pairs = torch.cat([latents[:, :-1], latents[:, 1:]], dim=-1)
        return functional.mse_loss(self.net(pairs), actions)


class FeatureDecoder(nn.Module):
    """Reads the frozen features of a picture from its latent and the proprioception beside it.

    What an arm's own sensors do not tell of a picture is left for the latent to tell: what else is
    to be seen, whether it moves or not. Prediction alone asks for a thing only while it moves.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, features: Tensor, hidden: int = 256) -> None:
        """features: samples (n, F), for their mean and how they vary."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, features.shape[1])
        )
        self.register_buffer('mean', features.mean(0))
        self.register_buffer('scale', (features - features.mean(0)).square().mean().sqrt())

    def loss(self, latents: Tensor, proprio: Tensor, features: Tensor) -> Tensor:
        """Mean square error at latents (..., D) and normalised proprioception (..., P) of features
        (..., F), as a share of what they vary by.
        """
        told = self.net(torch.cat([latents, proprio], dim=-1))
        return functional.mse_loss(told, (features - self.mean) / self.scale)


class ProprioDecoder(nn.Linear):
    """Reads the proprioception linearly from a latent.

    Proprioception is a sensor that every arm has, so this asks for no label a real cell lacks.
    Linear on purpose: what is linear in the latent is what its L2 distance measures.
    """

    def loss(self, latents: Tensor, proprio: Tensor) -> Tensor:
        """Mean square error at latents (..., D) of normalised proprioception (..., P)."""
        return functional.mse_loss(self(latents), proprio)
