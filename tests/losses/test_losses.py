import pytest
import torch
from conftest import random_state_dict
from torch.nn import functional as F

from fast_nst.errors import UserError
from fast_nst.functional.features import gram_matrix, structure_correlation
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.losses.terms import palette, palette_distance, pattern_distance
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.settings.train import LossSettings


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 32, 40, generator=generator) for _ in range(3))


def vgg16_features(state: dict[str, torch.Tensor], x255: torch.Tensor) -> list[torch.Tensor]:
    """relu1_2, relu2_2, relu3_3, relu4_3 of 0..255 pictures, convolution by convolution."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    x, features = (x255 / 255 - mean) / std, []
    for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)):
        for index in block:
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1).relu()
        features.append(x)
        x = F.max_pool2d(x, 2)
    return features


def test_the_classical_loss_equals_fast_neural_style_s_to_1e_4(tmp_path, pictures):
    state = {key: value - 0.045 for key, value in random_state_dict("vgg16", "relu4_3").items()}
    torch.save(state, tmp_path / "vgg16.pth")
    settings = LossSettings(content_weight=1e5, style_weight=1e10, tv_weight=0, normalize=False)
    picture, photo, painting = pictures
    loss = perceptual_loss("vgg16", str(tmp_path / "vgg16.pth"), [painting[0]], settings)(picture, photo)

    def gram(y):
        b, c, h, w = y.shape
        return torch.stack([one.reshape(c, h * w) @ one.reshape(c, h * w).T / (c * h * w) for one in y])

    of_picture, of_photo = vgg16_features(state, picture * 255), vgg16_features(state, photo * 255)
    of_painting = vgg16_features(state, painting[:1].repeat(2, 1, 1, 1) * 255)
    content = 1e5 * F.mse_loss(of_picture[1], of_photo[1])
    style = 1e10 * sum(F.mse_loss(gram(a), gram(b)) for a, b in zip(of_picture, of_painting, strict=True))
    assert loss.content.item() == pytest.approx(content.item(), rel=1e-4)
    assert loss.style.item() == pytest.approx(style.item(), rel=1e-4)
    assert loss.total.item() == pytest.approx((content + style).item(), rel=1e-4)


def test_normalized_terms_are_one_for_a_picture_without_features(lite, pictures):
    settings = LossSettings(content_weight=2, content="squared", style_weight=3)
    loss = PerceptualLoss(lite, [pictures[2][0]], settings)
    targets = lite(pictures[1])
    nothing = {layer: torch.zeros_like(value) for layer, value in targets.items()}
    assert loss.content_loss(nothing, targets).tolist() == pytest.approx([1, 1])
    assert loss.style_loss(nothing).tolist() == pytest.approx([1, 1])


def test_the_painting_itself_has_no_style_loss_and_the_photo_no_content_loss(lite, pictures):
    loss = PerceptualLoss(lite, [pictures[2][0]], LossSettings())
    terms = loss(pictures[2][:1], pictures[2][:1])
    assert terms.style.item() == pytest.approx(0, abs=1e-6)
    assert terms.content.item() == pytest.approx(0, abs=1e-6)
    assert terms.structure.item() == pytest.approx(1, abs=1e-4)


def test_each_picture_of_a_batch_is_judged_by_its_own_painting(lite, pictures):
    paintings = [pictures[2][0], pictures[2][1]]
    loss = PerceptualLoss(lite, paintings, LossSettings())
    matched = loss(pictures[2], pictures[1], style=torch.tensor([0, 1]))
    crossed = loss(pictures[2], pictures[1], style=torch.tensor([1, 0]))
    assert matched.style < 1e-5 < crossed.style


def test_terms_add_up_and_scale_with_their_weights(lite, pictures):
    unit = LossSettings(content_weight=1, style_weight=1, tv_weight=1, palette_weight=1)
    other = LossSettings(content_weight=2, style_weight=3, tv_weight=5, palette_weight=3)
    one = PerceptualLoss(lite, [pictures[2][0]], unit)(pictures[0], pictures[1])
    many = PerceptualLoss(lite, [pictures[2][0]], other)(pictures[0], pictures[1], style_share=0.5)
    expected = (2 * one.content, 1.5 * one.style, 5 * one.tv)
    torch.testing.assert_close(tuple(many[1:4]), expected)
    torch.testing.assert_close(many.total, sum(expected))


def test_each_picture_may_have_a_share_of_the_style_weight(lite, pictures):
    loss = PerceptualLoss(lite, [pictures[2][0]], LossSettings())
    alone = [loss(picture[None], photo[None]).style for picture, photo in zip(pictures[0], pictures[1], strict=True)]
    shared = loss(pictures[0], pictures[1], style_share=torch.tensor([0.25, 0.0])).style
    torch.testing.assert_close(shared, 0.25 * alone[0] / 2)


def test_each_style_picture_may_have_a_share_of_the_style_weight(lite, pictures):
    paintings = [pictures[2][0], pictures[2][1]]
    equal, shared = (PerceptualLoss(lite, paintings, LossSettings(style_shares=shares)) for shares in ([], [0.5, 3.0]))
    for row, share in enumerate((0.5, 3.0)):
        style = torch.tensor([row, row])
        expected = share * equal(pictures[0], pictures[1], style).style
        torch.testing.assert_close(shared(pictures[0], pictures[1], style).style, expected)
    with pytest.raises(UserError, match="style_shares needs a factor for each of 2 style pictures, got 3"):
        PerceptualLoss(lite, paintings, LossSettings(style_shares=[1, 1, 1]))


def test_style_layers_count_by_their_weights(lite, pictures):
    def style(weights):
        settings = LossSettings(style_layers=["relu1_2", "relu3_3"], style_layer_weights=weights, palette_weight=0)
        return PerceptualLoss(lite, [pictures[2][0]], settings)(pictures[0], pictures[1]).style

    torch.testing.assert_close(style([1, 3]), (style([1, 0]) + 3 * style([0, 1])) / 4)
    torch.testing.assert_close(style([]), style([5, 5]))


def test_another_number_of_layer_weights_than_of_layers_is_refused(lite, pictures):
    with pytest.raises(UserError, match="needs 4 weights .relu1_2, relu2_2, relu3_3, relu4_3., got 2"):
        PerceptualLoss(lite, [pictures[2][0]], LossSettings(style_layer_weights=[1, 2]))


def test_the_gradient_reaches_the_picture_and_not_the_loss_network(lite, pictures):
    picture = pictures[0].clone().requires_grad_()
    PerceptualLoss(lite, [pictures[2][0]], LossSettings())(picture, pictures[1]).total.backward()
    assert picture.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in lite.parameters())


def test_a_tiny_painting_is_refused_with_the_size_that_works():
    with pytest.raises(UserError, match="relu4_3 of lite needs images of at least 8x8 pixels, the style picture has 5x7"):
        PerceptualLoss(LossNetwork("lite"), [torch.rand(3, 5, 7)], LossSettings())


@pytest.mark.parametrize("settings", [{"style_weight": -1}, {"content_weight": float("nan")}, {"tv_weight": 1e99}])
def test_weights_out_of_range_are_named(settings):
    with pytest.raises(UserError, match=f"loss.{next(iter(settings))}"):
        LossSettings(**settings)


def test_what_lies_along_the_edge_does_not_count_with_a_border(lite, pictures):
    settings = LossSettings(content_layers=["relu1_2"], style_layers=["relu1_2"], tv_weight=0)
    framed = pictures[0].clone()
    for edge in (framed[..., :4, :], framed[..., -4:, :], framed[..., :, :4], framed[..., :, -4:]):
        edge.fill_(0.0)
    for border, equal in ((8, True), (0, False)):
        loss = PerceptualLoss(lite, [pictures[2][0]], settings, border)
        terms = [loss(picture, pictures[1]) for picture in (pictures[0], framed)]
        assert (terms[0].content == terms[1].content).item() is equal and (terms[0].style == terms[1].style).item() is equal


def test_a_border_is_the_same_share_of_every_layer(lite, pictures):
    picture, photo, painting = (image[:, :, :, :32] for image in pictures)
    settings = LossSettings(content_layers=["relu2_2"], style_weight=25, tv_weight=0, palette_weight=0)
    loss = PerceptualLoss(lite, [painting[0]], settings, border=8)
    terms = loss(picture, photo)

    def inner(images):
        return {
            layer: value[..., side // 4 : -side // 4, side // 4 : -side // 4]
            for layer, value in lite(images).items()
            for side in [value.shape[-1]]
        }

    of_painting = inner(painting[:1])
    for layer in loss.style_layers:
        assert torch.allclose(getattr(loss, f"gram_{layer}"), gram_matrix(of_painting[layer]))
    assert terms.content.item() == pytest.approx(loss.content_loss(inner(picture), inner(photo)).mean().item())
    assert terms.style.item() == pytest.approx(25 * loss.style_loss(inner(picture)).mean().item())
    assert terms.structure.tolist() == pytest.approx(loss.structure(inner(picture), inner(photo)).tolist())


@pytest.mark.parametrize("border", [15, 16, 100])
def test_a_border_leaves_something_of_the_smallest_picture(lite, pictures, border):
    loss = PerceptualLoss(lite, [pictures[2][0]], LossSettings(), border)
    assert loss(pictures[0], pictures[1]).total.isfinite()


def test_a_negative_border_is_refused(lite, pictures):
    with pytest.raises(UserError, match="border needs to be between 0 and"):
        PerceptualLoss(lite, [pictures[2][0]], LossSettings(), -3)


def test_the_palette_term_is_part_of_the_style_and_sees_the_inside_of_a_picture(lite, pictures):
    settings = [LossSettings(palette_weight=weight) for weight in (0.0, 2.0)]
    without, with_palette = (PerceptualLoss(lite, [pictures[2][0]], one, border=8) for one in settings)
    added = with_palette(pictures[0], pictures[1]).style - without(pictures[0], pictures[1]).style
    inner = palette_distance(pictures[0][..., 8:-8, 8:-8], palette(pictures[2][:1, :, :, :]).expand(2, -1, -1))
    torch.testing.assert_close(added, 2 * inner.mean(), rtol=1e-3, atol=1e-5)


def test_patterns_are_known_whatever_their_contrast():
    features = torch.rand(2, 5, 12, 9, generator=torch.Generator().manual_seed(1))
    stretched = 7 * features + torch.arange(5).view(1, 5, 1, 1)
    assert pattern_distance(features, features).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert pattern_distance(stretched, features).max() < 1e-3


def test_the_pattern_distance_is_about_twice_one_minus_the_correlation():
    generator = torch.Generator().manual_seed(2)
    target, noise = (torch.rand(1, 6, 30, 30, generator=generator) for _ in range(2))
    mixed = 0.6 * target + 0.8 * noise
    r = structure_correlation(mixed, target).item()
    assert pattern_distance(mixed, target).item() == pytest.approx(2 * (1 - r), abs=0.03)
    assert pattern_distance(noise, target).item() == pytest.approx(2, abs=0.15)


def test_a_channel_counts_by_its_deviation_over_its_mean():
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(1, 2, 20, 20, generator=generator)
    target[:, 1] += 100  # varies as much, on a mean two hundred times as large
    wrong = [target.clone(), target.clone()]
    for channel in (0, 1):
        wrong[channel][:, channel] = torch.rand(1, 20, 20, generator=generator) + 100 * channel
    assert pattern_distance(wrong[0], target) > 50 * pattern_distance(wrong[1], target)


def test_a_constant_channel_gives_no_gradient_that_is_not_a_number():
    target, features = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8, requires_grad=True)
    pattern_distance(features, target).sum().backward()
    assert features.grad.isfinite().all()


def test_palettes_compare_colors_wherever_they_lie():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    blocks = F.interpolate(image[..., :8, :8], scale_factor=4)
    moved = blocks.flip(2).transpose(2, 3)
    assert palette_distance(moved, palette(blocks)).item() == pytest.approx(0, abs=1e-6)


def test_the_palette_distance_of_a_shift_is_its_square_over_the_variance():
    blocks = F.interpolate(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(5)), scale_factor=4)
    target = palette(blocks)
    shifts = target - palette(blocks + 0.1)  # along each direction, the same for all quantiles
    expected = shifts.square().mean() / target.var(correction=0)
    assert palette_distance(blocks + 0.1, target).item() == pytest.approx(expected.item(), rel=1e-3)
    assert shifts[0, :3].abs().mean().item() == pytest.approx(0.1, abs=1e-4)  # the axes of RGB


def test_patterns_have_no_classical_formula():
    with pytest.raises(UserError, match="pattern has no classical formula"):
        LossSettings(content="pattern", normalize=False)
    assert LossSettings().by_pattern and not LossSettings(normalize=False).by_pattern
