"""TransformerNet: the image transformation network of Johnson et al. (2016). It has nothing to do with attention.

A photograph goes in, the stylised picture comes out, in one pass. Images are float RGB in [0, 1], shape (B, 3, H, W), any
size from 16 x 16 up; the result has the same size. Two presets:

- ``johnson``: the network of the paper's supplement as its readers know it: 9 x 9 convolution, two of stride 2, five
  residual blocks, two nearest-neighbour upsamplings with convolutions, 9 x 9 convolution.
- ``fast``: everything heavy happens at a quarter of the scale, reached by space to depth; bilinear upsampling and
  convolutions lead back, and a shortcut at half scale carries the photograph's lines past the trunk. (Sub-pixel
  convolutions would be as fast, but drew blocks of 4 pixels; nearest-neighbour upsampling drew a hatching.)

A style is a row of the norms' tables and of the last layer's. The row called ``identity`` is the photograph itself: it
silences the last convolution and lets the photograph past, so mixing it with another row sets that style's strength; a row
called ``NAME@1.5`` is the style NAME at that strength (see ``strengths``).

Departures from the paper: instance norm instead of batch norm (Ulyanov et al. 2016), conditional on the style (Dumoulin et
al. 2017); padding at every convolution instead of once (``johnson`` mirrors; ``fast`` repeats the last pixel, as it drew a
thin frame along mirrored borders); no fractional strides and no tanh at the end; a gate past the network, one a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fast_nst.errors import UserError, unknown
from fast_nst.functional import at_least_float32
from fast_nst.settings import IDENTITY
from fast_nst.strengths import is_style, row_weights

PRESETS = ("fast", "johnson")
DEFAULT_WIDTHS = {"fast": 48, "johnson": 32}
MIN_SIDE = 16
EPSILON = 1e-5
TABLES = {"scale", "shift", "colour", "gate"}  # parameters with a row for each style
MAX_STYLES = 1024


class ConditionalInstanceNorm(nn.Module):
    """Instance norm with a table of scales and shifts, one row a style (Dumoulin et al. 2017, eq. 5).

    y = scale[s] * (x - mean(x)) / sqrt(var(x) + eps) + shift[s], mean and variance over the pixels of each channel

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
            return _grouped_norm(values, scale, shift).to(x.dtype)


def _grouped_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """A group for each channel of each picture: the library's fused kernel, with scales of their own for every picture."""
    scale, shift = scale.expand(x.shape[:2]).flatten(), shift.expand(x.shape[:2]).flatten()
    flat = x.reshape(1, len(scale), *x.shape[2:])
    return F.group_norm(flat, len(scale), scale, shift, EPSILON).view(x.shape)


def _explicit_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The formula itself, which exports to operators that every runtime has."""
    centred = x - _pixel_mean(x)
    variance = _pixel_mean(centred.square())
    return centred * (scale[..., None, None] * (variance + EPSILON).rsqrt()) + shift[..., None, None]


def _pixel_mean(x: Tensor) -> Tensor:
    """Along rows, then over rows: onnxruntime sums both at once into one float32, which forgets digits over megapixels."""
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


class ConvNorm(nn.Module):
    """A convolution of the same size, conditional instance norm and, unless told otherwise, a rectifier."""

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


class UpsampleConvNorm(ConvNorm):
    """Upsampling by 2, then ConvNorm: no checkerboard (Odena et al. 2016)."""

    mode = "nearest"

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        smooth = {"align_corners": False} if self.mode == "bilinear" else {}
        return super().forward(F.interpolate(x, scale_factor=2.0, mode=self.mode, **smooth), style)


class SmoothUpsampleConvNorm(UpsampleConvNorm):
    """Bilinear upsampling instead of nearest-neighbour, which drew a hatching of 4 pixels in young networks."""

    mode = "bilinear"


class Picture(nn.Module):
    """The last convolution, the mixing of its channels to RGB, and the photograph's way past the network; one row a style.

    y = colour[s] conv(x) + shift[s] + gate[s] * photo

    The matrix ``colour`` (3, K) gives every style a palette of its own, which scales of shared channels alone cannot: with
    K = 3, patches of the same wrong colours showed in every style. The row ``identity`` has colour 0, shift 0 and gate 1,
    not the learnt ones: alone, it returns the photograph exactly. A new network starts near grey, where the loss network
    sees pictures rather than noise.

    Args:
        inputs: channels of x.
        channels: K, channels of the convolution.
        kernel: its size.
        styles: the rows' names.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, styles: Sequence[str]) -> None:
        super().__init__()
        self.conv = BorderedConv(inputs, channels, kernel, bias=False)
        with torch.no_grad():
            self.conv.weight.mul_(0.5)
        colour = torch.eye(3) if channels == 3 else nn.init.orthogonal_(torch.empty(3, channels))
        self.colour = nn.Parameter(colour.repeat(len(styles), 1, 1))
        self.shift = nn.Parameter(torch.full((len(styles), 3), 0.5))
        self.gate = nn.Parameter(torch.zeros(len(styles), 3))
        self.register_buffer("painted", torch.tensor([float(name != IDENTITY) for name in styles]), persistent=False)

    def forward(self, x: Tensor, photos: Tensor, style: Tensor) -> Tensor:
        painted = style * self.painted  # (B, S)
        colour = (painted @ self.colour.flatten(1)).unflatten(1, (3, -1))
        gate = painted @ self.gate + (style - painted).sum(1, keepdim=True)  # (B, 3)
        picture = (colour @ self.conv(x).flatten(2)).view(photos.shape)  # (B, 3, K) @ (B, K, H*W)
        return picture + (painted @ self.shift)[..., None, None] + gate[..., None, None] * photos

    @torch.no_grad()
    def recolour(self, row: int, change: Tensor, offset: Tensor) -> None:
        """Move the colours x of one row's pictures to ``change`` x + ``offset``.

        Exact but for the photograph's way past the network, of which the diagonal of ``change`` is all that fits the gate.
        """
        self.colour[row] = change @ self.colour[row]
        self.shift[row] = change @ self.shift[row] + offset
        self.gate[row] *= change.diagonal()


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
        self.out = Picture(width, 3, 9, names)
        set_borders(self, "reflect")

    def forward(self, photos: Tensor, style: Tensor) -> Tensor:
        x = photos
        for block in (*self.down, *self.trunk, *self.up):
            x = block(x, style)
        return self.out(x, _pad_to_multiple_of_4(photos), style)


class FastNet(nn.Module):
    """The ``fast`` preset; ``width`` channels at a quarter of the scale, a third at half scale, a sixth at full scale."""

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
        self.out = Picture(full, full, 3, names)

    def forward(self, photos: Tensor, style: Tensor) -> Tensor:
        photos = _pad_to_multiple_of_4(photos)
        lines = self.half_scale(F.pixel_unshuffle(photos, 2), style)
        x = self.quarter_scale(F.pixel_unshuffle(lines, 2), style)
        for block in self.trunk:
            x = block(x, style)
        x = self.merge(torch.cat([self.to_half(x, style), lines], 1), style)
        return self.out(self.to_full(x, style), photos, style)


class TransformerNet(nn.Module):
    """Johnson's image transformation network (no attention): photographs in, stylised photographs out.

    Args:
        preset: ``fast`` or ``johnson``.
        width: channels, see the presets; None takes the preset's default (48, 32).
        styles: the rows' names; ``identity`` among them makes the strength of the others a matter of mixing.
    Raises:
        UserError: unknown preset, or a width or names that no network can have.
    """

    def __init__(self, preset: str = "fast", width: int | None = None, styles: Sequence[str] = ("style",)) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise unknown("preset", preset, PRESETS)
        width = DEFAULT_WIDTHS[preset] if width is None else width
        multiple = 12 if preset == "fast" else 1
        if not (1 <= width <= 512 and width % multiple == 0):
            raise UserError(f"width of preset {preset} needs to be a multiple of {multiple} up to 512, got {width}")
        self.config = {"preset": preset, "width": width, "styles": checked_names(styles)}
        self.net = (FastNet if preset == "fast" else JohnsonNet)(width, self.styles)

    @property
    def styles(self) -> list[str]:
        """The rows' names."""
        return self.config["styles"]

    @property
    def painted_rows(self) -> list[int]:
        """The rows of styles: all but ``identity`` and strong ones."""
        return [row for row, name in enumerate(self.styles) if is_style(name, self.styles)]

    def forward(self, images: Tensor, style: Tensor | None = None) -> Tensor:
        """Stylise ``images`` (B, 3, H, W) in [0, 1].

        Args:
            images: photographs of at least 16 x 16 pixels.
            style: a weight for each row, shape (B, S) or (1, S) for all pictures alike; None is the last style.
        Returns:
            pictures of the same shape; values may leave [0, 1] a little, so clamp them to show them.
        """
        height, width = images.shape[-2:]
        if style is None:
            style = self.mixture([self.painted_rows[-1]] * images.shape[0], like=images)
        return self.net(images, style)[..., :height, :width]

    def mixture(self, rows: Tensor | Sequence[int], strengths: Tensor | float = 1.0, *, like: Tensor) -> Tensor:
        """Style weights (B, S), a row for each picture at a strength of its own; see ``strengths.row_weights``.

        Args:
            rows: B of them.
            strengths: (B,) or one for all; 0 is the photograph, 1 the style, more exaggerates it.
            like: a tensor on the device to use.
        """
        strengths = torch.as_tensor(strengths).expand(len(rows)).tolist()
        names = [self.styles[row] for row in torch.as_tensor(rows).tolist()]
        weights = [row_weights(name, strength, self.styles) for name, strength in zip(names, strengths, strict=True)]
        return torch.tensor(weights, dtype=torch.float32).to(like.device)

    def recolour(self, row: int, change: Tensor, offset: Tensor) -> None:
        """See ``Picture.recolour``."""
        self.net.out.recolour(row, change, offset)

    def tables(self) -> dict[str, nn.Parameter]:
        """The parameters that hold a row for each style, by name."""
        return {name: value for name, value in self.named_parameters() if name.rpartition(".")[2] in TABLES}


def rearranged(network: TransformerNet, rows: Mapping[str, str]) -> TransformerNet:
    """The same convolutions with other rows: the name of a new row -> the row of ``network`` that it copies."""
    result = TransformerNet(network.config["preset"], network.config["width"], list(rows))
    copied = [network.styles.index(source) for source in rows.values()]
    tables = {name: table[copied] for name, table in network.tables().items()}
    result.load_state_dict(network.state_dict() | tables)
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


def _pad_to_multiple_of_4(x: Tensor) -> Tensor:
    bottom, right = -x.shape[-2] % 4, -x.shape[-1] % 4
    return F.pad(x, (0, right, 0, bottom), mode="replicate")


def from_checkpoint(content: dict, source: str = "the file") -> TransformerNet:
    """The network in a loaded checkpoint: a run's, or a state dict of pytorch/examples ``fast_neural_style``.

    Raises:
        UserError: ``content`` is neither.
    """
    if "network" in content and "state_dict" in content:
        return _from_run(content["network"], content["state_dict"], source)
    if "conv1.conv2d.weight" in content:
        return _loaded(*_from_pytorch_examples(content), source)
    raise UserError(f"{source} holds no TransformerNet: neither a run's checkpoint nor a fast_neural_style state dict")


def _from_run(config: Mapping, tensors: Mapping[str, Tensor], source: str) -> TransformerNet:
    if not isinstance(config, Mapping) or not isinstance(config.get("styles"), list | tuple):
        raise UserError(f"{source} was written by another version of fast_nst; train it again with this one")
    prefix = "network."
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return _loaded(TransformerNet(**config), state, source)


def _loaded(network: TransformerNet, state: dict[str, Tensor], source: str) -> TransformerNet:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source} does not fit TransformerNet {network.config}: {reason}") from error
    return network.eval()


def _from_pytorch_examples(state: dict[str, Tensor]) -> tuple[TransformerNet, dict[str, Tensor]]:
    """pytorch/examples' names -> ours; pictures of 0..255 -> [0, 1], by scaling the first and last convolutions."""
    network = TransformerNet("johnson", width=state["conv1.conv2d.weight"].shape[0])
    renamed = {}
    for theirs, ours in _pytorch_examples_names().items():
        for key in ("weight", "bias"):
            value = state.get(f"{theirs}.{key}")
            if value is not None:
                renamed[f"net.{ours}.{_norm_name(theirs, key)}"] = value[None] if _is_norm(theirs) else value
    renamed["net.down.0.conv.weight"] = renamed["net.down.0.conv.weight"] * 255
    renamed["net.out.conv.weight"] = renamed["net.out.conv.weight"] / 255
    renamed["net.out.shift"] = renamed.pop("net.out.conv.bias")[None] / 255
    renamed |= {"net.out.colour": torch.eye(3)[None], "net.out.gate": torch.zeros(1, 3)}
    return network, renamed


def _is_norm(name: str) -> bool:
    return name.rpartition(".")[2].startswith("in")


def _norm_name(name: str, key: str) -> str:
    return {"weight": "scale", "bias": "shift"}[key] if _is_norm(name) else key


def _pytorch_examples_names() -> dict[str, str]:
    names = {"deconv3.conv2d": "out.conv"}
    for i in (1, 2, 3):
        names |= {f"conv{i}.conv2d": f"down.{i - 1}.conv", f"in{i}": f"down.{i - 1}.norm"}
    for i in (1, 2):
        names |= {f"deconv{i}.conv2d": f"up.{i - 1}.conv", f"in{i + 3}": f"up.{i - 1}.norm"}
    for i in range(1, 6):
        for j, part in ((1, "first"), (2, "second")):
            names |= {
                f"res{i}.conv{j}.conv2d": f"trunk.{i - 1}.{part}.conv",
                f"res{i}.in{j}": f"trunk.{i - 1}.{part}.norm",
            }
    return names


def macs(network: TransformerNet, height: int, width: int) -> int:
    """Multiply-accumulates of the convolutions for one picture of ``height`` x ``width``."""
    total = 0

    def count(module: nn.Conv2d, _: tuple, output: Tensor) -> None:
        nonlocal total
        total += math.prod(module.weight.shape) * output.shape[-2] * output.shape[-1]

    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    for hook in hooks:
        hook.remove()
    return total
