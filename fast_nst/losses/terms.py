"""What the objectives of training and of per-image optimisation share: their terms, layers and weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fast_nst.errors import UserError
from fast_nst.networks.loss_network import architecture_of
from fast_nst.settings.train import LossSettings

Features = dict[str, Tensor]


class LossTerms(NamedTuple):
    """The weighted terms of the objective, their sum, and structure r at the content layers (a measure, not a term)."""

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    structure: Tensor


def layers_of(network_name: str, settings: LossSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The content and style layers of ``settings``, or the loss network's own choice."""
    architecture = architecture_of(network_name)
    content = tuple(settings.content_layers) or architecture.content_layers
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
