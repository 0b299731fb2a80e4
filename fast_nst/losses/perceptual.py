"""Perceptual losses of Johnson et al. (2016), https://arxiv.org/abs/1603.08155, sec. 3.

Images are float RGB in [0, 1], shape (B, 3, H, W); normalization happens inside LossNetwork.

Departures from the paper:
- every term is divided by the energy of its target and averaged over layers, so one pair of weights serves every loss
  network; ``normalize=False`` gives the sums of the paper, as pytorch/examples computes them;
- the content term compares patterns: features with each channel's mean and contrast taken out, so that a painting may ask
  for any contrast (``pattern_distance``);
- the style term has a distance between colors beside the Gram matrices (``palette_distance``);
- total variation is a mean of squares;
- ``border`` leaves the features along the edge out. The loss network pads with zeros, which are in the features of the
  edge and so in the Gram matrices; a network that meets the painting's statistics with them misses them everywhere else
  (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fast_nst.functional.features import gram_matrix, structure_correlation, total_variation, without_edge
from fast_nst.losses.formula import Formula
from fast_nst.losses.terms import (
    Features,
    LossTerms,
    layers_of,
    palette,
    palette_distance,
    picture_shares,
    style_layer_weights,
)
from fast_nst.networks.loss_network import LossNetwork, check_image_size
from fast_nst.settings.train import LossSettings
from fast_nst.settings.validation import in_range


class PerceptualLoss(nn.Module):
    """Content, style and total variation of pictures under a loss network.

    Args:
        network: the loss network; it must return the content and style layers of ``settings``.
        style_images: the style picture (3, H, W), or several of them, one for each row of the network.
        settings: weights and layers.
        border: pixels along the edge of all pictures, 0 or more, whose features do not count; some always do.
    Raises:
        UserError: a style picture too small for the deepest layer; a negative ``border``.
    """

    shares: Tensor
    palettes: Tensor

    def __init__(
        self, network: LossNetwork, style_images: Iterable[Tensor], settings: LossSettings, border: int = 0
    ) -> None:
        super().__init__()
        in_range("border", border, 0, 10**6)
        self.network, self.settings, self.border = network, settings, border
        self.formula = Formula("normalized" if settings.normalize else "classical", settings.by_pattern)
        self.content_layers, self.style_layers = layers_of(network.name, settings)
        self.layer_weights = style_layer_weights(network.name, settings)
        images = list(style_images)
        targets = [self._style_targets(image) for image in images]
        self.styles = len(targets)
        self.register_buffer("shares", picture_shares(self.styles, settings), persistent=False)
        self.register_buffer("palettes", torch.cat([palette(image[None]) for image in images]), persistent=False)
        for layer in self.style_layers:
            self.register_buffer(f"gram_{layer}", torch.cat([target[layer] for target in targets]), persistent=False)

    def forward(
        self, pictures: Tensor, photos: Tensor, style: Tensor | None = None, style_share: Tensor | float = 1.0
    ) -> LossTerms:
        """Compare stylized ``pictures`` with ``photos``, both (B, 3, H, W) in [0, 1].

        Args:
            style: row of the style picture for each, shape (B,), integers; None is row 0.
            style_share: factor of the style weight, for all pictures or one for each, shape (B,).
        """
        return self.compare(pictures, self.content_targets(photos), style, style_share)

    @torch.no_grad()
    def content_targets(self, photos: Tensor) -> Features:
        """Features of ``photos`` at the content layers: what ``compare`` needs of them, to be computed once."""
        return self.features(photos, self.content_layers)

    def objective(self, photos: Tensor, style: Tensor | None = None) -> Callable[[Tensor], LossTerms]:
        """Pictures -> LossTerms against ``photos``, whose features are computed here, once."""
        targets = self.content_targets(photos)
        return lambda pictures: self.compare(pictures, targets, style)

    def compare(
        self, pictures: Tensor, targets: Features, style: Tensor | None = None, style_share: Tensor | float = 1.0
    ) -> LossTerms:
        """As ``forward``, with the content targets at hand."""
        features, weights = self.features(pictures), self.settings
        content = weights.content_weight * self.content_loss(features, targets).mean()
        style_loss = weights.style_weight * self.style_loss(features, style)
        if weights.normalize and weights.palette_weight:
            style_loss = style_loss + weights.palette_weight * self.palette_loss(pictures, style)
        own_share = self.shares[0] if style is None else self.shares[style]
        style_loss = (style_share * own_share * style_loss).mean()
        tv = weights.tv_weight * total_variation(pictures)
        return LossTerms.of(content, style_loss, tv, self.structure(features, targets))

    def content_loss(self, features: Features, targets: Features) -> Tensor:
        """Distance of features at the content layers, shape (B,).

        The mean over layers of ``pattern_distance`` or of |F - T|^2 / |T|^2; if not normalized, the sum of
        |F - T|^2 / (C H W) (Johnson et al. 2016, eq. 2).
        """
        distances = [self.formula.content_distance(features[layer], targets[layer]) for layer in self.content_layers]
        return self._combined(distances, [1.0] * len(distances))

    def style_loss(self, features: Features, style: Tensor | None = None) -> Tensor:
        """Mean squared difference of Gram matrices at the style layers (Johnson et al. 2016, eq. 4), shape (B,).

        Mean over layers of |G - T|^2 / |T|^2, weighted by the layers' weights; the sum of |G - T|^2 / C^2 if not normalized.
        """
        distances = []
        for layer in self.style_layers:
            gram = gram_matrix(features[layer])
            target = _rows(getattr(self, f"gram_{layer}"), style, len(gram))
            distances.append(self.formula.gram_distance(gram, target))
        return self._combined(distances, self.layer_weights)

    def palette_loss(self, pictures: Tensor, style: Tensor | None = None) -> Tensor:
        """``palette_distance`` of ``pictures``, without their border, to the style pictures, shape (B,)."""
        inner = without_border(pictures, self.border / min(pictures.shape[-2:]))
        return palette_distance(inner, _rows(self.palettes, style, len(pictures)))

    @torch.no_grad()
    def structure(self, features: Features, targets: Features) -> Tensor:
        """Structure r at the first content layer, shape (B,), in [-1, 1]."""
        layer = self.content_layers[0]
        return structure_correlation(features[layer], targets[layer])

    def features(self, images: Tensor, layers: Sequence[str] | None = None) -> Features:
        """The loss network's features of ``images`` at ``layers`` (default: all that count), without ``border``."""
        features = self.network(images, layers)
        if self.border == 0:
            return features
        share = self.border / min(images.shape[-2:])
        return {layer: without_border(value, share) for layer, value in features.items()}

    def _combined(self, distances: list[Tensor], weights: Sequence[float]) -> Tensor:
        total: Any = sum(weight * distance for weight, distance in zip(weights, distances, strict=True))
        return total / self.formula.divisor(weights)

    @torch.no_grad()
    def _style_targets(self, image: Tensor) -> Features:
        height, width = image.shape[-2:]
        check_image_size(self.network.name, self.style_layers, height, width, what="the style picture")
        features = self.features(image[None].to(self.network.mean.device), self.style_layers)
        return {layer: gram_matrix(features[layer]) for layer in self.style_layers}


def without_border(features: Tensor, share: float) -> Tensor:
    """``features`` (B, C, H, W) without ``share`` of their shorter side on each side; something always stays."""
    side = min(features.shape[-2:])
    return without_edge(features, min(round(share * side), (side - 1) // 2))


def _rows(targets: Tensor, style: Tensor | None, count: int) -> Tensor:
    """The target of each of ``count`` pictures, by its row ``style``; None is row 0."""
    return targets[:1].expand(count, *targets.shape[1:]) if style is None else targets[style]


def perceptual_loss(
    network_name: str, weights: str | None, style_images: Iterable[Tensor], settings: LossSettings, border: int = 0
) -> PerceptualLoss:
    """A PerceptualLoss with the loss network that ``settings`` needs; ``border`` as there."""
    content, style = layers_of(network_name, settings)
    network = LossNetwork(network_name, (*content, *style), weights, settings.pooling)
    return PerceptualLoss(network.to(memory_format=torch.channels_last), style_images, settings, border)
