"""Values against the papers' formulas, written pixel by pixel in float64."""

import itertools
import math

import pytest
import torch
from conftest import random_state_dict
from torch.nn import functional as F

from fast_nst.functional.features import structure_correlation
from fast_nst.losses.image_loss import ImageLoss, Style, segments
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.settings.train import LossSettings

LAYERS = {"content_layers": ["relu2_2", "relu3_1"], "style_layers": ["relu1_1", "relu2_1"]}


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    return LossNetwork("lite", ("relu1_1", "relu2_1", "relu2_2", "relu3_1")).double()


@pytest.fixture(scope="module")
def pictures() -> list[torch.Tensor]:
    """A picture, a photograph, and a painting of another size."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((12, 16), (12, 16), (16, 10))
    return [torch.rand(1, 3, *size, generator=generator, dtype=torch.float64) for size in sizes]


def settings(formula: str = "normalized", **values) -> LossSettings:
    chosen = {**LAYERS, "tv_weight": 0.0, "content": "squared", **values}
    return LossSettings(**chosen, normalize=formula == "normalized")


def naive_gram(features: torch.Tensor) -> torch.Tensor:
    channels, pixels = features[0].flatten(1).shape
    flat = features[0].flatten(1)
    rows = [[sum(flat[i, p] * flat[j, p] for p in range(pixels)) for j in range(channels)] for i in range(channels)]
    return torch.tensor(rows, dtype=torch.float64)


def test_the_papers_formula_is_that_of_gatys(network, pictures):
    picture, photo, _ = pictures
    painting = pictures[0].flip(2).flip(3).sqrt()  # of one size with the picture, as the paper assumes
    terms = ImageLoss(network, photo, [Style(painting)], settings("gatys", style_weight=7.0), "gatys")(picture)
    of_picture, of_photo, of_painting = (network(one) for one in (picture, photo, painting))
    content = sum((of_picture[layer] - of_photo[layer]).square().sum() / 2 for layer in LAYERS["content_layers"])
    style = 0
    for layer in LAYERS["style_layers"]:
        n, m = of_picture[layer].shape[1], of_picture[layer][0, 0].numel()
        difference = naive_gram(of_picture[layer]) - naive_gram(of_painting[layer])
        style += difference.square().sum() / (4 * n**2 * m**2)
    assert terms.content.item() == pytest.approx(content.item(), rel=1e-9)
    assert terms.style.item() == pytest.approx(7 * style.item(), rel=1e-9)
    assert terms.total.item() == pytest.approx((content + 7 * style).item(), rel=1e-9)


def test_the_classical_formula_is_a_sum_of_mean_squares(network, pictures):
    picture, photo, painting = pictures
    terms = ImageLoss(network, photo, [Style(painting)], settings("classical", style_weight=7.0), "classical")(picture)
    of_picture, of_photo, of_painting = (network(one) for one in pictures)
    content = sum(F.mse_loss(of_picture[layer], of_photo[layer]) for layer in LAYERS["content_layers"])
    grams = [
        [naive_gram(features[layer]) / features[layer].numel() for features in (of_picture, of_painting)]
        for layer in LAYERS["style_layers"]
    ]
    assert terms.content.item() == pytest.approx(content.item(), rel=1e-9)
    assert terms.style.item() == pytest.approx(7 * sum(F.mse_loss(*pair) for pair in grams).item(), rel=1e-9)


@pytest.mark.parametrize(
    ("formula", "content"), [("normalized", "pattern"), ("normalized", "squared"), ("classical", "squared")]
)
def test_it_agrees_with_the_loss_of_training_but_for_the_palette(lite, pictures, formula, content):
    picture, photo, painting = (one.float() for one in pictures)
    options = {"content": content, "content_layers": ["relu2_2"], "palette_weight": 0}
    chosen = LossSettings(style_weight=50, normalize=formula == "normalized", **options)
    expected = PerceptualLoss(lite, [painting[0]], chosen)(picture, photo)
    loss = ImageLoss(lite, photo, [Style(painting)], chosen, formula)
    torch.testing.assert_close(tuple(loss(picture))[:4], tuple(expected)[:4], rtol=1e-4, atol=0)
    assert loss.structure(picture) == pytest.approx(expected.structure.item(), abs=1e-4)


def test_total_variation_is_the_mean_of_squared_differences_of_neighbors(network, pictures):
    picture = pictures[0]
    down = [(picture[..., i + 1, :] - picture[..., i, :]).square() for i in range(11)]
    across = [(picture[..., :, j + 1] - picture[..., :, j]).square() for j in range(15)]
    expected = torch.stack(down).mean() + torch.stack(across).mean()
    loss = ImageLoss(network, pictures[1], [Style(pictures[2])], settings(tv_weight=3.0))
    assert loss(picture).tv.item() == pytest.approx(3 * expected.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("formula", "statistic"),
    [("gatys", "gram"), *itertools.product(["normalized", "classical"], ["gram", "moments", "wasserstein"])],
)
def test_the_gradient_is_that_of_finite_differences(network, pictures, formula, statistic):
    mask = torch.linspace(0, 1, 16, dtype=torch.float64).expand(12, 16)
    styles = [Style(pictures[2], 2.0), Style(pictures[1], 1.0, mask)]
    loss = ImageLoss(network, pictures[1], styles, settings(formula, tv_weight=1.0), formula, statistic)
    picture = pictures[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(picture).total, picture)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        direction = torch.randn(picture.shape, generator=generator, dtype=torch.float64) * 1e-6
        with torch.no_grad():
            difference = (loss(picture + direction).total - loss(picture - direction).total) / 2
        assert difference.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-3)


def test_several_styles_count_by_their_shares(network, pictures):
    picture, photo, painting = pictures

    def style(*styles):
        return ImageLoss(network, photo, styles, settings())(picture).style

    both = style(Style(painting, 3.0), Style(photo, 1.0))
    torch.testing.assert_close(both, (3 * style(Style(painting)) + style(Style(photo))) / 4)


def test_a_masked_style_does_not_look_outside_its_mask(network, pictures):
    picture, photo, painting = pictures
    mask = torch.zeros(12, 16, dtype=torch.float64)
    mask[:, :8] = 1
    loss = ImageLoss(network, None, [Style(painting, mask=mask)], settings(content_weight=0.0))
    elsewhere = picture.clone()
    elsewhere[..., 12:] = 0  # further from the mask than the features of relu2_1 see
    torch.testing.assert_close(loss(elsewhere).style, loss(picture).style)
    elsewhere[..., :4] = 0
    assert loss(elsewhere).style != loss(picture).style


def test_a_mask_over_everything_is_no_mask(network, pictures):
    picture, photo, painting = pictures
    masked = Style(painting, mask=torch.ones(12, 16, dtype=torch.float64))
    plain, whole = (ImageLoss(network, photo, [style], settings())(picture) for style in (Style(painting), masked))
    torch.testing.assert_close(whole.style, plain.style)


def test_terms_without_weight_are_not_computed(network, pictures, monkeypatch):
    picture, photo, painting = pictures
    asked, forward = [], LossNetwork.forward
    monkeypatch.setattr(
        LossNetwork, "forward", lambda self, x, layers: asked.append(sorted(layers)) or forward(self, x, layers)
    )
    loss = ImageLoss(network, photo, [], settings(style_weight=0.0))
    assert loss(picture).style == 0 and loss(picture).content > 0
    assert asked == [sorted(LAYERS["content_layers"])]  # the photograph, once
    assert ImageLoss(network, None, [Style(painting)], settings(content_weight=0.0)).segments[-1][-1] == "relu2_1"
    assert math.isnan(ImageLoss(network, None, [Style(painting)], settings(content_weight=0.0)).structure(picture))


def test_structure_is_the_mean_over_content_layers(network, pictures):
    loss = ImageLoss(network, pictures[1], [Style(pictures[2])], settings())
    values = [
        structure_correlation(network(pictures[0])[layer], network(pictures[1])[layer]) for layer in LAYERS["content_layers"]
    ]
    assert loss.structure(pictures[0]) == pytest.approx(sum(values).item() / 2)


def test_less_memory_gives_the_same_objective_and_gradient(lite, pictures):
    picture, photo, painting = (one.float() for one in pictures)
    mask = torch.linspace(0, 1, 16).expand(12, 16)
    found = []
    for low_memory in (False, True):
        styles = [Style(painting), Style(photo, mask=mask)]
        loss = ImageLoss(lite, photo, styles, LossSettings(), statistic="wasserstein", low_memory=low_memory)
        x = picture.clone().requires_grad_()
        terms = loss(x)
        found.append((*terms[:4], *torch.autograd.grad(terms.total, x)))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize(
    ("name", "layers", "count"),
    [("lite", ["relu1_1"], 1), ("lite", ["relu3_1", "relu1_2"], 3), ("squeezenet1_1", ["fire4"], 5), ("resnet50", [], 7)],
)
def test_segments_end_with_poolings_and_blocks_and_cover_what_is_needed(name, layers, count, tmp_path):
    weights = None
    if name != "lite":
        weights = tmp_path / "weights.pth"
        torch.save(random_state_dict(name, layers[-1] if layers else "layer2_3"), weights)
    layers = layers or ["layer2_3", "relu1"]
    network = LossNetwork(name, layers, weights)
    parts = segments(network, layers)
    assert len(parts) == count
    names = [one for part in parts for one in part]
    assert names == list(network.chain)[: len(names)] and names[-1] == layers[0]


def test_bfloat16_changes_the_objective_by_less_than_two_percent(lite, pictures):
    picture, photo, painting = (one.float() for one in pictures)
    exact, fast = (
        ImageLoss(lite, photo, [Style(painting)], LossSettings(), bfloat16=half)(picture) for half in (False, True)
    )
    assert fast.total.item() == pytest.approx(exact.total.item(), rel=0.02)
