import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_nst.functional.features import energy, gram_matrix, structure_correlation, total_variation


def test_gram_matrix_equals_the_paper_s_sum_written_as_loops():
    features = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    expected = np.zeros((2, 3, 3))
    for b, i, j in np.ndindex(2, 3, 3):
        expected[b, i, j] = sum(features[b, i, y, x] * features[b, j, y, x] for y in range(4) for x in range(5)) / (
            3 * 4 * 5
        )
    torch.testing.assert_close(gram_matrix(features), torch.from_numpy(expected))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
def test_gram_matrix_does_not_change_when_the_image_is_tiled(rows, columns, seed):
    features = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, rows, columns)), gram_matrix(features))


def test_gram_matrix_of_half_precision_features_does_not_overflow():
    assert torch.isfinite(gram_matrix(torch.full((1, 2, 64, 64), 300.0, dtype=torch.float16))).all()


def test_gram_matrix_under_autocast_is_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gram_matrix(torch.rand(1, 4, 8, 8)).dtype == torch.float32


def test_gram_matrix_refuses_features_without_a_batch():
    with pytest.raises(ValueError, match="got \\(3, 4, 5\\)"):
        gram_matrix(torch.rand(3, 4, 5))


def test_total_variation_of_a_checkerboard_is_two():
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    assert total_variation(board.float().expand(1, 3, 8, 8)) == 2


def test_total_variation_of_a_ramp_is_its_squared_slope():
    ramp = (torch.arange(10) * 0.1).expand(1, 3, 6, 10)
    torch.testing.assert_close(total_variation(ramp), torch.tensor(0.01))


def test_energy_is_the_mean_square():
    assert energy(torch.tensor([3.0, 4.0])) == 12.5


def test_structure_correlation_equals_numpy_s_correlation_averaged_over_channels():
    a, b = torch.rand(2, 3, 7, 5), torch.rand(2, 3, 7, 5)
    pairs = [[(a[i, c].flatten().numpy(), b[i, c].flatten().numpy()) for c in range(3)] for i in range(2)]
    expected = [np.mean([np.corrcoef(*pair)[0, 1] for pair in channels]) for channels in pairs]
    assert structure_correlation(a, b).tolist() == pytest.approx(expected, abs=1e-5)


def test_structure_correlation_ignores_brightness_and_contrast_but_not_rearrangement():
    features = torch.rand(1, 4, 16, 16)
    assert structure_correlation(3 * features + 1, features).item() == pytest.approx(1, abs=1e-4)
    assert abs(structure_correlation(features.flatten(2).flip(2).view_as(features), features).item()) < 0.2


def test_structure_correlation_of_a_constant_is_zero():
    assert structure_correlation(torch.ones(1, 2, 4, 4), torch.rand(1, 2, 4, 4)) == 0


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_a_gram_matrix_is_that_of_finite_differences_in_either_memory_format(memory_format):
    features = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.rand(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for pixels in (None, weights / weights.sum()):
        torch.autograd.gradcheck(
            lambda x, pixels=pixels: gram_matrix(x.contiguous(memory_format=memory_format), pixels),
            features.clone().requires_grad_(),
        )
    torch.testing.assert_close(gram_matrix(features.contiguous(memory_format=memory_format)), gram_matrix(features))
