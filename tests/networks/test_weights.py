import math

import pytest
import torch
from safetensors.torch import save_file

from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import read_tensors
from fast_nst.networks.weights import find_checkpoint, load_network

WRAPPERS = ["state_dict", "model", "model_state_dict", "net", "params", None]


def examples_state() -> dict[str, torch.Tensor]:
    """A state dict in the names of pytorch/examples fast_neural_style, with random numbers; base width 4."""
    torch.manual_seed(0)
    shapes = {"conv1": (4, 3, 9), "conv2": (8, 4, 3), "conv3": (16, 8, 3), "deconv1": (8, 16, 3), "deconv2": (4, 8, 3)}
    shapes |= {"deconv3": (3, 4, 9)} | {f"res{block}.conv{part}": (16, 16, 3) for block in range(1, 6) for part in (1, 2)}
    norms = {"in1": 4, "in2": 8, "in3": 16, "in4": 8, "in5": 4}
    norms |= {f"res{block}.in{part}": 16 for block in range(1, 6) for part in (1, 2)}
    state = {}
    for name, (out, inputs, kernel) in shapes.items():
        state[f"{name}.conv2d.weight"] = torch.randn(out, inputs, kernel, kernel) / math.sqrt(inputs * kernel**2)
        state[f"{name}.conv2d.bias"] = torch.randn(out)
    for name, channels in norms.items():
        state |= {f"{name}.weight": torch.rand(channels) + 0.5, f"{name}.bias": torch.randn(channels)}
    return state


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, torch.Tensor]:
    path = tmp_path_factory.mktemp("plain") / "plain.pth"
    torch.save(examples_state(), path)
    return load_network(path).state_dict()


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_foreign_state_dict_may_be_wrapped_and_prefixed(plain, wrapper, prefix, tmp_path):
    state = {prefix + name: value for name, value in examples_state().items()}
    content = {wrapper: state, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapper else state
    torch.save(content, tmp_path / "a.pth")
    found = load_network(tmp_path / "a.pth").state_dict()
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)
    assert read_tensors(tmp_path / "a.pth").keys() == examples_state().keys()


def test_safetensors_of_data_parallel_lose_their_prefix(tmp_path):
    save_file({f"module.{name}": value for name, value in examples_state().items()}, tmp_path / "a.safetensors")
    assert read_tensors(tmp_path / "a.safetensors").keys() == examples_state().keys()


def test_a_module_among_others_keeps_its_name(tmp_path):
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth").keys() == {"module.a", "b"}


@pytest.mark.parametrize("read", [read_tensors, find_checkpoint, load_network])
@pytest.mark.parametrize("name", ["absent.pth", "a" * 300 + ".pth", "nul\0.pth", "file/inside.pth"])
def test_a_path_that_cannot_be_read_is_one_line(read, name, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="check the path"):
        read(tmp_path / name)
