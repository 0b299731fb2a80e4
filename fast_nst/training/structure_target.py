"""Structure target: a factor of each style weight, adapted until structure r reaches a given value.

The style weight of each style is multiplied by a factor m, a Lagrange multiplier of the constraint "structure r = target",
that follows r by integral control: after every step log m grows where r is above the target, and falls where it is below.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAIN = 0.1  # of log m, for each picture and unit of r
LARGEST = 16.0  # of m; the smallest is its inverse


class StructureTarget(nn.Module):
    """Factors of the style weight, one for each style, that bring structure r to a target.

    log m[s] <- log m[s] + 0.1 (r - target) for each picture of style s, within log(1/16) and log(16)

    Args:
        styles: number of styles.
        target: structure r to reach, in [0, 1]; None leaves every factor at 1.
    """

    log_factors: Tensor

    def __init__(self, styles: int, target: float | None) -> None:
        super().__init__()
        self.target = target
        self.register_buffer("log_factors", torch.zeros(styles))

    def factors(self, style: Tensor) -> Tensor:
        """The factor of each style number in ``style`` (B,), shape (B,)."""
        return self.log_factors[style].exp()

    @torch.no_grad()
    def update(self, style: Tensor, structure: Tensor) -> None:
        """Follow the structure r, shape (B,), of pictures of the styles ``style`` (B,)."""
        if self.target is not None:
            self.log_factors.index_add_(0, style, GAIN * (structure.float() - self.target))
            self.log_factors.clamp_(-math.log(LARGEST), math.log(LARGEST))
