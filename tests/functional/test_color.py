import numpy as np
import pytest
import skimage.color
import torch

from fast_nst.functional.color import apply_transport, color_transport, gray_like, luminance, match_colors, with_colors_of


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(1, 3, 8, 9, generator=generator) for _ in range(2))
    return 0.3 + 0.4 * first, 0.35 + 0.3 * second.mean(1, keepdim=True) + 0.1 * second


def yiq(image: torch.Tensor) -> np.ndarray:
    return skimage.color.rgb2yiq(image[0].permute(1, 2, 0).numpy())


def test_luminance_is_scikit_image_s_y(pictures):
    np.testing.assert_allclose(luminance(pictures[0])[0, 0], yiq(pictures[0])[..., 0], atol=1e-6)


def test_a_picture_in_a_photo_s_colors_has_its_own_y_and_the_photo_s_i_and_q(pictures):
    picture = 0.5 + 0.2 * (pictures[0] - 0.5)  # nothing leaves [0, 1]
    mixed = yiq(with_colors_of(picture, pictures[1]))
    np.testing.assert_allclose(mixed[..., 0], yiq(picture)[..., 0], atol=1e-5)
    np.testing.assert_allclose(mixed[..., 1:], yiq(pictures[1])[..., 1:], atol=2e-4)


def test_a_gray_style_has_the_photo_s_spread_of_luminance(pictures):
    gray, target = gray_like(*pictures), luminance(pictures[1])
    assert torch.equal(gray[:, 0], gray[:, 2])
    assert (gray.mean().item(), gray[:, 0].std().item()) == pytest.approx((target.mean().item(), target.std().item()))


def test_matched_colors_have_the_photo_s_mean_and_covariance(pictures):
    matched, photo = (image[0].flatten(1).double().numpy() for image in (match_colors(*pictures), pictures[1]))
    np.testing.assert_allclose(matched.mean(1), photo.mean(1), atol=1e-3)
    np.testing.assert_allclose(np.cov(matched), np.cov(photo), atol=1e-4)


def test_a_gray_style_can_be_recolored(pictures):
    gray = luminance(pictures[0]).expand(-1, 3, -1, -1)
    assert torch.isfinite(match_colors(gray, pictures[1])).all()
    assert torch.isfinite(gray_like(torch.full((1, 3, 4, 4), 0.5), pictures[1])).all()


def test_transport_gives_colors_the_target_s_mean_and_covariance(pictures):
    several, target = torch.cat([pictures[0], 1 - pictures[0]]).double(), pictures[1][0].double()
    change, offset = color_transport(several, target)
    assert torch.allclose(change, change.T, atol=1e-6)
    moved = (change @ several.flatten(2)).transpose(0, 1).flatten(1).numpy() + offset[:, None].numpy()
    spread = np.cov(several.transpose(0, 1).flatten(1).numpy(), bias=True) + 0.001 * np.eye(3)
    wanted = np.cov(target.flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(moved.mean(1), target.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(change.numpy() @ spread @ change.numpy(), wanted, atol=1e-6)


def test_colors_that_are_right_already_hardly_move():
    picture = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    both = picture.transpose(0, 1).flatten(2)  # (3, 2, 1600)
    moved = apply_transport(picture, *color_transport(picture, both))
    assert (moved - picture).abs().max() < 0.01
