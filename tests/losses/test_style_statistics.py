import numpy as np
import pytest
import scipy.linalg
import torch

from fast_nst.functional.features import (
    channel_covariance,
    channel_deviations,
    channel_means,
    gram_matrix,
    wasserstein_distance,
)
from fast_nst.losses.style_statistics import STATISTICS


@pytest.fixture(scope="module")
def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(1, 4, 6, 5, generator=generator, dtype=torch.float64) for _ in range(2))


@pytest.fixture(scope="module")
def pixel_weights() -> torch.Tensor:
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return weights / weights.sum()


def as_samples(features: torch.Tensor) -> np.ndarray:
    """Channels by pixels."""
    return features[0].flatten(1).numpy()


def test_moments_and_covariances_are_numpy_s(features):
    samples = as_samples(features[0])
    np.testing.assert_allclose(channel_means(features[0])[0], samples.mean(1))
    np.testing.assert_allclose(channel_deviations(features[0])[0], samples.std(1), rtol=1e-9)
    np.testing.assert_allclose(channel_covariance(features[0])[0], np.cov(samples, ddof=0))


def test_weighted_statistics_are_numpy_s(features, pixel_weights):
    samples, weights = as_samples(features[0]), pixel_weights.flatten().numpy()
    covariance = np.cov(samples, aweights=weights, ddof=0)
    np.testing.assert_allclose(channel_means(features[0], pixel_weights)[0], np.average(samples, axis=1, weights=weights))
    np.testing.assert_allclose(channel_covariance(features[0], pixel_weights)[0], covariance)
    np.testing.assert_allclose(channel_deviations(features[0], pixel_weights)[0], np.diag(covariance) ** 0.5, rtol=1e-9)
    naive = sum(w * np.outer(x, x) for w, x in zip(weights, samples.T, strict=True)) / 4
    np.testing.assert_allclose(gram_matrix(features[0], pixel_weights)[0], naive)


@pytest.mark.parametrize("name", STATISTICS)
def test_the_memory_format_changes_nothing(name, features, pixel_weights):
    last = features[0].contiguous(memory_format=torch.channels_last)
    for weights in (None, pixel_weights):
        found, expected = (STATISTICS[name].measure(one, weights) for one in (last, features[0]))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", STATISTICS)
def test_equal_weights_are_no_weights(name, features):
    equal = torch.full((6, 5), 1 / 30, dtype=torch.float64)
    for plain, weighted in zip(
        STATISTICS[name].measure(features[0]), STATISTICS[name].measure(features[0], equal), strict=True
    ):
        torch.testing.assert_close(weighted, plain)


def test_the_wasserstein_distance_is_that_of_the_textbook(features):
    (mean, covariance), (target_mean, target) = (
        (as_samples(one).mean(1), np.cov(as_samples(one), ddof=0)) for one in features
    )
    root = scipy.linalg.sqrtm(target)
    cross = scipy.linalg.sqrtm(root @ covariance @ root).real
    expected = np.square(mean - target_mean).sum() + np.trace(covariance + target - 2 * cross)
    statistic = STATISTICS["wasserstein"]
    found = statistic.distance(statistic.measure(features[0]), statistic.target(features[1]))
    assert found.item() == pytest.approx(expected / 4, rel=1e-9)


def test_in_one_dimension_wasserstein_compares_means_and_deviations():
    mean, variance = torch.tensor([[2.0]]), torch.tensor([[[9.0]]])
    distance = wasserstein_distance(mean, variance, torch.tensor([[5.0]]), torch.tensor([[[1.0]]]))
    assert distance.item() == pytest.approx((2 - 5) ** 2 + (3 - 1) ** 2)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_is_at_no_distance_from_itself_and_at_its_size_from_nothing(name, features):
    statistic = STATISTICS[name]
    target = statistic.target(features[0])
    assert statistic.distance(statistic.measure(features[0]), target).item() == pytest.approx(0, abs=1e-9)
    nothing = statistic.distance(statistic.measure(torch.zeros_like(features[0])), target).item()
    assert nothing == pytest.approx(statistic.size(target).item(), rel=1e-3)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_a_distance_is_that_of_finite_differences(name, weighted, features, pixel_weights):
    statistic, weights = STATISTICS[name], pixel_weights if weighted else None
    target = statistic.target(features[1])
    torch.autograd.gradcheck(
        lambda x: statistic.distance(statistic.measure(x, weights), target), features[0].clone().requires_grad_()
    )
