"""The layers of a TransformerNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fast_nst.functional.features import at_least_float32
from fast_nst.style_rows import IDENTITY

EPSILON = 1e-5
FLAT = 1e-8  # a variance far below it is rounding noise of a channel without contrast


class ConditionalInstanceNorm(nn.Module):
    """Instance norm with a table of scales and shifts, one row a style (Dumoulin et al. 2017, eq. 5).

    y = scale[s] * (x - mean(x)) / sqrt(var(x) + eps) + shift[s], mean and variance over the pixels of each channel

    Departure from the paper: outside of training, the first term is weighed by var^2 / (var^2 + 1e-8^2). Rounding noise of a
    one-colored photograph, of variance about 1e-11, would otherwise be amplified 316 times in every layer.

    Statistics are float32 under autocast too, as sums over pixels overflow float16; of bfloat16 on a processor, the kernel
    keeps them so by itself.

    Args:
        channels: C.
        styles: S, rows of the table.
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(styles, channels))
        self.shift = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """``x`` (B, C, H, W) under ``style`` (B, S), a weight for each row; rows mix linearly."""
        with torch.autocast(x.device.type, enabled=False):
            style = style.to(self.scale.dtype)
            scale, shift = style @ self.scale, style @ self.shift  # (B, C)
            values = x if x.dtype == torch.bfloat16 and x.device.type == "cpu" else at_least_float32(x)
            if torch.compiler.is_exporting():
                return _explicit_norm(at_least_float32(x), scale, shift)
            if not self.training:
                scale = scale * _contrast(at_least_float32(x).var((2, 3), correction=0))
            return _grouped_norm(values, scale, shift).to(x.dtype)


def _grouped_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """A group for each channel of each picture: the library's fused kernel, with scales of their own for every picture."""
    scale, shift = scale.expand(x.shape[:2]).flatten(), shift.expand(x.shape[:2]).flatten()
    flat = x.reshape(1, len(scale), *x.shape[2:])
    return F.group_norm(flat, len(scale), scale, shift, EPSILON).view(x.shape)


def _explicit_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The formula itself, which exports to operators that every runtime has."""
    centered = x - _pixel_mean(x)
    variance = _pixel_mean(centered.square())
    gain = _contrast(variance) * (variance + EPSILON).rsqrt()
    return centered * (scale[..., None, None] * gain) + shift[..., None, None]


def _contrast(variance: Tensor) -> Tensor:
    """Weight in [0, 1] for each variance: 0 far below ``FLAT``, 1 far above it.

    In units of ``FLAT``, as the exporter takes an addition of 1e-16 for one of 0.
    """
    square = (variance * (1 / FLAT)).clamp(max=1e6).square()
    return square / (square + 1)


def _pixel_mean(x: Tensor) -> Tensor:
    """Along rows, then over rows: onnxruntime sums both at once into one float32, which forgets digits over megapixels."""
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


class ConvNorm(nn.Module):
    """A convolution of the same size, conditional instance norm and, by default, a rectifier."""

    def __init__(self, inputs: int, outputs: int, kernel: int, styles: int, stride: int = 1, activate: bool = True) -> None:
        super().__init__()
        self.conv = BorderedConv(inputs, outputs, kernel, stride)
        self.norm = ConditionalInstanceNorm(outputs, styles)
        self.activate = activate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = self.norm(self.conv(x), style)
        return x.relu() if self.activate else x


class Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), the block of Gross and Wilber (2016): no rectifier after the sum."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, styles)
        self.second = ConvNorm(channels, channels, 3, styles, activate=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return x + self.second(self.first(x, style), style)


class CoarseStage(nn.Module):
    """x + residual blocks at half of the scale of x and twice the channels, where a convolution sees twice as far.

    x + up(blocks(down(x))): ``down`` has stride 2, ``up`` is a 1 x 1 convolution with a norm and bilinear upsampling. The
    norm's scales start at 0.2, so that a new stage adds little.

    Args:
        channels: of x, whose sides are even.
        blocks: number of residual blocks.
        styles: rows of the tables.
    """

    def __init__(self, channels: int, blocks: int, styles: int) -> None:
        super().__init__()
        self.down = ConvNorm(channels, 2 * channels, 3, styles, stride=2)
        self.trunk = nn.ModuleList(Residual(2 * channels, styles) for _ in range(blocks))
        self.up = ConvNorm(2 * channels, channels, 1, styles, activate=False)
        nn.init.constant_(self.up.norm.scale, 0.2)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        coarse = self.down(x, style)
        for block in self.trunk:
            coarse = block(coarse, style)
        return x + F.interpolate(self.up(coarse, style), scale_factor=2.0, mode="bilinear", align_corners=False)


class UpsampleConvNorm(ConvNorm):
    """Upsampling by 2, then ConvNorm: no checkerboard (Odena et al. 2016)."""

    mode = "nearest"

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        smooth = {"align_corners": False} if self.mode == "bilinear" else {}
        return super().forward(F.interpolate(x, scale_factor=2.0, mode=self.mode, **smooth), style)


class SmoothUpsampleConvNorm(UpsampleConvNorm):
    """Bilinear upsampling instead of nearest-neighbor, which drew a hatching of 4 pixels in young networks."""

    mode = "bilinear"


class ToRGB(nn.Module):
    """Last layer: a convolution, the mixing of its channels to RGB, and a gated skip of the photograph; one row a style.

    y = color[s] conv(x) + shift[s] + gate[s] * photo

    The matrix ``color`` (3, K) gives every style a palette of its own, which scales of shared channels alone cannot: with
    K = 3, patches of the same wrong colors showed in every style. The row ``identity`` has color 0, shift 0 and gate 1,
    not the learnt ones: alone, it returns the photograph exactly. A new network starts near gray, where the loss network
    sees pictures rather than noise.

    Args:
        inputs: channels of x.
        channels: K, channels of the convolution.
        kernel: its size.
        styles: the rows' names.
    """

    painted: Tensor  # 1 for each row but ``identity``

    def __init__(self, inputs: int, channels: int, kernel: int, styles: Sequence[str]) -> None:
        super().__init__()
        self.conv = BorderedConv(inputs, channels, kernel, bias=False)
        with torch.no_grad():
            self.conv.weight.mul_(0.5)
        color = torch.eye(3) if channels == 3 else nn.init.orthogonal_(torch.empty(3, channels))
        self.color = nn.Parameter(color.repeat(len(styles), 1, 1))
        self.shift = nn.Parameter(torch.full((len(styles), 3), 0.5))
        self.gate = nn.Parameter(torch.zeros(len(styles), 3))
        self.register_buffer("painted", torch.tensor([float(name != IDENTITY) for name in styles]), persistent=False)

    def forward(self, x: Tensor, photos: Tensor, style: Tensor) -> Tensor:
        painted = style * self.painted  # (B, S)
        color = (painted @ self.color.flatten(1)).unflatten(1, (3, -1))
        gate = painted @ self.gate + (style - painted).sum(1, keepdim=True)  # (B, 3)
        picture = (color @ self.conv(x).flatten(2)).view(photos.shape)  # (B, 3, K) @ (B, K, H*W)
        return picture + (painted @ self.shift)[..., None, None] + gate[..., None, None] * photos

    @torch.no_grad()
    def recolor(self, row: int, change: Tensor, offset: Tensor) -> None:
        """Move the colors x of one row's pictures to ``change`` x + ``offset``.

        Exact but for the skip of the photograph, whose gate takes only the diagonal of ``change``.
        """
        self.color[row] = change @ self.color[row]
        self.shift[row] = change @ self.shift[row] + offset
        self.gate[row] *= change.diagonal()


class BorderedConv(nn.Conv2d):
    """A convolution that keeps the size (or divides it by ``stride``, rounding up) and sees its borders go on.

    ``borders`` says how: "replicate" repeats the last pixel, "reflect" mirrors. It pads in the precision that it is given,
    where autocast would pad in float32.
    """

    borders = "replicate"

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            padded = F.pad(input, [self.kernel_size[0] // 2] * 4, mode=self.borders)
        return super().forward(padded)


def set_borders(network: nn.Module, borders: str) -> None:
    """Let every convolution of ``network`` see its borders as ``borders`` says: a mode of ``F.pad``."""
    for module in network.modules():
        if isinstance(module, BorderedConv):
            module.borders = borders
