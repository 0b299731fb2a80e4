"""The pictures that per-image optimisation starts from: decoded, checked against the settings, and sized for a scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fast_nst.errors import UserError, unknown
from fast_nst.functional.color import gray_like, luminance, match_colors
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import RESAMPLING, open_image, resize_long_side
from fast_nst.losses.terms import layers_of, style_layer_weights
from fast_nst.networks.loss_network import LossNetwork, architecture_of, check_image_size
from fast_nst.settings.optimize import STARTS, OptimizeSettings


@dataclass
class Sources:
    """Pictures as they lie in their files; a mask is None where its style paints everywhere."""

    photo: Image.Image | None
    styles: list[Image.Image]
    masks: list[Image.Image | None]
    start: Image.Image | None


def load_sources(settings: OptimizeSettings) -> Sources:
    """Open the pictures that ``settings`` name, and check that all of them fit together.

    Raises:
        UserError: a picture that cannot be read or is too small for a layer, a layer that does not exist, a mask that is
            black or of another size than the photograph.
    """
    _check_layers(settings)
    if settings.start not in STARTS and not Path(settings.start).is_file():
        raise unknown("start (or picture file)", settings.start, STARTS)
    photo = open_image(settings.content) if settings.content else None
    styles = [open_image(path) for path in settings.styles]
    masks = [_mask(path, photo) if path else None for path in settings.masks] or [None] * len(styles)
    start = open_image(settings.start) if settings.start not in STARTS else None
    sources = Sources(photo, styles, masks, start)
    _check_sizes(settings, sources)
    return sources


def scale_sizes(settings: OptimizeSettings, sources: Sources) -> list[tuple[int, int]]:
    """(height, width) of the picture at every scale, the last being the result's."""
    shape = sources.photo or sources.styles[0]
    longest = settings.size or max(shape.size)
    sides = [longest / 2 ** (settings.scales - 1 - scale) for scale in range(settings.scales)]
    return [tuple(max(1, round(extent * side / max(shape.size))) for extent in shape.size[::-1]) for side in sides]


def photo_at(settings: OptimizeSettings, sources: Sources, size: tuple[int, int]) -> Tensor | None:
    """The photograph (1, 3, H, W), grey where only luminance is painted; None if there is none."""
    if sources.photo is None:
        return None
    photo = resized(sources.photo, size)
    return luminance(photo).expand(-1, 3, -1, -1) if settings.colours == "luminance" else photo


def styles_at(settings: OptimizeSettings, sources: Sources, size: tuple[int, int]) -> list[Tensor]:
    """The style pictures (1, 3, h, w), their longer side ``style_scale`` times that of ``size``, recoloured as asked."""
    long_side = max(1, round(max(size) * settings.style_scale))
    styles = [to_tensor(np.asarray(resize_long_side(style, long_side)))[None] for style in sources.styles]
    if settings.colours == "style":
        return styles
    recolour = gray_like if settings.colours == "luminance" else match_colors
    return [recolour(style, resized(sources.photo, size)) for style in styles]


def masks_at(sources: Sources, size: tuple[int, int]) -> list[Tensor | None]:
    """The masks (H, W) in [0, 1]."""
    return [None if mask is None else resized(mask, size)[0, 0] for mask in sources.masks]


def start_at(settings: OptimizeSettings, sources: Sources, size: tuple[int, int]) -> Tensor:
    """The first picture (1, 3, H, W): noise is uniform in [0, 1], or normal about 0.5 with a deviation of 0.25, clamped."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.start == "uniform":
        return torch.rand(1, 3, *size, generator=generator)
    if settings.start == "gaussian":
        return (0.5 + 0.25 * torch.randn(1, 3, *size, generator=generator)).clamp(0, 1)
    if settings.start == "content":
        return photo_at(settings, sources, size)
    if settings.start == "style":
        (style, *_) = styles_at(settings, sources, size)
        return torch.nn.functional.interpolate(style, size, mode="bicubic", antialias=True).clamp(0, 1)
    return resized(sources.start, size)


def resized(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """``image`` stretched to (height, width), as a tensor (1, 3, H, W) in [0, 1]."""
    return to_tensor(np.asarray(image.resize(size[::-1], RESAMPLING)))[None]


def loss_network(settings: OptimizeSettings, layers: Iterable[str] = ()) -> LossNetwork:
    """The loss network that ``settings`` need, and ``layers`` beside theirs, in channels_last."""
    wanted = dict.fromkeys((*used_layers(settings), *layers))
    network = LossNetwork(settings.loss_network, wanted, _weights(settings), settings.pooling)
    for module in network.chain.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = settings.padding
    return network.to(memory_format=torch.channels_last)


def shared_networks(jobs: Iterable[OptimizeSettings]) -> dict[tuple, LossNetwork]:
    """``network_key`` -> one loss network for all of ``jobs`` that have that key, so that each is loaded once."""
    layers: dict[tuple, list[str]] = {}
    first: dict[tuple, OptimizeSettings] = {}
    for job in jobs:
        first.setdefault(network_key(job), job)
        layers.setdefault(network_key(job), []).extend(used_layers(job))
    return {key: loss_network(job, layers[key]) for key, job in first.items()}


def network_key(settings: OptimizeSettings) -> tuple:
    """What makes two loss networks one."""
    return settings.loss_network, settings.loss_weights, settings.pooling, settings.padding


def used_layers(settings: OptimizeSettings) -> tuple[str, ...]:
    """The layers whose terms have a weight."""
    content, style = layers_of(settings.loss_network, settings.loss)
    return (*(content if settings.content_weight else ()), *(style if settings.style_weight else ()))


def _weights(settings: OptimizeSettings) -> str | None:
    """The weight file; of a folder, the first that begins with the network's name."""
    if settings.loss_weights is None or not Path(settings.loss_weights).is_dir():
        return settings.loss_weights
    if architecture_of(settings.loss_network).weights is None:
        return None  # it ships with the package
    found = sorted(Path(settings.loss_weights).glob(f"{settings.loss_network}*"))
    files = [path for path in found if path.suffix in (".pth", ".pt", ".safetensors")]
    if not files:
        raise UserError(
            f"no weights of {settings.loss_network} in {settings.loss_weights}; put {settings.loss_network}.pth there"
        )
    return str(files[0])


def _check_layers(settings: OptimizeSettings) -> None:
    paths = architecture_of(settings.loss_network).paths
    for layer in (*settings.content_layers, *settings.style_layers):
        if layer not in paths:
            raise unknown(f"layer of {settings.loss_network}", layer, paths)
    style_layer_weights(settings.loss_network, settings.loss)


def _check_sizes(settings: OptimizeSettings, sources: Sources) -> None:
    """Every picture leaves something at the deepest layer, even at the coarsest scale."""
    coarsest, name = scale_sizes(settings, sources)[0], settings.loss_network
    check_image_size(name, used_layers(settings), *coarsest, what="the picture at the coarsest scale")
    if settings.style_weight:
        for image in sources.styles:
            share = max(coarsest) * settings.style_scale / max(image.size)
            height, width = (max(1, round(side * share)) for side in image.size[::-1])
            check_image_size(
                name, layers_of(name, settings.loss)[1], height, width, what="the style picture at the coarsest scale"
            )


def _mask(path: str, photo: Image.Image) -> Image.Image:
    mask = open_image(path)
    if mask.size != photo.size:
        sizes = [f"{image.width}x{image.height}" for image in (mask, photo)]
        raise UserError(f"the mask {path} has {sizes[0]} pixels, the photograph {sizes[1]}; make them equal")
    if mask.getextrema() == ((0, 0),) * 3:
        raise UserError(f"the mask {path} is black all over, so its style would paint nothing; white is where it paints")
    return mask
