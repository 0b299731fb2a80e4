"""Terms, layers and weights that the objectives of training and of per-image optimization share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fast_nst.errors import UserError
from fast_nst.functional.features import at_least_float32
from fast_nst.networks.loss_network import architecture_of
from fast_nst.settings.train import LossSettings

Features = dict[str, Tensor]

PATTERN_FLOOR = 0.01  # of the mean variance, added to every channel's
LARGEST_WEIGHT = 4.0  # of a channel, in units of its deviation over its mean
DIRECTIONS, QUANTILES = 15, 512  # of a palette


class LossTerms(NamedTuple):
    """The weighted terms of the objective, their sum, and structure r at the first content layer (a measure, not a term).

    The style term holds Gram matrices and palette. Structure r is one number for each picture, shape (B,).
    """

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    structure: Tensor

    @classmethod
    def of(cls, content: Tensor, style: Tensor, tv: Tensor, structure: Tensor) -> LossTerms:
        """These terms and their sum."""
        return cls(content + style + tv, content, style, tv, structure)


def layers_of(network_name: str, settings: LossSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The content and style layers of ``settings``, or the loss network's own choice."""
    architecture = architecture_of(network_name)
    usual = architecture.pattern_layers if settings.by_pattern else ()
    content = tuple(settings.content_layers) or usual or architecture.content_layers
    return content, tuple(settings.style_layers) or architecture.style_layers


def style_layer_weights(network_name: str, settings: LossSettings) -> list[float]:
    """A weight for each style layer: those of ``settings``, the loss network's own choice, or 1 in the classical formula.

    Raises:
        UserError: another number of weights than of layers.
    """
    layers, own = layers_of(network_name, settings)[1], architecture_of(network_name).style_weights
    if settings.style_layer_weights:
        if len(settings.style_layer_weights) != len(layers):
            given = len(settings.style_layer_weights)
            raise UserError(f"style_layer_weights needs {len(layers)} weights ({', '.join(layers)}), got {given}")
        return list(settings.style_layer_weights)
    chosen = bool(settings.style_layers) or not settings.normalize or not own
    return [1.0] * len(layers) if chosen else list(own)


def picture_shares(styles: int, settings: LossSettings) -> Tensor:
    """The factor of the style weight for each of ``styles`` style pictures, those of ``settings`` or 1, shape (styles,).

    Raises:
        UserError: another number of factors than of pictures.
    """
    if len(settings.style_shares) not in (0, styles):
        raise UserError(f"style_shares needs a factor for each of {styles} style pictures, got {len(settings.style_shares)}")
    return torch.tensor(settings.style_shares or [1.0] * styles, dtype=torch.float32)


def squared_distance(value: Tensor, target: Tensor, normalize: bool = True) -> Tensor:
    """Mean squared difference, over all dimensions but the first, shape (B,); as a share of the target's mean square if
    ``normalize``.

    |F - T|^2 / |T|^2, or |F - T|^2 / (C H W): Johnson et al. (2016), eq. 2 for features and eq. 4 for Gram matrices.
    """
    value, target = at_least_float32(value), at_least_float32(target)
    distance = mean_square(value - target)
    return distance / mean_square(target).clamp_min(1e-12) if normalize else distance


def pattern_distance(features: Tensor, target: Tensor) -> Tensor:
    """Distance of the spatial patterns of ``features`` and ``target``, independent of their contrast, shape (B,).

    sum_c w_c |n(F_c) - n(T_c)|^2 / sum_c w_c, n(X_c) = (X_c - mean) / sqrt(var(X_c) + e), w_c = deviation(T_c) / mean(T_c)

    Means, variances and |.|^2 (a mean square) are over pixels; e is 0.01 of the mean variance of T's channels, so that a
    channel that hardly varies counts little. It is near 2 (1 - r), r Pearson's correlation: 0 for equal patterns, 2 for
    unrelated ones. The squared distance also grows with the contrast that a style asks for, and then works against the
    style term.

    Args:
        features, target: rectified activations, shape (B, C, H, W).
    """
    values, wanted = at_least_float32(features).flatten(2), at_least_float32(target).flatten(2)
    means = wanted.mean(2)
    variances = wanted.var(2, correction=0)
    floor = PATTERN_FLOOR * variances.mean(1, keepdim=True) + 1e-12
    difference = _normalized(values, values.var(2, correction=0), floor) - _normalized(wanted, variances, floor)
    weights = (variances.sqrt() / (means + 1e-3 * means.mean(1, keepdim=True) + 1e-6)).clamp_max(LARGEST_WEIGHT)
    return (weights * difference.square().mean(2)).sum(1) / weights.sum(1).clamp_min(1e-12)


def _normalized(values: Tensor, variances: Tensor, floor: Tensor) -> Tensor:
    """Channels of ``values`` (B, C, N) with mean 0 and variance v / (v + floor)."""
    return (values - values.mean(2, keepdim=True)) * (variances + floor).rsqrt()[..., None]


def palette(pictures: Tensor) -> Tensor:
    """Quantiles of a picture's colors along fixed directions of RGB space, shape (B, DIRECTIONS, QUANTILES).

    Colors are means of 4 x 4 pixels, so that grain does not count.

    Args:
        pictures: shape (B, 3, H, W).
    """
    block = min(4, *pictures.shape[-2:])
    colors = F.avg_pool2d(at_least_float32(pictures), block).flatten(2)  # (B, 3, N)
    projected = _directions().to(colors) @ colors
    return F.interpolate(projected.sort(2).values, QUANTILES, mode="linear", align_corners=False)


def palette_distance(pictures: Tensor, target: Tensor) -> Tensor:
    """Sliced Wasserstein-2 distance, squared, between the colors of ``pictures`` and a painting's, shape (B,).

    The mean over directions of the squared difference of quantiles, divided by the variance of the target's (Rabin et al.
    2011, "Wasserstein barycenter and its application to texture mixing").

    Args:
        pictures: shape (B, 3, H, W).
        target: ``palette`` of the painting for each picture, shape (B, DIRECTIONS, QUANTILES).
    """
    spread = target.var((1, 2), correction=0).clamp_min(1e-3)
    return (palette(pictures) - target).square().mean((1, 2)) / spread


def _directions() -> Tensor:
    """The axes of RGB space and directions at random between them, the same ones always, shape (DIRECTIONS, 3)."""
    random = torch.randn(DIRECTIONS - 3, 3, generator=torch.Generator().manual_seed(1))
    return torch.cat([torch.eye(3), F.normalize(random, dim=1)])


def mean_square(values: Tensor) -> Tensor:
    """Over all dimensions but the first, shape (B,): as a norm, which reads and derives in one pass each."""
    dimensions = tuple(range(1, values.dim()))
    return torch.linalg.vector_norm(values, dim=dimensions).square() / values[0].numel()
