"""Statistics of feature maps and pictures: Gram matrices, moments, distances, total variation, structure r.

Feature maps have shape (B, C, H, W). Statistics are computed in float32 whatever the dtype of the features, since sums
over thousands of pixels lose precision or overflow in half precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def gram_matrix(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Channel correlations of a feature map, the style statistic of Gatys et al. (2016), eq. 3, as Johnson et al. scale it.

    G[b, i, j] = sum over pixels of F[b, i] * F[b, j] / (C * H * W)

    Other implementations divide by H * W alone, or not at all.

    Args:
        features: activations, shape (B, C, H, W).
        weights: weight of each pixel, shape (H, W), summing to 1 (none: all equal), for the guided Gram matrices of Gatys et
            al. (2017), https://arxiv.org/abs/1611.07865, sec. 4.1.
    Returns:
        symmetric matrices, shape (B, C, C), float32 (float64 for float64 features).
    Raises:
        ValueError: ``features`` is not four-dimensional.
    """
    if features.dim() != 4:
        raise ValueError(f"gram_matrix needs features of shape (B, C, H, W), got {tuple(features.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        return _second_moments(at_least_float32(features), weights) / features.shape[1]


def channel_means(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of every channel over pixels, weighted by ``weights`` (H, W) summing to 1: (B, C, H, W) -> (B, C)."""
    features = at_least_float32(features)
    if features.is_contiguous(memory_format=torch.channels_last):
        flat, pixels = features.permute(0, 2, 3, 1).flatten(1, 2), 1  # (B, H*W, C): a view, and the faster sum
    else:
        flat, pixels = features.flatten(2), 2  # (B, C, H*W)
    if weights is None:
        return flat.mean(pixels)
    shares = weights.flatten().to(flat.dtype)
    return flat @ shares if pixels == 2 else shares @ flat


def channel_deviations(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Standard deviation of every channel over pixels, shape (B, C): the statistic of Li et al. (2017), sec. 4.2.

    sqrt(sum over pixels of w (F - mean)^2 + 1e-12); the small number keeps the gradient of constant channels finite.

    Source: https://arxiv.org/abs/1701.01036.
    """
    centered = at_least_float32(features) - channel_means(features, weights)[..., None, None]
    return (channel_means(centered.square(), weights) + 1e-12).sqrt()


def channel_covariance(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Covariance of channels over pixels, weighted by ``weights`` (H, W) summing to 1: shape (B, C, C)."""
    with torch.autocast(features.device.type, enabled=False):
        return _second_moments(at_least_float32(features) - channel_means(features, weights)[..., None, None], weights)


def _second_moments(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over pixels of F[i] * F[j], shape (B, C, C), computed in the memory format that ``features`` have."""
    if weights is not None:
        features = features * weights.sqrt().to(features.dtype)
    if features.is_contiguous(memory_format=torch.channels_last):
        flat = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H*W, C)
        products = _Products.apply(flat, True)
    else:
        flat = features.flatten(2)  # (B, C, H*W)
        products = _Products.apply(flat, False)
    return products if weights is not None else products / (features.shape[2] * features.shape[3])


class _Products(torch.autograd.Function):
    """X^T X, or X X^T. Its gradient takes one matrix product; that of ``x.mT @ x`` takes two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, of_columns: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.of_columns = of_columns
        return x.mT @ x if of_columns else x @ x.mT

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        both = gradient + gradient.mT
        return (x @ both if ctx.of_columns else both @ x), None


def matrix_root(matrices: Tensor) -> Tensor:
    """The symmetric square root of positive semi-definite ``matrices`` (..., C, C); eigenvalues below 0 count as 0."""
    values, vectors = torch.linalg.eigh(matrices)
    return vectors * values.clamp_min(0).sqrt()[..., None, :] @ vectors.mT


def wasserstein_distance(mean: Tensor, covariance: Tensor, target_mean: Tensor, target_root: Tensor) -> Tensor:
    """Squared Wasserstein-2 distance between normal distributions, shape (B,).

    |m - t|^2 + tr(S) + tr(T) - 2 tr((T^1/2 S T^1/2)^1/2)

    The last trace is the sum of the square roots of eigenvalues, which are clamped to (1e-4 * mean variance of T)^2 from
    below, as the square root has no gradient at 0.

    Args:
        mean, covariance: m and S, shapes (B, C) and (B, C, C).
        target_mean: t, shape (B, C).
        target_root: T^1/2, shape (B, C, C), from ``matrix_root``.
    Source: Olkin and Pukelsheim (1982); as a style statistic, https://github.com/crowsonkb/style-transfer-pytorch.
    """
    with torch.autocast(mean.device.type, enabled=False):
        variance = target_root.square().sum((1, 2))  # tr(T), as T^1/2 is symmetric
        least = (1e-4 * variance / mean.shape[1]).square()[:, None]
        shared = torch.linalg.eigvalsh(target_root @ covariance @ target_root)
        overlap = torch.maximum(shared, least).sqrt().sum(1)
        traces = covariance.diagonal(dim1=1, dim2=2).sum(1) + variance
        return (mean - target_mean).square().sum(1) + traces - 2 * overlap


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, down plus across (Johnson et al. 2016, sec. 3.2).

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


def without_edge(images: Tensor, edge: int) -> Tensor:
    """``images`` or features (B, C, H, W) without ``edge`` pixels on each side, contiguous in the same memory format."""
    height, width = images.shape[-2:]
    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return images[..., edge : height - edge, edge : width - edge].contiguous(memory_format=layout)


def energy(target: Tensor) -> Tensor:
    """Mean square of a target, by which normalized losses are divided; at least 1e-12."""
    return at_least_float32(target).square().mean().clamp_min(1e-12)


def structure_correlation(features: Tensor, reference: Tensor) -> Tensor:
    """Structure r: how much of a photograph's layout a picture keeps.

    Pearson's correlation, over pixels, of each channel of ``features`` with the same channel of ``reference``, averaged
    over channels. Channels that are constant in either map count as 0. Unlike the content distance, it distinguishes a
    stylized photograph from a texture that ignores it.

    Args:
        features: activations of the result, shape (B, C, H, W).
        reference: activations of the photograph, same shape.
    Returns:
        one number for each picture, shape (B,), in [-1, 1].
    """
    a = at_least_float32(features).flatten(2)  # (B, C, H*W)
    b = at_least_float32(reference).flatten(2)
    a = a - a.mean(2, keepdim=True)
    b = b - b.mean(2, keepdim=True)
    norms = (a.square().sum(2) * b.square().sum(2)).sqrt()
    return ((a * b).sum(2) / norms.clamp_min(1e-12)).mean(1)


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in float32, or untouched if they are float64."""
    return values if values.dtype == torch.float64 else values.float()
