import pytest
import torch

from fast_nst.losses.stability import (
    LONGEST_SHIFT,
    Motion,
    inside,
    random_motion,
    second_view,
    stability_loss,
    warped,
)


@pytest.fixture
def photos() -> torch.Tensor:
    return torch.rand(2, 3, 64, 72, generator=torch.Generator().manual_seed(0))


def shift(right: int, down: int, like: torch.Tensor) -> Motion:
    """A shift alone: the second view shows at (x, y) what the first shows at (x + right, y + down)."""
    flow = torch.tensor([right, down], dtype=torch.float32).view(1, 2, 1, 1).expand(len(like), 2, *like.shape[-2:])
    return Motion(flow, torch.ones_like(like[:, :1]), torch.zeros_like(like))


def test_a_shift_by_whole_pixels_moves_pixels_as_they_are(photos):
    moved = warped(photos, shift(3, -2, photos).flow)
    torch.testing.assert_close(moved[:, :, 2:, :-3], photos[:, :, :-2, 3:], atol=1e-5, rtol=0)


def test_what_counts_is_as_far_from_the_edges_of_both_views(photos):
    """Of 64 x 72 pixels, 4 on each side are left out, and 3 columns and 2 rows more, that the other view has at its edge."""
    seen = inside(shift(3, -2, photos).flow, 4)
    assert seen[0, 0].sum() == (64 - 8 - 2) * (72 - 8 - 3)
    assert seen[0, 0, 6:-4, 4:-7].all()


def test_a_network_that_commutes_with_shifts_has_no_loss_and_one_with_a_grid_has(photos):
    kernel = torch.rand(3, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    columns = torch.arange(72) % 2 * 0.5
    motion = shift(3, 1, photos)
    views, change = second_view(photos, motion)

    def loss_of(network):
        return stability_loss(network(photos), network(views), change, motion, 4).item()

    assert loss_of(lambda x: torch.nn.functional.conv2d(x, kernel, padding=1)) == pytest.approx(0, abs=1e-8)
    assert loss_of(lambda x: x + columns) > 0.1


def test_the_loss_is_the_mean_square_difference_over_the_variance_of_the_picture(photos):
    motion = shift(2, 5, photos)
    second = warped(photos, motion.flow) + 0.1
    expected = sum(0.1**2 / one.var(correction=0) for one in photos) / 2
    found = stability_loss(photos, second, torch.zeros(2, 1, 64, 72), motion, 8)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)


def test_a_picture_may_change_as_much_as_the_luminance_of_the_photograph(photos):
    gray = photos[:, :1].expand(-1, 3, -1, -1) * 0.8
    darker = shift(1, 1, photos)._replace(light=torch.full((2, 1, 64, 72), 0.9))
    views, change = second_view(gray, darker)
    torch.testing.assert_close(change, -0.1 * warped(gray, darker.flow).clamp(0, 1)[:, :1], atol=1e-5, rtol=0)
    assert stability_loss(gray, views, change, darker, 4).item() == pytest.approx(0, abs=1e-6)
    assert stability_loss(gray, views, torch.zeros_like(change), darker, 4) > 0.005


def test_motion_is_one_for_a_seed_and_half_of_it_is_a_shift_by_whole_pixels():
    motion, again, other = (random_motion(4, 64, 96, seed) for seed in (7, 7, 8))
    assert all(torch.equal(*pair) for pair in zip(motion, again, strict=True))
    assert not torch.equal(motion.flow, other.flow)
    straight = [torch.equal(flow, flow[:, :1, :1].expand_as(flow)) for flow in motion.flow]
    assert sum(straight) == 2
    shifts = motion.flow[straight.index(True), :, 0, 0]
    assert torch.equal(shifts, shifts.round()) and shifts.abs().max() <= LONGEST_SHIFT


def test_gradients_reach_both_pictures(photos):
    first, second = photos.clone().requires_grad_(), photos.flip(3).requires_grad_()
    stability_loss(first, second, torch.zeros(2, 1, 64, 72), shift(1, 0, photos), 4).backward()
    assert first.grad.abs().sum() > 0 and second.grad.abs().sum() > 0


def test_a_picture_of_one_color_and_a_crop_without_pixels_that_count_have_a_finite_loss():
    flat = torch.full((1, 3, 32, 32), 0.5)
    motion = shift(10, 10, flat)
    assert stability_loss(flat, flat, torch.zeros(1, 1, 32, 32), motion, 4) == pytest.approx(0, abs=1e-9)
    assert stability_loss(flat, flat + 1, torch.zeros(1, 1, 32, 32), motion, 16) == 0
