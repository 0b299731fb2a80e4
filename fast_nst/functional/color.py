"""Color transfer: Gatys et al. (2016), "Preserving Color in Neural Artistic Style Transfer",
https://arxiv.org/abs/1606.05897, and the linear map between the colors of two pictures of Pitié and Kokaram (2007), "The
linear Monge-Kantorovitch linear colour mapping for example-based colour transfer".

Images are float RGB in [0, 1], shape (B, 3, H, W). Luminance is the Y of YIQ (Rec. 601).

Departures from the paper: none; of its two ways to match color distributions, the one by square roots of covariances.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fast_nst.functional.features import channel_covariance, channel_means, matrix_root

LUMA = (0.299, 0.587, 0.114)
LEAST_VARIANCE = 1e-5  # added to the variance of a style picture's colors, which is divided by
LEAST_NETWORK_VARIANCE = 1e-3  # the same for a network's pictures, whose faint colors are noise


def luminance(images: Tensor) -> Tensor:
    """Y = 0.299 R + 0.587 G + 0.114 B, shape (B, 1, H, W)."""
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def with_colors_of(picture: Tensor, photo: Tensor) -> Tensor:
    """The luminance of ``picture`` with the colors of ``photo`` (its I and Q), clamped to [0, 1] (sec. 3.2)."""
    return (photo + luminance(picture) - luminance(photo)).clamp(0, 1)


def gray_like(style: Tensor, photo: Tensor) -> Tensor:
    """``style`` as a gray picture whose luminance has the mean and standard deviation of ``photo``'s (sec. 3.2, eq. 3)."""
    gray, target = luminance(style), luminance(photo)
    matched = (gray - gray.mean()) / gray.std().clamp_min(LEAST_VARIANCE**0.5) * target.std() + target.mean()
    return matched.clamp(0, 1).expand(-1, 3, -1, -1)


def match_colors(style: Tensor, photo: Tensor) -> Tensor:
    """``style`` with the mean and covariance of the colors of ``photo`` (sec. 3.1, eq. 1 and 2).

    x -> A (x - m) + t with A = T^1/2 S^-1/2, clamped to [0, 1], for batches of one picture.
    """
    covariance = channel_covariance(style) + LEAST_VARIANCE * torch.eye(3)
    change = matrix_root(channel_covariance(photo)) @ torch.linalg.inv(matrix_root(covariance))  # (1, 3, 3)
    centered = (style - channel_means(style)[..., None, None]).flatten(2)
    return ((change @ centered).view_as(style) + channel_means(photo)[..., None, None]).clamp(0, 1)


def color_transport(pictures: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest change that gives the colors of all ``pictures`` together the mean and covariance of ``target``'s.

    x -> A x + b with A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2, the optimal transport between normal distributions, where S and
    T are the covariances of the colors (Pitié and Kokaram 2007, eq. 10); 0.001 is added to S's diagonal.

    Args:
        pictures: shape (B, 3, H, W).
        target: shape (3, h, w).
    Returns:
        A, shape (3, 3), symmetric, and b, shape (3,).
    """
    pixels = pictures.transpose(0, 1).flatten(1)[None, :, :, None]  # (1, 3, B*H*W, 1)
    root = matrix_root(channel_covariance(pixels) + LEAST_NETWORK_VARIANCE * torch.eye(3))
    inverse = torch.linalg.inv(root)
    change = (inverse @ matrix_root(root @ channel_covariance(target[None]) @ root) @ inverse)[0]
    return change, channel_means(target[None])[0] - change @ channel_means(pixels)[0]


def apply_transport(pictures: Tensor, change: Tensor, offset: Tensor) -> Tensor:
    """x -> A x + b for every pixel of ``pictures`` (B, 3, H, W), clamped to [0, 1]."""
    moved = (change @ pictures.flatten(2)).view_as(pictures) + offset.view(3, 1, 1)
    return moved.clamp(0, 1)
