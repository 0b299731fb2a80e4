"""Pure tensor functions: the statistics of neural style transfer.

Feature maps have shape (B, C, H, W). Statistics are computed in float32 whatever the dtype of the features, since sums
over thousands of pixels lose or overflow half precision.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations of a feature map, the style statistic of Gatys et al. (2016), eq. 3, as Johnson et al. scale it.

    G[b, i, j] = sum over pixels of F[b, i] * F[b, j] / (C * H * W)

    Other implementations divide by H * W alone, or not at all.

    Args:
        features: activations, shape (B, C, H, W).
    Returns:
        symmetric matrices, shape (B, C, C), float32 (float64 for float64 features).
    Raises:
        ValueError: ``features`` is not four-dimensional.
    """
    if features.dim() != 4:
        raise ValueError(f"gram_matrix needs features of shape (B, C, H, W), got {tuple(features.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        flat = at_least_float32(features).flatten(2)  # (B, C, H*W)
        return flat @ flat.mT / (flat.shape[1] * flat.shape[2])


def total_variation(images: Tensor) -> Tensor:
    """Roughness of pictures: the mean squared difference of neighbours, down plus across (Johnson et al. 2016, sec. 3.2).

    mean (x[i+1, j] - x[i, j])^2 + mean (x[i, j+1] - x[i, j])^2

    Johnson et al. and most implementations sum the squares instead; the mean does not depend on the size.

    Args:
        images: shape (B, 3, H, W), range [0, 1].
    Returns:
        a scalar in [0, 2] for pictures in [0, 1].
    """
    images = at_least_float32(images)
    down = (images[..., 1:, :] - images[..., :-1, :]).square().mean()
    across = (images[..., :, 1:] - images[..., :, :-1]).square().mean()
    return down + across


def energy(target: Tensor) -> Tensor:
    """Mean square of a target, the unit in which normalised losses are measured; at least 1e-12."""
    return at_least_float32(target).square().mean().clamp_min(1e-12)


def structure_correlation(features: Tensor, reference: Tensor) -> Tensor:
    """How much of a photograph is still there: structure r.

    Pearson's correlation, over pixels, of each channel of ``features`` with the same channel of ``reference``, averaged
    over channels and pictures. Channels that are constant in either map count as 0. Content distance cannot tell a
    stylised photograph from a texture that ignores it; this can.

    Args:
        features: activations of the result, shape (B, C, H, W).
        reference: activations of the photograph, same shape.
    Returns:
        a scalar in [-1, 1].
    """
    a = at_least_float32(features).flatten(2)  # (B, C, H*W)
    b = at_least_float32(reference).flatten(2)
    a = a - a.mean(2, keepdim=True)
    b = b - b.mean(2, keepdim=True)
    norms = (a.square().sum(2) * b.square().sum(2)).sqrt()
    return ((a * b).sum(2) / norms.clamp_min(1e-12)).mean()


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in float32, or untouched if they are float64."""
    return values if values.dtype == torch.float64 else values.float()
