"""The photograph's own colours kept: Gatys et al. (2016), "Preserving Color in Neural Artistic Style Transfer",
https://arxiv.org/abs/1606.05897.

Images are float RGB in [0, 1], shape (B, 3, H, W). Luminance is the Y of YIQ (Rec. 601).

Departures from the paper: none; of its two matchings of colour distributions, the one by square roots of covariances.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fast_nst.functional import channel_covariance, channel_means, matrix_root

LUMA = (0.299, 0.587, 0.114)
LEAST_VARIANCE = 1e-5  # of a colour that is hardly there, so that dividing by its spread stays tame


def luminance(images: Tensor) -> Tensor:
    """Y = 0.299 R + 0.587 G + 0.114 B, shape (B, 1, H, W)."""
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def with_colours_of(picture: Tensor, photo: Tensor) -> Tensor:
    """The luminance of ``picture`` with the colours of ``photo`` (its I and Q), clamped to [0, 1] (sec. 3.2)."""
    return (photo + luminance(picture) - luminance(photo)).clamp(0, 1)


def grey_like(style: Tensor, photo: Tensor) -> Tensor:
    """``style`` as a grey picture whose luminance has the mean and the spread of ``photo``'s (sec. 3.2, eq. 3)."""
    grey, target = luminance(style), luminance(photo)
    matched = (grey - grey.mean()) / grey.std().clamp_min(LEAST_VARIANCE**0.5) * target.std() + target.mean()
    return matched.clamp(0, 1).expand(-1, 3, -1, -1)


def match_colours(style: Tensor, photo: Tensor) -> Tensor:
    """``style`` recoloured so that the mean and covariance of its colours are those of ``photo`` (sec. 3.1, eq. 1 and 2).

    x -> A (x - m) + t with A = T^1/2 S^-1/2, clamped to [0, 1], for pictures of one row each.
    """
    spread = channel_covariance(style) + LEAST_VARIANCE * torch.eye(3)
    change = matrix_root(channel_covariance(photo)) @ torch.linalg.inv(matrix_root(spread))  # (1, 3, 3)
    centred = (style - channel_means(style)[..., None, None]).flatten(2)
    return ((change @ centred).view_as(style) + channel_means(photo)[..., None, None]).clamp(0, 1)
