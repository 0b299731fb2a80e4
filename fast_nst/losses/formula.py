"""Formulas of the objectives: the scale of a layer's distance, and the sum over layers.

For content features F of a layer (C channels, M pixels) and Gram matrices G (divided by C M) with the targets P and A:

normalized  |F - P|^2 / |P|^2 and |G - A|^2 / |A|^2, means over layers: one pair of weights serves every loss network
classical   |F - P|^2 / (C M) and |G - A|^2 / C^2, sums over layers: Johnson et al. (2016) and most tutorials
gatys       1/2 |F - P|^2 and 1/4 |G - A|^2, sums over layers: Gatys et al. (2016), eq. 1 and 4. There, 1 / (4 C^2 M^2)
            stands before Gram matrices that are plain sums; ours are divided by C M already, which is equal for pictures of
            one size and comparable for pictures of different sizes

Total variation is the mean of squares in all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fast_nst.losses.terms import mean_square, pattern_distance, squared_distance

FormulaName = Literal["normalized", "classical", "gatys"]


@dataclass(frozen=True)
class Formula:
    """One of the formulas; with ``by_pattern``, content is compared by ``pattern_distance`` in any of them."""

    name: FormulaName
    by_pattern: bool = False

    def content_distance(self, features: Tensor, target: Tensor) -> Tensor:
        """The distance of features (B, C, H, W) at a content layer to the photograph's, shape (B,)."""
        if self.by_pattern:
            return pattern_distance(features, target)
        distance = squared_distance(features, target, self.name == "normalized")
        return distance * features[0].numel() / 2 if self.name == "gatys" else distance

    def gram_distance(self, gram: Tensor, target: Tensor) -> Tensor:
        """The distance of Gram matrices (B, C, C), shape (B,)."""
        return self.style_distance(mean_square(gram - target), mean_square(target).clamp_min(1e-12), gram.shape[1])

    def style_distance(self, distance: Tensor, size: Tensor, channels: int) -> Tensor:
        """``distance`` of a statistic at a style layer, a mean of squares, in the scale of the formula.

        Args:
            size: the distance of the target to the statistic of features that are 0.
            channels: of the layer; Gram matrices have their square as number of entries.
        """
        if self.name == "gatys":
            return distance * channels**2 / 4
        return distance / size if self.name == "normalized" else distance

    def divisor(self, weights: Sequence[float]) -> float:
        """Divisor of a sum over layers with ``weights``: the sum of these if normalized, otherwise 1."""
        return sum(weights) if self.name == "normalized" else 1
