"""Fine-tuning of a trained base to a new painting (Dumoulin et al. 2017, sec. 3.2, who train only the norms' rows).

Departures from the paper: the new row starts as a mixture of the base's rows, in the painting's colors, not at random; and
all of the network may be trained, which gives up the base's other styles for a better one, from kernels that are as long as
new ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fast_nst.errors import UserError, unknown
from fast_nst.functional.color import apply_transport, color_transport
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.networks.layers import ConvNorm
from fast_nst.networks.transformer_net import TransformerNet, copy_rows, one_row, with_rows
from fast_nst.style_rows import IDENTITY, strong

MIXED = 8  # rows of the base in a mixture, at most
MIXING_STEPS, MIXING_RATE = 16, 0.3
RANKING_SIDE, MIXING_SIDE = 96, 128  # pixels a side of the photographs


class Start(NamedTuple):
    """Start of a new row: ``weights`` (S,) of the base's rows, its colors x moved to ``change`` x + ``offset``."""

    weights: Tensor
    change: Tensor  # (3, 3)
    offset: Tensor  # (3,)


def add_styles(base: TransformerNet, starts: Mapping[str, Start], only_rows: bool) -> TransformerNet:
    """``base`` with a new row for each name in ``starts``.

    Args:
        only_rows: keep the base's styles, and train nothing but the new rows; otherwise the new network has ``identity`` and
            the new rows alone, and learns as a whole.
    Raises:
        UserError: with ``only_rows``, a name that the base has.
    """
    taken = [name for name in starts if name in base.styles]
    if only_rows and taken:
        raise UserError(f"the base has a style called {taken[0]} already; choose another --name")
    first = next(iter(starts.values())).weights
    identity = one_row(base, IDENTITY) if IDENTITY in base.styles else first
    kept = {name: one_row(base, name) for name in base.styles} if only_rows else {}
    network = with_rows(base, {IDENTITY: identity, **kept} | {name: start.weights for name, start in starts.items()})
    for name, start in starts.items():
        network.recolor(network.styles.index(name), start.change, start.offset)
    if only_rows:
        train_only(network, [network.styles.index(name) for name in starts])
    return network


@torch.no_grad()
def rescale_kernels(network: TransformerNet) -> None:
    """Make every kernel that a norm follows as long as a new network's; the pictures stay as they are.

    The norm undoes the length of a kernel W, which learns by its direction alone, and a step of some length turns it the
    less, the longer it is (van Laarhoven 2017, arXiv 1706.05350). Training makes kernels longer from step to step, so that
    a network that has learnt for hours hardly turns at the rate at which a new one does. A new kernel of O filters, uniform
    and of variance 1 / (3 I k^2), has a length of sqrt(O / 3).
    """
    for block in network.modules():
        if isinstance(block, ConvNorm):
            factor = math.sqrt(block.conv.out_channels / 3) / block.conv.weight.norm().clamp_min(1e-12)
            for parameter in block.conv.parameters():
                parameter.mul_(factor)


def add_strong_rows(base: TransformerNet, styles: Sequence[str]) -> TransformerNet:
    """``base`` with a strong row for each of its ``styles``, which starts as the style's own, to be trained alone.

    Raises:
        UserError: a style that the base does not have.
    """
    for style in styles:
        if style not in base.styles or IDENTITY not in base.styles:
            known = [base.styles[row] for row in base.style_rows]
            raise unknown("style in the base, whose styles --finetune strong takes by their pictures' names:", style, known)
    copies = {strong(style): style for style in styles}
    network = copy_rows(base, {name: name for name in base.styles} | copies)
    train_only(network, [network.styles.index(name) for name in copies])
    return network


def train_only(network: TransformerNet, rows: Sequence[int]) -> None:
    """Freeze ``network`` but for ``rows`` of its tables."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for table in network.style_parameters().values():
        mask = torch.zeros_like(table)
        mask[list(rows)] = 1
        table.requires_grad_(True)
        table.register_hook(lambda gradient, mask=mask: gradient * mask.to(gradient.device))


def same_style(base: TransformerNet, name: str) -> Start:
    """The base's own row ``name``, as it is."""
    return Start(one_row(base, name), torch.eye(3), torch.zeros(3))


def choose_start(base: TransformerNet, criterion: PerceptualLoss, style: int, painting: Tensor, photos: Tensor) -> Start:
    """The mixture of the base's rows whose pictures, in the painting's colors, come nearest to style picture ``style``.

    The nearest ``MIXED`` rows are found by drawing a small photograph in every style; their weights, which are positive and
    sum to 1, by some steps of Adam on the style loss.

    Args:
        criterion: judges, and knows the painting as ``style``.
        painting: shape (3, h, w), in [0, 1].
        photos: shape (B, 3, H, W), in [0, 1].
    """
    base.eval().requires_grad_(False)
    small = F.interpolate(
        photos[:1], size=(RANKING_SIDE, RANKING_SIDE), mode="bilinear", antialias=True, align_corners=False
    )
    nearest = _nearest_rows(base, criterion, style, painting, small)
    larger = F.interpolate(photos, size=(MIXING_SIDE, MIXING_SIDE), mode="bilinear", antialias=True, align_corners=False)
    start = _mixture(base, criterion, style, painting, larger, nearest)
    base.requires_grad_(True)
    return start


@torch.no_grad()
def _nearest_rows(
    base: TransformerNet, criterion: PerceptualLoss, style: int, painting: Tensor, photos: Tensor
) -> list[int]:
    """The rows of styles by the style loss of their pictures in the painting's colors, at most ``MIXED``, the best first."""
    found = []
    for row in base.style_rows:
        weights = one_row(base, base.styles[row])
        found.append((_style_loss(base, criterion, style, painting, photos, weights)[0].item(), row))
    return [row for _, row in sorted(found)[:MIXED]]


def _mixture(
    base: TransformerNet, criterion: PerceptualLoss, style: int, painting: Tensor, photos: Tensor, rows: Sequence[int]
) -> Start:
    """The best weights of ``rows`` that were met on the way, and the transport of colors that belongs to them."""
    logits = torch.linspace(1, 0, len(rows)).requires_grad_(True)
    optimizer, found = torch.optim.Adam([logits], MIXING_RATE), list[tuple[float, Start]]()
    for _ in range(MIXING_STEPS if len(rows) > 1 else 1):
        weights = torch.zeros(len(base.styles)).index_add(0, torch.tensor(rows), logits.softmax(0))
        loss, change, offset = _style_loss(base, criterion, style, painting, photos, weights)
        found.append((loss.item(), Start(weights.detach(), change, offset)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return min(found, key=lambda pair: pair[0])[1]


def _style_loss(
    base: TransformerNet, criterion: PerceptualLoss, style: int, painting: Tensor, photos: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The style loss of ``photos`` under row ``weights`` (S,) in the painting's colors, and the transport of colors."""
    pictures = base(photos, weights.expand(len(photos), -1)).clamp(0, 1)
    change, offset = color_transport(pictures.detach(), painting)
    features = criterion.features(apply_transport(pictures, change, offset), criterion.style_layers)
    return criterion.style_loss(features, torch.full((len(photos),), style)).mean(), change, offset
