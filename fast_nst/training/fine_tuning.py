"""A new painting from a trained base: Dumoulin et al. (2017), sec. 3.2, trained only the norms' rows of a new style.

Departures from the paper: the new row starts as the base's row that suits the painting best, in the painting's colours, not
at random; and all of the network may be trained, which gives up the base's other styles for a better one, from kernels that
are as long as new ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fast_nst.errors import UserError, unknown
from fast_nst.functional.color import apply_transport, color_transport
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.networks.layers import ConvNorm
from fast_nst.networks.transformer_net import TransformerNet, rearranged
from fast_nst.style_rows import IDENTITY, strong


class Start(NamedTuple):
    """Where a new row starts: as the row ``style`` of the base, its colours x moved to ``change`` x + ``offset``."""

    style: str
    change: Tensor  # (3, 3)
    offset: Tensor  # (3,)


def grown(base: TransformerNet, starts: Mapping[str, Start], only_rows: bool) -> TransformerNet:
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
    sources = {name: start.style for name, start in starts.items()}
    identity = IDENTITY if IDENTITY in base.styles else next(iter(sources.values()))
    kept = {name: name for name in base.styles} if only_rows else {}
    network = rearranged(base, {IDENTITY: identity, **kept, **sources})
    for name, start in starts.items():
        network.recolour(network.styles.index(name), start.change, start.offset)
    if only_rows:
        train_only(network, [network.styles.index(name) for name in starts])
    return network


@torch.no_grad()
def refresh(network: TransformerNet) -> None:
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
                parameter *= factor


def strengthened(base: TransformerNet, styles: Sequence[str]) -> TransformerNet:
    """``base`` with a strong row for each of its ``styles``, which starts as the style's own, to be trained alone.

    Raises:
        UserError: a style that the base does not have.
    """
    for style in styles:
        if style not in base.styles or IDENTITY not in base.styles:
            known = [base.styles[row] for row in base.painted_rows]
            raise unknown("style in the base, whose styles --finetune strong takes by their pictures' names:", style, known)
    copies = {strong(style): style for style in styles}
    network = rearranged(base, {name: name for name in base.styles} | copies)
    train_only(network, [network.styles.index(name) for name in copies])
    return network


def train_only(network: TransformerNet, rows: Sequence[int]) -> None:
    """Freeze ``network`` but for ``rows`` of its tables."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for table in network.tables().values():
        mask = torch.zeros_like(table)
        mask[list(rows)] = 1
        table.requires_grad_(True)
        table.register_hook(lambda gradient, mask=mask: gradient * mask.to(gradient.device))


def same_style(name: str) -> Start:
    """The base's own row ``name``, as it is."""
    return Start(name, torch.eye(3), torch.zeros(3))


@torch.no_grad()
def closest_start(base: TransformerNet, criterion: PerceptualLoss, style: int, painting: Tensor, photos: Tensor) -> Start:
    """The style of ``base`` whose pictures, in the painting's colours, come nearest to style picture ``style``.

    Args:
        criterion: judges, and knows the painting as ``style``.
        painting: shape (3, h, w), in [0, 1].
        photos: shape (B, 3, H, W), in [0, 1].
    """
    base, styles, found = base.eval(), torch.full((len(photos),), style), []
    for row in base.painted_rows:
        pictures = base(photos, base.mixture([row] * len(photos), like=photos)).clamp(0, 1)
        start = Start(base.styles[row], *color_transport(pictures, painting))
        features = criterion.network(apply_transport(pictures, start.change, start.offset))
        found.append((criterion.style_loss(features, styles).mean().item(), start))
    return min(found, key=lambda pair: pair[0])[1]
