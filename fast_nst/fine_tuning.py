"""A new painting from a trained base: Dumoulin et al. (2017), sec. 3.2, trained only the norms' rows of a new style.

Departures from the paper: the new row starts as the base's row that suits the painting best, not at random; and all of the
network may be trained, which gives up the base's other styles for a better one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fast_nst.errors import UserError
from fast_nst.losses import PerceptualLoss
from fast_nst.networks.transformer_net import TransformerNet, rearranged
from fast_nst.settings import IDENTITY


def grown(base: TransformerNet, names: Sequence[str], starts: Sequence[str], only_rows: bool) -> TransformerNet:
    """``base`` with a row for each of ``names``, which starts as a copy of the row in ``starts``.

    Args:
        only_rows: keep the base's styles, and train nothing but the new rows; otherwise the new network has ``identity`` and
            ``names`` alone, and learns as a whole.
    Raises:
        UserError: with ``only_rows``, a name that the base has.
    """
    taken = [name for name in names if name in base.styles]
    if only_rows and taken:
        raise UserError(f"the base has a style called {taken[0]} already; choose another --name")
    identity = IDENTITY if IDENTITY in base.styles else starts[0]
    kept = {name: name for name in base.styles} if only_rows else {}
    network = rearranged(base, {IDENTITY: identity, **kept, **dict(zip(names, starts, strict=True))})
    if only_rows:
        train_only(network, [network.styles.index(name) for name in names])
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


@torch.no_grad()
def closest_styles(base: TransformerNet, criterion: PerceptualLoss, photos: Tensor) -> list[str]:
    """For each style picture of ``criterion``, the style of ``base`` whose pictures of ``photos`` come nearest to it."""
    base, losses = base.eval(), []
    for row in base.painted_rows:
        features = criterion.network(base(photos, base.mixture([row] * len(photos), like=photos)))
        styles = range(criterion.styles)
        losses.append([criterion.style_loss(features, torch.full((len(photos),), style)).mean() for style in styles])
    nearest = torch.tensor(losses).argmin(0)  # (styles of the criterion,)
    return [base.styles[base.painted_rows[index]] for index in nearest]
