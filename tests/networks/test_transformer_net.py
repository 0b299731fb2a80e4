import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from fast_nst.errors import UserError
from fast_nst.networks.layers import ConditionalInstanceNorm
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.networks.weights import from_checkpoint


def fast_neural_style_state(width: int) -> dict[str, torch.Tensor]:
    """A random state dict with the names and shapes that pytorch/examples saves, and its stale running statistics."""
    generator = torch.Generator().manual_seed(3)
    shapes = {"conv1": (width, 3, 9), "conv2": (2 * width, width, 3), "conv3": (4 * width, 2 * width, 3)}
    shapes |= {f"res{i}.conv{j}": (4 * width, 4 * width, 3) for i in range(1, 6) for j in (1, 2)}
    shapes |= {"deconv1": (2 * width, 4 * width, 3), "deconv2": (width, 2 * width, 3), "deconv3": (3, width, 9)}
    norms = {"in1": width, "in2": 2 * width, "in3": 4 * width, "in4": 2 * width, "in5": width}
    norms |= {f"res{i}.in{j}": 4 * width for i in range(1, 6) for j in (1, 2)}
    state = {}
    for name, (outputs, inputs, kernel) in shapes.items():
        bound = (inputs * kernel * kernel) ** -0.5
        weight = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * bound
        state |= {f"{name}.conv2d.weight": weight, f"{name}.conv2d.bias": torch.randn(outputs, generator=generator) * bound}
    for name, channels in norms.items():
        state |= {f"{name}.weight": torch.rand(channels, generator=generator) + 0.5}
        state |= {f"{name}.bias": torch.randn(channels, generator=generator) * 0.1}
        state |= {f"{name}.running_mean": torch.zeros(channels), f"{name}.running_var": torch.ones(channels)}
    state["deconv3.conv2d.weight"] *= 60
    state["deconv3.conv2d.bias"] += 120
    return state


def fast_neural_style_picture(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """What that network computes for 0..255 pictures, written down from its description."""

    def conv(name, x, stride=1):
        weight = state[f"{name}.conv2d.weight"]
        padded = F.pad(x, [weight.shape[-1] // 2] * 4, mode="reflect")
        return F.conv2d(padded, weight, state[f"{name}.conv2d.bias"], stride)

    def norm(name, x):
        return F.instance_norm(x, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"])

    for i, stride in ((1, 1), (2, 2), (3, 2)):
        x = norm(f"in{i}", conv(f"conv{i}", x, stride)).relu()
    for i in range(1, 6):
        inner = norm(f"res{i}.in1", conv(f"res{i}.conv1", x)).relu()
        x = x + norm(f"res{i}.in2", conv(f"res{i}.conv2", inner))
    for i in (1, 2):
        x = norm(f"in{i + 3}", conv(f"deconv{i}", F.interpolate(x, scale_factor=2, mode="nearest"))).relu()
    return conv("deconv3", x)


def scrambled(network: TransformerNet) -> TransformerNet:
    """``network`` with every parameter moved off its start."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("size", [(48, 64), (37, 50)])
def test_a_fast_neural_style_model_draws_the_same_picture_to_1_255(width, size):
    state = fast_neural_style_state(width)
    network = from_checkpoint(state)
    photo = torch.randint(0, 256, (1, 3, *size)).float()
    expected = fast_neural_style_picture(state, photo)[..., : size[0], : size[1]]
    with torch.no_grad():
        found = network(photo / 255) * 255
    assert network.config == {"preset": "johnson", "width": width, "styles": ["style"]}
    assert expected.std() > 10
    assert (found.clamp(0, 255) - expected.clamp(0, 255)).abs().max() < 1


def test_a_fast_neural_style_model_in_an_old_file_format_loads(tmp_path):
    from fast_nst.networks.tensor_files import read_checkpoint

    state = fast_neural_style_state(8)
    torch.save(state, tmp_path / "mosaic.model", _use_new_zipfile_serialization=False)
    assert from_checkpoint(read_checkpoint(tmp_path / "mosaic.model")).config["width"] == 8


def test_a_state_dict_that_lacks_a_layer_is_named_in_one_line():
    state = fast_neural_style_state(8)
    del state["res3.conv1.conv2d.weight"]
    with pytest.raises(UserError, match="trunk.2.first.conv.weight"):
        from_checkpoint(state, "mosaic.pth")


@settings(max_examples=15, deadline=None)
@given(st.integers(16, 45), st.integers(16, 45), st.sampled_from(["fast", "johnson"]))
def test_any_size_from_16_comes_back_as_it_was(height, width, preset):
    network = TransformerNet(preset, 12).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("preset", ["fast", "johnson"])
def test_a_plain_picture_gets_no_frame(preset):
    torch.manual_seed(0)
    with torch.no_grad():
        picture = TransformerNet(preset, 12)(torch.full((1, 3, 64, 48), 0.3))
    assert picture.std((2, 3)).max() < 1e-3


def test_conditional_norm_equals_instance_norm_with_the_chosen_row():
    norm = ConditionalInstanceNorm(5, styles=3)
    torch.nn.init.normal_(norm.scale), torch.nn.init.normal_(norm.shift)
    x, style = torch.rand(2, 5, 8, 9), F.one_hot(torch.tensor([2, 0]), 3)
    expected = [F.instance_norm(x[i : i + 1], weight=norm.scale[row], bias=norm.shift[row]) for i, row in enumerate((2, 0))]
    torch.testing.assert_close(norm(x, style), torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_the_exported_formula_of_the_norm_equals_the_fused_kernel():
    from fast_nst.networks.layers import _explicit_norm, _grouped_norm

    x, scale, shift = torch.randn(2, 4, 9, 7) * 3 + 5, torch.randn(2, 4), torch.randn(2, 4)
    torch.testing.assert_close(_explicit_norm(x, scale, shift), _grouped_norm(x, scale, shift), atol=1e-5, rtol=1e-4)


def test_norm_statistics_stay_float32_under_autocast():
    norm = ConditionalInstanceNorm(2, 1)
    x = 1000 + torch.rand(1, 2, 64, 64)  # bfloat16 cannot tell 1000 from 1001
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert norm(x, torch.ones(1, 1)).std().item() == pytest.approx(1, abs=0.01)


def test_rows_of_two_styles_draw_different_pictures_in_one_batch():
    network = TransformerNet("fast", 12, styles=["one", "two"])
    torch.nn.init.normal_(network.net.to_full.norm.shift)
    photo = torch.rand(1, 3, 24, 24).expand(2, -1, -1, -1)
    with torch.no_grad():
        both = network(photo, network.style_weights([0, 1], like=photo))
        second = network(photo[:1], network.style_weights([1], like=photo))
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    torch.testing.assert_close(both[1:], second, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("preset", ["fast", "johnson"])
def test_strength_0_returns_the_photograph_whatever_was_learnt(preset):
    network = scrambled(TransformerNet(preset, 12, styles=["identity", "waves"]))
    photo = torch.rand(2, 3, 33, 46)
    with torch.no_grad():
        untouched = network(photo, network.style_weights([1, 1], torch.tensor([0.0, 1.0]), like=photo))
    torch.testing.assert_close(untouched[0], photo[0], atol=1e-6, rtol=0)
    assert (untouched[1] - photo[1]).abs().mean() > 0.05


def test_rows_mix_linearly_with_identity_making_up_the_rest():
    network = TransformerNet("fast", 12, styles=["waves", "identity", "night"])
    weights = network.style_weights([0, 2], torch.tensor([0.25, 1.5]), like=torch.zeros(1))
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.75, 0], [0, -0.5, 1.5]]))


def test_the_gate_of_a_row_lets_the_photograph_past():
    network = TransformerNet("fast", 12, styles=["glass"])
    torch.nn.init.zeros_(network.net.out.conv.weight)
    torch.nn.init.constant_(network.net.out.shift, 0.1)
    torch.nn.init.constant_(network.net.out.gate, 0.5)
    photo = torch.rand(1, 3, 18, 21)
    torch.testing.assert_close(network(photo), 0.1 + 0.5 * photo)


def test_a_checkpoint_of_another_version_is_refused_in_one_line():
    with pytest.raises(UserError, match="old.ckpt was written by another version of fast_nst"):
        from_checkpoint({"network": {"preset": "fast", "width": 48, "styles": 1}, "state_dict": {}}, "old.ckpt")


@pytest.mark.parametrize(
    "arguments",
    [{"preset": "fsat"}, {"width": 13}, {"width": 0}, {"styles": []}, {"styles": ["identity"]}, {"styles": ["a", "b", "a"]}],
)
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(UserError):
        TransformerNet(**arguments)


def test_seeded_networks_are_equal():
    def picture() -> np.ndarray:
        torch.manual_seed(7)
        return TransformerNet("fast", 12)(torch.ones(1, 3, 16, 16) / 2).detach().numpy()

    np.testing.assert_array_equal(picture(), picture())
