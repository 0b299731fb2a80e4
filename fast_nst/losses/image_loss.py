"""The objective of per-image optimization: one picture against a photograph and any number of style pictures.

Images are float RGB in [0, 1], shape (1, 3, H, W). Features and statistics of the photograph and the style pictures are
computed once, at construction; a call runs the loss network on the picture and compares.

There is no palette term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fast_nst.functional.features import structure_correlation, total_variation
from fast_nst.losses.formula import Formula, FormulaName
from fast_nst.losses.style_statistics import STATISTICS, Statistic
from fast_nst.losses.terms import Features, LossTerms, layers_of, style_layer_weights
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.settings.train import LossSettings


@dataclass
class Style:
    """A style picture (1, 3, h, w), its weight, and a mask (H, W) in [0, 1] of the region that it styles (none: all)."""

    picture: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


class ImageLoss(nn.Module):
    """Content, style and total variation terms of one picture.

    Args:
        network: the loss network; it must return the content and style layers of ``settings``.
        photo: the photograph, shape (1, 3, H, W), or None where ``settings.content_weight`` is 0.
        styles: the style pictures; each has the share of its weight in the sum of weights.
        settings: weights and layers; ``style_shares`` and ``palette_weight`` are not used.
        formula: normalized, classical or gatys, see ``formula``.
        statistic: gram, moments or wasserstein.
        bfloat16: run the loss network in bfloat16; distances stay in float32.
        low_memory: keep the activations between the network's ``segments`` alone and compute the others again in the
            backward pass.
    """

    def __init__(
        self,
        network: LossNetwork,
        photo: Tensor | None,
        styles: Sequence[Style],
        settings: LossSettings,
        formula: FormulaName = "normalized",
        statistic: str = "gram",
        bfloat16: bool = False,
        low_memory: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.settings, self.formula = network, settings, Formula(formula, settings.by_pattern)
        self.in_bfloat16, self.low_memory = bfloat16, low_memory
        self.statistic = STATISTICS[statistic]
        content, style = layers_of(network.name, settings)
        self.content_layers = content if settings.content_weight else ()
        self.style_layers = style if settings.style_weight else ()
        self.content_shares, self.style_shares = self._layer_shares()
        self.segments = segments(network, (*self.content_layers, *self.style_layers))
        self.photo_features: Features = {}
        if photo is not None and self.content_layers:
            self.photo_features = self._features(photo, self.content_layers)
        self.shares = [style.weight / sum(one.weight for one in styles) for style in styles]
        self.targets = [self._style_targets(style.picture) for style in styles]
        self.masks = [style.mask for style in styles]
        self.pixel_weights: dict[tuple[int, str], Tensor] = {}

    def _layer_shares(self) -> tuple[dict[str, float], dict[str, float]]:
        """The factor of each content and of each style layer; if normalized, those of a term add up to 1."""
        style = style_layer_weights(self.network.name, self.settings) if self.style_layers else []
        content = [1.0] * len(self.content_layers)
        content_total, style_total = self.formula.divisor(content), self.formula.divisor(style)
        return (
            {layer: weight / content_total for layer, weight in zip(self.content_layers, content, strict=True)},
            {layer: weight / style_total for layer, weight in zip(self.style_layers, style, strict=True)},
        )

    def forward(self, picture: Tensor) -> LossTerms:
        """The weighted terms of ``picture`` (1, 3, H, W) in [0, 1]; structure r is nan here, see ``structure``."""
        content = style = picture.new_zeros(())
        x = self.network.normalized(picture.contiguous(memory_format=torch.channels_last))
        for names in self.segments:
            recomputed = self.low_memory and torch.is_grad_enabled()
            run = partial(checkpoint, self._segment, use_reentrant=False) if recomputed else self._segment
            x, more_content, more_style = run(x, names)
            content, style = content + more_content, style + more_style
        content, style = self.settings.content_weight * content, self.settings.style_weight * style
        tv = self.settings.tv_weight * total_variation(picture)
        return LossTerms.of(content, style, tv, structure=torch.full_like(tv, math.nan))

    def _segment(self, x: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Run the modules ``names`` of the network on ``x``: the output, and their layers' content and style terms."""
        content = style = torch.zeros((), device=x.device)
        for name in names:
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.in_bfloat16):
                x = self.network.chain[name](x)
            if name in self.content_shares:
                content = content + self.content_shares[name] * self._content_distance(x, name)
            if name in self.style_shares:
                style = style + self.style_shares[name] * self._style_distances(x, name)
        return x, content, style

    @torch.no_grad()
    def structure(self, picture: Tensor) -> float:
        """Structure r of ``picture``, in [-1, 1], the mean over the content layers; nan without content layers."""
        features = self._features(picture, self.content_layers) if self.content_layers else {}
        pairs = [(features[layer], self.photo_features[layer]) for layer in features]
        return sum(structure_correlation(*pair).item() for pair in pairs) / len(pairs) if pairs else float("nan")

    def _content_distance(self, features: Tensor, layer: str) -> Tensor:
        return self.formula.content_distance(features, self.photo_features[layer]).mean()

    def _style_distances(self, features: Tensor, layer: str) -> Tensor:
        """The distances at one layer to every style picture, weighted by the pictures' shares."""
        total = torch.zeros((), device=features.device)
        everywhere = self.statistic.measure(features) if None in self.masks else ()
        for index, share in enumerate(self.shares):
            pixels = self._pixel_weights(index, layer, features)
            found = everywhere if pixels is None else self.statistic.measure(features, pixels)
            target, size = self.targets[index][layer]
            distance = self.statistic.distance(found, target).mean()
            total = total + share * self.formula.style_distance(distance, size, features.shape[1])
        return total

    def _pixel_weights(self, index: int, layer: str, features: Tensor) -> Tensor | None:
        """The weight of each pixel of ``layer`` for style ``index``, shape (H, W), summing to 1; computed once."""
        mask = self.masks[index]
        if mask is None:
            return None
        if (index, layer) not in self.pixel_weights:
            small = F.adaptive_avg_pool2d(mask[None, None], (features.shape[-2], features.shape[-1]))[0, 0]
            self.pixel_weights[index, layer] = small / small.sum().clamp_min(1e-12)
        return self.pixel_weights[index, layer]

    @torch.no_grad()
    def _style_targets(self, picture: Tensor) -> dict[str, tuple[Statistic, Tensor]]:
        """Layer -> target, and its size, by which normalized distances are divided."""
        features = self._features(picture, self.style_layers) if self.style_layers else {}
        targets = {layer: self.statistic.target(value) for layer, value in features.items()}
        return {layer: (target, self.statistic.size(target).mean().clamp_min(1e-12)) for layer, target in targets.items()}

    @torch.no_grad()
    def _features(self, picture: Tensor, layers: Iterable[str]) -> Features:
        with torch.autocast(picture.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            return self.network(picture.contiguous(memory_format=torch.channels_last), layers)


def segments(network: LossNetwork, layers: Iterable[str]) -> list[list[str]]:
    """Names of the modules of ``network`` up to the deepest of ``layers``, in parts that end with a pooling or a block."""
    left, parts = set(layers), [list[str]()]
    for name, module in network.chain.items():
        if not left:
            break
        left.discard(name)
        parts[-1].append(name)
        if name.startswith("pool") or any(module.children()):
            parts.append([])
    return [part for part in parts if part]
