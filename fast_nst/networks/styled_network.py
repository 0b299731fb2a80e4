"""A TransformerNet under one style at one strength, as a module of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fast_nst.errors import unknown
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.validation import in_range
from fast_nst.style_rows import MAX_STRENGTH, row_weights


class StyledNetwork(nn.Module):
    """Photographs to stylized pictures, both (B, 3, H, W) in [0, 1].

    Args:
        network: holds the style's row.
        style: the row's name; None is the network's last style.
        strength: 0 is the photograph, 1 the style, up to 1.5 exaggerates it.
    Raises:
        UserError: no such style, or a strength out of range.
    """

    weights: Tensor

    def __init__(self, network: TransformerNet, style: str | None = None, strength: float = 1.0) -> None:
        super().__init__()
        in_range("strength", strength, 0, MAX_STRENGTH)
        self.style, self.strength = style or network.styles[network.style_rows[-1]], strength
        if self.style not in network.styles:
            raise unknown("style in this network", self.style, network.styles)
        self.network = network.eval()
        weights = row_weights(self.style, strength, network.styles)
        self.register_buffer("weights", torch.tensor([weights], dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Stylize ``images`` (B, 3, H, W) in [0, 1], at least 16 x 16 pixels; the result is clamped to [0, 1]."""
        return self.network(images, self.weights).clamp(0, 1)

    def extra_repr(self) -> str:
        return f"style={self.style!r}, strength={self.strength}"
