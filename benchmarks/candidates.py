"""The networks of the frontier: Johnson's, ours, and ours with one thing changed, an idea each.

What each change should gain is counted beforehand, in multiply-accumulates (`macs`); what it does gain is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fast_nst.networks.transformer_net import (
    ConditionalInstanceNorm,
    ConvNorm,
    FastNet,
    ReflectedConv,
    TransformerNet,
    UpsampleConvNorm,
)

STYLES = ("identity", "style")


class Bottleneck(nn.Module):
    """A residual block that does its 3 x 3 convolution on half of the channels."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.narrow = ConvNorm(channels, channels // 2, 1, styles)
        self.middle = ConvNorm(channels // 2, channels // 2, 3, styles)
        self.wide = ConvNorm(channels // 2, channels, 1, styles, activate=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return x + self.wide(self.middle(self.narrow(x, style), style), style)


class OneNorm(nn.Module):
    """A residual block whose second convolution has a bias instead of a norm."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, styles)
        self.second = ReflectedConv(channels, channels, 3)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return x + self.second(self.first(x, style))


class PhaseSplit(nn.Module):
    """Nearest-neighbour upsampling and a 3 x 3 convolution as four 2 x 2 convolutions at the low resolution, then a norm.

    Each of the four pixels that one becomes sees 2 x 2 different ones, so 4 of the 9 products are enough.
    """

    def __init__(self, inputs: int, outputs: int, styles: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 2)
        self.norm = ConditionalInstanceNorm(outputs, styles)
        self.outputs = outputs

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        height, width = x.shape[2:]
        phases = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")).split(self.outputs, 1)  # 4 of (B, C, H + 1, W + 1)
        corners = [(top, left) for top in (0, 1) for left in (0, 1)]
        parts = [y[..., top : top + height, left : left + width] for y, (top, left) in zip(phases, corners, strict=True)]
        return self.norm(F.pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2), style).relu()


def ours(width: int = 48, blocks: int = 4, change: Callable[[FastNet], None] | None = None) -> TransformerNet:
    """`fast` with other blocks, or changed in place."""
    network = TransformerNet("fast", width, STYLES)
    network.net = FastNet(width, STYLES, blocks)
    if change is not None:
        change(network.net)
    return network


def johnson(width: int) -> TransformerNet:
    return TransformerNet("johnson", width, STYLES)


def with_blocks(kind: Callable[[int, int], nn.Module], net: FastNet) -> None:
    channels = net.trunk[0].first.conv.in_channels
    net.trunk = nn.ModuleList(kind(channels, len(STYLES)) for _ in net.trunk)


def with_upsampling(kind: Callable[..., nn.Module], net: FastNet) -> None:
    for name in ("to_half", "to_full"):
        conv = getattr(net, name).conv
        setattr(net, name, kind(conv.in_channels, conv.out_channels, styles=len(STYLES)))


def with_zero_padding(net: FastNet) -> None:
    """Zeros at the border, which draw a frame: the most that cheaper padding could gain."""
    for module in net.modules():
        if isinstance(module, ReflectedConv):
            module.borders = "constant"


CANDIDATES: dict[str, Callable[[], TransformerNet]] = {
    "johnson 32": partial(johnson, 32),
    "johnson 16": partial(johnson, 16),
    "johnson 8": partial(johnson, 8),
    "fast 24": partial(ours, 24),
    "fast 36": partial(ours, 36),
    "fast 48": partial(ours, 48),
    "fast 60": partial(ours, 60),
    "fast 60, 2 blocks": partial(ours, 60, 2),
    "fast 48, 2 blocks": partial(ours, 48, 2),
    "fast 48, 6 blocks": partial(ours, 48, 6),
    "fast 48, bottlenecks": partial(ours, change=partial(with_blocks, Bottleneck)),
    "fast 48, one norm a block": partial(ours, change=partial(with_blocks, OneNorm)),
    "fast 48, nearest": partial(ours, change=partial(with_upsampling, partial(UpsampleConvNorm, kernel=3))),
    "fast 48, phase-split": partial(ours, change=partial(with_upsampling, PhaseSplit)),
    "fast 48, zero padding": partial(ours, change=with_zero_padding),
}
