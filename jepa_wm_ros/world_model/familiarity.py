# SPDX-License-Identifier: Apache-2.0
"""How far a picture is from those a model was trained on: the distance of Mahalanobis in features.

Source: Lee et al., arXiv 1807.03888, section 2, with one class: the training pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

RIDGE = 1e-3  # of the mean variance, for features that hardly vary, or too few pictures
MARGIN = 1.25  # times the farthest held-out picture: beyond it a picture is foreign


class Familiarity(nn.Module):
    """Mean and whitening matrix of the features (F,) of training pictures, and a limit.

    Stored with a model, and filled from its file.
    """

    mean: Tensor
    whiten: Tensor
    limit: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(width))
        self.register_buffer('whiten', torch.zeros(width, width))
        self.register_buffer('limit', torch.zeros(()))

    @classmethod
    def of(cls, training: Tensor, held_out: Tensor) -> Familiarity:
        """The statistic of training features (n, F); the limit comes from held-out ones (m, F)."""
        learnt = cls(training.shape[1])
        spread = torch.cov(training.T.double())
        ridge = RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=spread.dtype)
        learnt.mean.copy_(training.mean(dim=0))
        learnt.whiten.copy_(torch.linalg.cholesky(torch.linalg.inv(spread + ridge)))
        learnt.limit.fill_(1.0)
        learnt.limit.copy_(MARGIN * learnt(held_out).max())
        return learnt

    def forward(self, features: Tensor) -> Tensor:
        """Distances (B,) of features (B, F), in units of the limit: above 1 is foreign."""
        apart = (features.float() - self.mean.float()) @ self.whiten.float()
        return apart.square().mean(dim=-1).sqrt() / self.limit.float()
