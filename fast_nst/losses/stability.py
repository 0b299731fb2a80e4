"""Stability: how much a network's picture changes when the photograph moves a little, as a loss.

Compound regularization of Wang et al. (2020), "Consistent Video Style Transfer via Compound Regularization", AAAI: no film
is needed. A photograph x is moved by a smooth random flow and a shift, W, and gets a little light and noise. The network's
picture of it is to be its picture of x, moved in the same way, with the change of luminance added to each channel (Gao et
al. 2018, "ReCoNet"):

    x' = light * W(x) + noise,    loss = |N(x') - W(N(x)) - (Y(light * W(x)) - Y(W(x)))|^2 / var(N(x))

Departures from the papers: the loss is divided by the variance of the picture, so that one weight serves every style; W
resamples bicubically, as bilinear interpolation alone would ask for blurred pictures; pixels near the edges are left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fast_nst.functional.color import luminance

LONGEST_SHIFT = 10  # pixels
FLOW, FLOW_CELL = 1.5, 64  # standard deviation of the smooth flow, and distance of its independent values, in pixels
LIGHT, LIGHT_CELL = 0.05, 64  # standard deviation of the smooth factor, and distance of its independent values
NOISE = 0.015  # standard deviation, of pixels in [0, 1]
LEAST_VARIANCE = 1e-3  # of a picture, which is divided by


class Motion(NamedTuple):
    """How second views come from first ones.

    Attributes:
        flow: where each pixel of the second view lies in the first, relative to its own place, in pixels to the right and
            down, shape (B, 2, H, W).
        light: factor of each pixel, shape (B, 1, H, W).
        noise: added to the pixels, shape (B, 3, H, W).
    """

    flow: Tensor
    light: Tensor
    noise: Tensor


def random_motion(count: int, height: int, width: int, seed: int) -> Motion:
    """A motion for each of ``count`` pictures, the same ones for one ``seed``.

    Shifts are whole pixels, uniform in [-10, 10] both ways; half of the pictures move by their shift alone.
    """
    random = torch.Generator().manual_seed(seed)
    size = (height, width)
    shifts = torch.randint(-LONGEST_SHIFT, LONGEST_SHIFT + 1, (count, 2, 1, 1), generator=random)
    bent = (torch.arange(count) + torch.randint(2, (1,), generator=random)) % 2
    flow = shifts + bent.view(-1, 1, 1, 1) * FLOW * _smooth(count, 2, size, FLOW_CELL, random)
    light = 1 + LIGHT * _smooth(count, 1, size, LIGHT_CELL, random)
    return Motion(flow, light, NOISE * torch.randn(count, 3, *size, generator=random))


def second_view(photos: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
    """``photos`` (B, 3, H, W) moved, in another light and with noise; and the change of luminance, (B, 1, H, W)."""
    moved = warped(photos, motion.flow).clamp(0, 1)
    lit = motion.light * moved
    return (lit + motion.noise).clamp(0, 1), luminance(lit - moved)


def stability_loss(first: Tensor, second: Tensor, change: Tensor, motion: Motion, border: int) -> Tensor:
    """Mean squared difference of the ``second`` pictures to the ``first`` ones moved along; the mean of (B,), a scalar.

    Args:
        first, second: pictures (B, 3, H, W) of the photographs and of their second views.
        change: of luminance between the photographs, (B, 1, H, W).
        border: pixels along the edges of both views that do not count.
    """
    first, second = first.float(), second.float()
    seen = inside(motion.flow, border)
    difference = (second - warped(first, motion.flow) - change) * seen
    pixels = 3 * seen.sum((1, 2, 3)).clamp_min(1)
    variance = first.detach().var((1, 2, 3), correction=0).clamp_min(LEAST_VARIANCE)
    return (difference.square().sum((1, 2, 3)) / (pixels * variance)).mean()


def warped(images: Tensor, flow: Tensor) -> Tensor:
    """``images`` (B, C, H, W) at the places that ``flow`` (B, 2, H, W) points to, bicubic; mirrored beyond their edges."""
    height, width = images.shape[-2:]
    places = _places(flow)
    scale = places.new_tensor([2 / width, 2 / height])
    grid = (places.permute(0, 2, 3, 1) + 0.5) * scale - 1  # from pixels to [-1, 1], as grid_sample counts
    return F.grid_sample(images.float(), grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def inside(flow: Tensor, border: int) -> Tensor:
    """1 where a pixel is ``border`` or more from the edges in both views, else 0, shape (B, 1, H, W)."""
    here = _near_center(_places(torch.zeros_like(flow)), border)
    return here * _near_center(_places(flow), border)


def _near_center(places: Tensor, border: int) -> Tensor:
    last = places.new_tensor([places.shape[-1] - 1, places.shape[-2] - 1]).view(1, 2, 1, 1)
    return ((places >= border) & (places <= last - border)).all(1, keepdim=True).float()


def _places(flow: Tensor) -> Tensor:
    """Column and row of each pixel, moved by ``flow``, shape (B, 2, H, W)."""
    height, width = flow.shape[-2:]
    rows, columns = torch.arange(height, device=flow.device), torch.arange(width, device=flow.device)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy")) + flow


def _smooth(count: int, channels: int, size: tuple[int, int], cell: int, random: torch.Generator) -> Tensor:
    """Smooth fields of standard normal values every ``cell`` pixels, (count, channels, *size)."""
    coarse = [math.ceil(side / cell) + 1 for side in size]
    values = torch.randn(count, channels, *coarse, generator=random)
    return F.interpolate(values, size=size, mode="bicubic", align_corners=True)
