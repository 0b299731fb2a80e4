"""The networks of the frontier: Johnson's, ours, and variants of ours with one change each.

The expected gain of a change is counted in multiply-accumulates (`macs`); the real one is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fast_nst.networks.layers import BorderedConv, ConditionalInstanceNorm, ConvNorm, Residual, UpsampleConvNorm, set_borders
from fast_nst.networks.transformer_net import FastNet, TransformerNet

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
        self.second = BorderedConv(channels, channels, 3)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return x + self.second(self.first(x, style))


class Deep(nn.Module):
    """x + residual blocks at an eighth of the scale, where a convolution sees twice as far and costs a quarter."""

    def __init__(self, channels: int, inner: int, blocks: int, styles: int) -> None:
        super().__init__()
        self.down = ConvNorm(channels, inner, 3, styles, stride=2)
        self.trunk = nn.ModuleList(Residual(inner, styles) for _ in range(blocks))
        self.up = ConvNorm(inner, channels, 1, styles, activate=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = self.down(x, style)
        for block in self.trunk:
            y = block(y, style)
        y = F.interpolate(self.up(y, style), scale_factor=2.0, mode="bilinear", align_corners=False)
        return x + y[..., : x.shape[2], : x.shape[3]]


class PhaseConv(nn.Module):
    """Sub-pixel convolution (Shi et al. 2016), then a norm: every pixel becomes four, each with a kernel of its own.

    It starts as what it replaces: with ``kernel`` 2 as nearest-neighbor upsampling and a 3 x 3 convolution, with 3 as
    bilinear upsampling and one, so that no network starts with blocks of 4 pixels.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, styles: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, kernel)
        self.norm = ConditionalInstanceNorm(outputs, styles)
        self.outputs = outputs
        self.start_as(nn.Conv2d(inputs, outputs, 3).weight)

    @torch.no_grad()
    def start_as(self, kernels: Tensor) -> None:
        """Do what upsampling does with ``kernels`` (outputs, inputs, 3, 3) after it."""
        taps = NEAREST_TAPS if self.conv.kernel_size[0] == 2 else BILINEAR_TAPS
        self.conv.weight.copy_(torch.einsum("oikl,pak,qbl->opqiab", kernels, taps, taps).flatten(0, 2))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        height, width = x.shape[2:]
        y = self.conv(F.pad(x, (1, 1, 1, 1), mode="replicate")).unflatten(1, (self.outputs, 2, 2))
        if self.conv.kernel_size[0] == 3:
            return self.norm(F.pixel_shuffle(y.flatten(1, 3), 2), style).relu()
        parts = [y[:, :, p, q, p : p + height, q : q + width] for p in (0, 1) for q in (0, 1)]
        return self.norm(F.pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2), style).relu()


# taps[p, a, k]: what tap k of a 3-wide kernel at twice the resolution puts on tap a at the low one, for phase p
NEAREST_TAPS = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
BILINEAR_TAPS = torch.tensor(
    [
        [[0.75, 0.25, 0], [0.25, 0.75, 0.75], [0, 0, 0.25]],
        [[0.25, 0, 0], [0.75, 0.75, 0.25], [0, 0.25, 0.75]],
    ]
)


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


def with_depth(net: FastNet) -> None:
    """As many blocks again at an eighth of the scale, twice as wide, between the halves of the trunk."""
    channels, blocks = net.trunk[0].first.conv.in_channels, len(net.trunk)
    net.trunk.insert(blocks // 2, Deep(channels, 2 * channels, blocks, len(STYLES)))


def with_upsampling(kind: Callable[..., nn.Module], net: FastNet) -> None:
    for name in ("to_half", "to_full"):
        conv = getattr(net, name).conv
        setattr(net, name, kind(conv.in_channels, conv.out_channels, styles=len(STYLES)))


def with_zero_padding(net: FastNet) -> None:
    """Zero padding, which causes border artifacts: the most that cheaper padding could gain."""
    set_borders(net, "constant")


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
    "fast 48, 2 blocks and 2 deeper": partial(ours, 48, 2, with_depth),
    "fast 48, bottlenecks": partial(ours, change=partial(with_blocks, Bottleneck)),
    "fast 48, one norm a block": partial(ours, change=partial(with_blocks, OneNorm)),
    "fast 48, nearest": partial(ours, change=partial(with_upsampling, partial(UpsampleConvNorm, kernel=3))),
    "fast 48, phases 2 x 2": partial(ours, change=partial(with_upsampling, partial(PhaseConv, kernel=2))),
    "fast 48, phases 3 x 3": partial(ours, change=partial(with_upsampling, partial(PhaseConv, kernel=3))),
    "fast 48, zero padding": partial(ours, change=with_zero_padding),
}


def macs(network: TransformerNet, height: int, width: int) -> int:
    """Multiply-accumulates of the convolutions for one picture of ``height`` x ``width``."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, height, width))
    return counter.get_flop_counts()["Global"][torch.ops.aten.convolution] // 2
