"""Statistics of a layer's features that stand for a style, and the distances between them, one class each.

``gram``         Gram matrices (Gatys et al. 2016, eq. 3 to 5)
``moments``      means and standard deviations of channels (Li et al. 2017, https://arxiv.org/abs/1701.01036, sec. 4.2)
``wasserstein``  means and covariances of channels, by the Wasserstein-2 distance of the normal distributions that have them

Each has ``measure`` (features -> statistic), ``target`` (the same, prepared once for ``distance``), ``distance`` of a
statistic to a target, and ``size``, the distance of a target to that of features that are 0, which normalized losses divide
by.

Departures: distances of moments and of Wasserstein-2 are means over channels, so that layers of different widths compare.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fast_nst.functional.features import (
    channel_covariance,
    channel_deviations,
    channel_means,
    gram_matrix,
    matrix_root,
    wasserstein_distance,
)

Statistic = tuple[Tensor, ...]


class _Squared:
    """A statistic whose distance is the mean squared difference, summed over its parts, shape (B,)."""

    def measure(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        raise NotImplementedError

    def target(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        return self.measure(features, weights)

    def distance(self, found: Statistic, target: Statistic) -> Tensor:
        return torch.stack([(a - b).square().flatten(1).mean(1) for a, b in zip(found, target, strict=True)]).sum(0)

    def size(self, target: Statistic) -> Tensor:
        return torch.stack([part.square().flatten(1).mean(1) for part in target]).sum(0)


class Gram(_Squared):
    """Gram matrices, shape (B, C, C)."""

    def measure(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        return (gram_matrix(features, weights),)


class Moments(_Squared):
    """Means and standard deviations of channels, shape (B, C) each."""

    def measure(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        return channel_means(features, weights), channel_deviations(features, weights)


class Wasserstein:
    """Means and covariances of channels; the distance is Wasserstein-2, squared, over the number of channels."""

    def measure(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        return channel_means(features, weights), channel_covariance(features, weights)

    def target(self, features: Tensor, weights: Tensor | None = None) -> Statistic:
        mean, covariance = self.measure(features, weights)
        return mean, matrix_root(covariance)

    def distance(self, found: Statistic, target: Statistic) -> Tensor:
        return wasserstein_distance(*found, *target) / found[0].shape[1]

    def size(self, target: Statistic) -> Tensor:
        mean, root = target
        return (mean.square().sum(1) + root.square().sum((1, 2))) / mean.shape[1]


STATISTICS: dict[str, Gram | Moments | Wasserstein] = {"gram": Gram(), "moments": Moments(), "wasserstein": Wasserstein()}
