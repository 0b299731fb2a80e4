"""Input pictures of per-image optimization: decoded, checked against the settings, and resized to a scale."""

from __future__ import annotations

import os
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

Opened = dict[str, Image.Image]  # by path


@dataclass
class Sources:
    """The pictures of one optimization, at their own sizes; a mask is None where its style counts everywhere."""

    settings: OptimizeSettings
    photo: Image.Image | None
    styles: list[Image.Image]
    masks: list[Image.Image | None]
    start: Image.Image | None

    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of the picture at every scale; the last is the result's."""
        width, height = (self.photo or self.styles[0]).size
        sides = [(self.settings.size or max(width, height)) / 2**scale for scale in reversed(range(self.settings.scales))]
        return [tuple(max(1, round(extent * side / max(width, height))) for extent in (height, width)) for side in sides]

    def photo_at(self, size: tuple[int, int]) -> Tensor | None:
        """The photograph (1, 3, H, W), gray where only luminance is styled; None if there is none."""
        if self.photo is None:
            return None
        photo = resized(self.photo, size)
        return luminance(photo).expand(-1, 3, -1, -1) if self.settings.colors == "luminance" else photo

    def styles_at(self, size: tuple[int, int]) -> list[Tensor]:
        """The style pictures (1, 3, h, w), their longer side ``style_scale`` times that of ``size``, recolored as set."""
        long_side = max(1, round(max(size) * self.settings.style_scale))
        styles = [to_tensor(np.asarray(resize_long_side(style, long_side)))[None] for style in self.styles]
        if self.settings.colors == "style":
            return styles
        assert self.photo is not None  # as the settings ask for one
        photo, recolor = resized(self.photo, size), gray_like if self.settings.colors == "luminance" else match_colors
        return [recolor(style, photo) for style in styles]

    def masks_at(self, size: tuple[int, int]) -> list[Tensor | None]:
        """The masks (H, W) in [0, 1]."""
        return [None if mask is None else resized(mask, size)[0, 0] for mask in self.masks]

    def start_at(self, size: tuple[int, int]) -> Tensor:
        """The initial picture (1, 3, H, W).

        Noise is uniform in [0, 1], or normal with mean 0.5 and standard deviation 0.25, clamped.
        """
        generator = torch.Generator().manual_seed(self.settings.seed)
        match self.settings.start:
            case "uniform":
                return torch.rand(1, 3, *size, generator=generator)
            case "gaussian":
                return (0.5 + 0.25 * torch.randn(1, 3, *size, generator=generator)).clamp(0, 1)
            case "content":
                photo = self.photo_at(size)
                assert photo is not None  # as the settings ask for one
                return photo
            case "style":
                style = self.styles_at(size)[0]
                return torch.nn.functional.interpolate(style, size, mode="bicubic", antialias=True).clamp(0, 1)
        assert self.start is not None  # a picture's file
        return resized(self.start, size)

    def check_sizes(self) -> None:
        """Raise a UserError where a picture is too small for a layer at the coarsest scale."""
        settings, coarsest = self.settings, self.sizes()[0]
        check_image_size(settings.loss_network, used_layers(settings), *coarsest, what="the picture at the coarsest scale")
        layers = layers_of(settings.loss_network, settings.loss)[1] if settings.style_weight else ()
        for image in self.styles if layers else []:
            share = max(coarsest) * settings.style_scale / max(image.size)
            height, width = (max(1, round(side * share)) for side in image.size[::-1])
            what = "the style picture at the coarsest scale"
            check_image_size(settings.loss_network, layers, height, width, what=what)


def load_sources(settings: OptimizeSettings, opened: Opened | None = None) -> Sources:
    """Open the pictures that ``settings`` name, and check that they fit together.

    Args:
        opened: pictures that are open already; others are added, so that several runs decode each file once.
    Raises:
        UserError: a picture that cannot be read or is too small for a layer, a layer that does not exist, a mask that is
            black or of another size than the photograph.
    """
    _check_layers(settings)
    if settings.start not in STARTS and not os.path.exists(settings.start):
        raise unknown("start (or picture file)", settings.start, STARTS)
    opened = {} if opened is None else opened
    photo = _open(settings.content, opened) if settings.content else None
    styles = [_open(path, opened) for path in settings.styles]
    masks = [_mask(path, photo, opened) if path else None for path in settings.masks] or [None] * len(styles)
    start = None if settings.start in STARTS else _open(settings.start, opened)
    sources = Sources(settings, photo, styles, masks, start)
    sources.check_sizes()
    return sources


def resized(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """``image`` resized to (height, width), as a tensor (1, 3, H, W) in [0, 1]."""
    return to_tensor(np.asarray(image.resize(size[::-1], RESAMPLING)))[None]


def loss_network(settings: OptimizeSettings, layers: Iterable[str] = ()) -> LossNetwork:
    """The loss network of ``settings`` with their layers and ``layers``, in channels_last."""
    wanted = dict.fromkeys((*used_layers(settings), *layers))
    network = LossNetwork(settings.loss_network, wanted, _weights(settings), settings.pooling)
    for module in network.chain.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.padding_mode = settings.padding
    return network.to(memory_format=torch.channels_last)


def shared_networks(jobs: Iterable[OptimizeSettings]) -> dict[tuple, LossNetwork]:
    """``network_key`` -> one loss network for all of ``jobs`` that have this key, so that each is loaded once."""
    layers: dict[tuple, list[str]] = {}
    first: dict[tuple, OptimizeSettings] = {}
    for job in jobs:
        first.setdefault(network_key(job), job)
        layers.setdefault(network_key(job), []).extend(used_layers(job))
    return {key: loss_network(job, layers[key]) for key, job in first.items()}


def network_key(settings: OptimizeSettings) -> tuple:
    """The settings that tell loss networks apart."""
    return settings.loss_network, settings.loss_weights, settings.pooling, settings.padding


def used_layers(settings: OptimizeSettings) -> tuple[str, ...]:
    """The layers whose terms have a weight."""
    content, style = layers_of(settings.loss_network, settings.loss)
    return (*(content if settings.content_weight else ()), *(style if settings.style_weight else ()))


def _weights(settings: OptimizeSettings) -> str | None:
    """The weight file; of a folder, the first that begins with the network's name."""
    if settings.loss_weights is None or not os.path.isdir(settings.loss_weights):
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


def _open(path: str, opened: Opened) -> Image.Image:
    if path not in opened:
        opened[path] = open_image(path)
    return opened[path]


def _mask(path: str, photo: Image.Image | None, opened: Opened) -> Image.Image:
    mask = _open(path, opened)
    if photo is not None and mask.size != photo.size:
        sizes = [f"{image.width}x{image.height}" for image in (mask, photo)]
        raise UserError(f"the mask {path} has {sizes[0]} pixels, the photograph {sizes[1]}; make them equal")
    if mask.getextrema() == ((0, 0),) * 3:
        raise UserError(f"the mask {path} is black all over, so its style would not count; white is where a style counts")
    return mask
