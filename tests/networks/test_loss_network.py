import pytest
import skimage.data
import torch
from conftest import needs_shared, random_state_dict
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from fast_nst.errors import UserError
from fast_nst.functional.features import gram_matrix
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.networks.loss_network import ARCHITECTURES, LossNetwork, check_image_size

DEEP = {
    "vgg16": "relu4_3",
    "vgg19": "conv5_1",
    "squeezenet1_0": "fire9",
    "squeezenet1_1": "fire9",
    "resnet50": "layer3_6",
    "inception_v3": "mixed5c",
}


@pytest.mark.parametrize("name", DEEP)
def test_features_equal_those_of_torchvision_s_model_with_the_same_file(name, tmp_path):
    state = random_state_dict(name, DEEP[name])
    save_file(state, tmp_path / "weights.safetensors")
    network = LossNetwork(name, [DEEP[name]], tmp_path / "weights.safetensors")
    kwargs = {"init_weights": False} if name == "inception_v3" else {}
    model = getattr(models, name)(weights=None, **kwargs).eval()
    model.load_state_dict(state, strict=False)
    seen = {}
    model.get_submodule(ARCHITECTURES[name].paths[DEEP[name]]).register_forward_hook(
        lambda _, __, output: seen.update(features=output.clone())
    )
    photos = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        model((photos - network.mean) / network.std)
        torch.testing.assert_close(network(photos)[DEEP[name]], seen["features"], rtol=1e-4, atol=1e-5)


def test_layer_names_point_to_the_papers_positions():
    vgg16 = ARCHITECTURES["vgg16"].paths
    assert [vgg16[name] for name in ("relu1_2", "relu2_2", "relu3_3", "relu4_3")] == [
        f"features.{i}" for i in (3, 8, 15, 22)
    ]
    vgg19 = ARCHITECTURES["vgg19"].paths
    assert [vgg19[name] for name in ("conv1_1", "conv4_2", "conv5_1")] == ["features.0", "features.21", "features.28"]


def test_convolutions_before_the_rectifier_keep_their_negative_values(tmp_path):
    save_file(random_state_dict("vgg16", "relu1_2"), tmp_path / "w.safetensors")
    features = LossNetwork("vgg16", ["conv1_1", "relu1_1"], tmp_path / "w.safetensors")(torch.rand(1, 3, 8, 8))
    assert features["conv1_1"].min() < 0
    torch.testing.assert_close(features["relu1_1"], features["conv1_1"].relu())


def test_a_pth_file_with_the_convolutions_alone_is_enough(tmp_path):
    torch.save(random_state_dict("vgg16", "relu2_2"), tmp_path / "vgg16.pth")
    network = LossNetwork("vgg16", ["relu2_2"], tmp_path / "vgg16.pth")
    assert list(network.chain)[-1] == "relu2_2"
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_average_pooling_averages():
    maximum, average = (LossNetwork("lite", ["relu1_2", "pool1"], pooling=pooling) for pooling in ("max", "average"))
    photos = torch.rand(1, 3, 8, 8)
    features = average(photos)
    torch.testing.assert_close(features["pool1"], nn.functional.avg_pool2d(features["relu1_2"], 2))
    assert (maximum(photos)["pool1"] >= features["pool1"]).all()


def test_batch_norms_stay_frozen_while_the_module_around_trains(tmp_path):
    save_file(random_state_dict("resnet50", "bn1"), tmp_path / "w.safetensors")
    around = nn.ModuleList([LossNetwork("resnet50", ["bn1"], tmp_path / "w.safetensors")]).train()
    before = around[0].chain["bn1"].running_mean.clone()
    around[0](torch.rand(2, 3, 16, 16))
    torch.testing.assert_close(around[0].chain["bn1"].running_mean, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg17"}, "did you mean vgg1"),
        ({"name": "lite", "layers": ["relu3_4"]}, "did you mean relu3_"),
        ({"name": "lite", "layers": ["relu1_2"], "pooling": "maximum"}, "did you mean max"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(arguments, message):
    with pytest.raises(UserError, match=message):
        LossNetwork(**arguments)


def test_weights_of_another_network_are_named(tmp_path):
    save_file(random_state_dict("vgg16", "relu1_2"), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="features.0.weight"):
        LossNetwork("squeezenet1_0", ["relu1"], tmp_path / "w.safetensors")


def test_damaged_and_dangerous_files_are_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0not json")
    (tmp_path / "w.pth").write_bytes(b"no pickle")
    torch.save({"features.0.weight": needs_shared}, tmp_path / "code.pth")  # a function: unpickling it would run code
    for name in ("w.safetensors", "w.pth", "code.pth", "absent.pth"):
        with pytest.raises(UserError, match=name):
            LossNetwork("vgg16", ["relu1_2"], tmp_path / name)


def test_without_network_and_file_the_error_names_the_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="--loss_weights.*--loss_network lite"):
        LossNetwork("vgg16", ["relu1_2"])


def test_too_small_a_picture_is_told_the_size_that_works():
    check_image_size("vgg16", ["relu1_2", "relu4_3"], 8, 8)
    with pytest.raises(UserError, match="relu4_3 of vgg16 needs images of at least 8x8 pixels, the image has 4x9"):
        check_image_size("vgg16", ["relu1_2", "relu4_3"], 4, 9)


def test_lite_tells_one_painting_s_two_halves_from_a_photograph_at_every_layer(lite):
    painting = to_tensor(draw_style("impasto", 1, 256, 512))
    photo = to_tensor(skimage.data.astronaut()[:256, :256])
    left, right, other = (
        {layer: gram_matrix(features) for layer, features in lite(image[None]).items()}
        for image in (painting[..., :256], painting[..., 256:], photo)
    )
    for layer in lite.layers:
        assert (left[layer] - right[layer]).square().sum() < (left[layer] - other[layer]).square().sum() / 2, layer


def test_lite_is_at_most_three_megabytes_and_has_a_card():
    import json

    from fast_nst.networks.loss_network import LITE_WEIGHTS

    card = json.loads(LITE_WEIGHTS.with_suffix(".json").read_text())
    assert LITE_WEIGHTS.stat().st_size < 3 << 20
    assert set(card["correlation"]) == {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}


def test_the_real_vgg19_loads_and_its_features_are_sparse_as_rectified_features_are():
    network = LossNetwork("vgg19", ["relu4_3"], needs_shared("weights/vgg19_features.safetensors"))
    features = network(torch.rand(1, 3, 64, 64))["relu4_3"]
    assert features.shape == (1, 512, 8, 8)
    assert 0.3 < (features == 0).float().mean() < 0.99
