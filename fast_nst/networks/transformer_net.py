"""TransformerNet: the image transformation network of Johnson et al. (2016). It has nothing to do with attention.

A photograph goes in, the stylized picture comes out, in one pass. Images are float RGB in [0, 1], shape (B, 3, H, W), any
size from 16 x 16 up; the result has the same size. Three presets:

- ``johnson``: the network of the paper's supplement as its readers know it: 9 x 9 convolution, two of stride 2, five
  residual blocks, two nearest-neighbor upsamplings with convolutions, 9 x 9 convolution.
- ``fast``: everything heavy happens at a quarter of the scale, reached by space to depth; bilinear upsampling and
  convolutions lead back, and a shortcut at half scale carries the photograph's lines past the trunk. (Sub-pixel
  convolutions would be as fast, but drew blocks of 4 pixels; nearest-neighbor upsampling drew a hatching.)
- ``deep``: ``fast`` with the middle of its trunk at an eighth of the scale, where twice the channels cost half: as many
  multiplications, twice the weights, and strokes are seen whole.

A style is a row of the norms' tables and of the last layer's. The row called ``identity`` is the photograph itself: it
silences the last convolution and lets the photograph past, so mixing it with another row sets that style's strength; a row
called ``NAME@1.5`` is the style NAME at that strength (see ``style_rows``).

Departures from the paper: instance norm instead of batch norm (Ulyanov et al. 2016), conditional on the style (Dumoulin et
al. 2017); padding at every convolution instead of once (``johnson`` mirrors; ``fast`` repeats the last pixel, as it drew a
thin frame along mirrored borders); no fractional strides and no tanh at the end; a gate past the network, one a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fast_nst.errors import UserError, unknown
from fast_nst.networks.layers import (
    CoarseStage,
    ConvNorm,
    Residual,
    SmoothUpsampleConvNorm,
    ToRGB,
    UpsampleConvNorm,
    set_borders,
)
from fast_nst.style_rows import IDENTITY, is_style, row_weights

MIN_SIDE = 16
TABLES = {"scale", "shift", "color", "gate"}  # parameters with a row for each style
MAX_STYLES = 1024


class JohnsonNet(nn.Module):
    """The ``johnson`` preset; ``width`` base channels (32 in the paper), four times as many in the residual blocks."""

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__()
        styles = len(names)
        self.down = nn.ModuleList(
            [
                ConvNorm(3, width, 9, styles),
                ConvNorm(width, 2 * width, 3, styles, stride=2),
                ConvNorm(2 * width, 4 * width, 3, styles, stride=2),
            ]
        )
        self.trunk = nn.ModuleList(Residual(4 * width, styles) for _ in range(5))
        self.up = nn.ModuleList(
            [UpsampleConvNorm(4 * width, 2 * width, 3, styles), UpsampleConvNorm(2 * width, width, 3, styles)]
        )
        self.out = ToRGB(width, 3, 9, names)
        set_borders(self, "reflect")

    def forward(self, photos: Tensor, style: Tensor) -> Tensor:
        x = photos
        for block in (*self.down, *self.trunk, *self.up):
            x = block(x, style)
        return self.out(x, _padded(photos, 4), style)


class FastNet(nn.Module):
    """The ``fast`` preset; ``width`` channels at a quarter of the scale, a third at half scale, a sixth at full scale."""

    unit = 4  # pixels of the photograph to a pixel of the smallest layer

    def __init__(self, width: int, names: Sequence[str], blocks: int = 4) -> None:
        super().__init__()
        styles = len(names)
        half, full = width // 3, width // 6
        self.half_scale = ConvNorm(12, half, 3, styles)
        self.quarter_scale = ConvNorm(4 * half, width, 3, styles)
        self.trunk = nn.ModuleList(Residual(width, styles) for _ in range(blocks))
        self.to_half = SmoothUpsampleConvNorm(width, half, 3, styles)
        self.merge = ConvNorm(2 * half, half, 3, styles)
        self.to_full = SmoothUpsampleConvNorm(half, full, 3, styles)
        self.out = ToRGB(full, full, 3, names)

    def forward(self, photos: Tensor, style: Tensor) -> Tensor:
        photos = _padded(photos, self.unit)
        lines = self.half_scale(F.pixel_unshuffle(photos, 2), style)
        x = self.quarter_scale(F.pixel_unshuffle(lines, 2), style)
        for block in self.trunk:
            x = block(x, style)
        x = self.merge(torch.cat([self.to_half(x, style), lines], 1), style)
        return self.out(self.to_full(x, style), photos, style)


class DeepNet(FastNet):
    """The ``deep`` preset: one residual block, two at an eighth of the scale, and one again at a quarter."""

    unit = 8

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__(width, names, blocks=2)
        self.trunk.insert(1, CoarseStage(width, 2, len(names)))


class Preset(NamedTuple):
    """A kind of network: what builds it from a width and the rows' names, and the widths that it can have."""

    build: Callable[[int, Sequence[str]], FastNet | JohnsonNet]
    width: int  # by default
    multiple: int  # of which a width has to be
    trunk_values: int  # weights of the residual blocks, in squares of the width


PRESETS = {
    "fast": Preset(FastNet, 48, 12, 72),
    "deep": Preset(DeepNet, 48, 12, 200),
    "johnson": Preset(JohnsonNet, 32, 1, 1440),
}
DEFAULT_PRESET = "deep"
MAX_WIDTH = 512


class TransformerNet(nn.Module):
    """Johnson's image transformation network (no attention): photographs in, stylized photographs out.

    Args:
        preset: one of ``PRESETS``.
        width: channels, see the presets; None takes the preset's own.
        styles: the rows' names; ``identity`` among them makes the strength of the others a matter of mixing.
    Raises:
        UserError: unknown preset, or a width or names that no network can have.
    """

    def __init__(self, preset: str = DEFAULT_PRESET, width: int | None = None, styles: Sequence[str] = ("style",)) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise unknown("preset", preset, PRESETS)
        kind = PRESETS[preset]
        width = kind.width if width is None else width
        if not (1 <= width <= MAX_WIDTH and width % kind.multiple == 0):
            needed = f"a multiple of {kind.multiple} up to {MAX_WIDTH}"
            raise UserError(f"width of preset {preset} needs to be {needed}, got {width}")
        self.config: dict[str, Any] = {"preset": preset, "width": width, "styles": checked_names(styles)}
        self.net = kind.build(width, self.styles)

    @property
    def styles(self) -> list[str]:
        """The rows' names."""
        return self.config["styles"]

    @property
    def style_rows(self) -> list[int]:
        """The rows of styles: all but ``identity`` and strong ones."""
        return [row for row, name in enumerate(self.styles) if is_style(name, self.styles)]

    def forward(self, images: Tensor, style: Tensor | None = None) -> Tensor:
        """Stylize ``images`` (B, 3, H, W) in [0, 1].

        Args:
            images: photographs of at least 16 x 16 pixels.
            style: a weight for each row, shape (B, S) or (1, S) for all pictures alike; None is the last style.
        Returns:
            pictures of the same shape; values may leave [0, 1] a little, so clamp them to show them.
        """
        height, width = images.shape[-2:]
        if style is None:
            style = self.style_weights([self.style_rows[-1]] * images.shape[0], like=images)
        return self.net(images, style)[..., :height, :width]

    def style_weights(self, rows: Tensor | Sequence[int], strengths: Tensor | float = 1.0, *, like: Tensor) -> Tensor:
        """Style weights (B, S), a row for each picture at a strength of its own; see ``style_rows.row_weights``.

        Args:
            rows: B of them.
            strengths: (B,) or one for all; 0 is the photograph, 1 the style, more exaggerates it.
            like: a tensor on the device to use.
        """
        numbers = torch.as_tensor(strengths).expand(len(rows)).tolist()
        names = [self.styles[row] for row in torch.as_tensor(rows).tolist()]
        weights = [row_weights(name, strength, self.styles) for name, strength in zip(names, numbers, strict=True)]
        return torch.tensor(weights, dtype=torch.float32).to(like.device)

    def recolor(self, row: int, change: Tensor, offset: Tensor) -> None:
        """See ``ToRGB.recolor``."""
        self.net.out.recolor(row, change, offset)

    def style_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that hold a row for each style, by name."""
        return {name: value for name, value in self.named_parameters() if name.rpartition(".")[2] in TABLES}


def with_rows(network: TransformerNet, rows: Mapping[str, Tensor]) -> TransformerNet:
    """The same convolutions with other rows: the name of a new row -> its weights (S,) of the rows of ``network``."""
    result = TransformerNet(network.config["preset"], network.config["width"], list(rows))
    mixing = torch.stack(list(rows.values()))  # (new S, S)
    tables = {name: torch.tensordot(mixing, table, 1) for name, table in network.style_parameters().items()}
    result.load_state_dict(network.state_dict() | tables)
    return result


def copy_rows(network: TransformerNet, rows: Mapping[str, str]) -> TransformerNet:
    """The same convolutions with other rows: the name of a new row -> the row of ``network`` that it copies."""
    return with_rows(network, {name: one_row(network, source) for name, source in rows.items()})


def one_row(network: TransformerNet, style: str) -> Tensor:
    """The weights that are 1 for the row ``style`` and 0 for all others, shape (S,)."""
    weights = torch.zeros(len(network.styles))
    weights[network.styles.index(style)] = 1
    return weights


def with_preset(network: TransformerNet, preset: str) -> TransformerNet:
    """A network of ``preset`` and the same width and rows, with every tensor that has the same name and shape in both."""
    result = TransformerNet(preset, network.config["width"], network.styles)
    state = result.state_dict()
    for name, value in network.state_dict().items():
        if name in state and state[name].shape == value.shape:
            state[name] = value
    result.load_state_dict(state)
    return result


def checked_names(styles: Sequence[str]) -> list[str]:
    """``styles`` as a list, if they can name a network's rows.

    Raises:
        UserError: none, too many, doubles, or none that is a style.
    """
    names = list(styles)
    if not 1 <= len(names) <= MAX_STYLES or not all(isinstance(name, str) and name for name in names):
        raise UserError(f"a network needs 1 to {MAX_STYLES} styles with names, got {len(names)}")
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two styles are called {double}; give one another name")
    if names == [IDENTITY]:
        raise UserError(f"a network needs a style beside {IDENTITY}")
    return names


def _padded(photos: Tensor, unit: int) -> Tensor:
    """``photos`` with the last row and column repeated until both sides are multiples of ``unit``."""
    bottom, right = -photos.shape[-2] % unit, -photos.shape[-1] % unit
    return F.pad(photos, (0, right, 0, bottom), mode="replicate")
