import json
from pathlib import Path

import pytest
import torch
from conftest import random_state_dict
from safetensors.torch import load_file, save_file

from fast_nst.errors import UserError
from fast_nst.networks.loss_network import ARCHITECTURES, LossNetwork
from fast_nst.settings.distill import DistillSettings
from fast_nst.training.distillation import LAYERS, Student, _pearson, distill


@pytest.fixture
def settings(photos, tmp_path) -> DistillSettings:
    save_file(random_state_dict("vgg16", "relu4_3"), tmp_path / "teacher.safetensors")
    trainer = {"enable_progress_bar": False, "accelerator": "cpu"}
    common = {"steps": 6, "batch_size": 1, "image_size": 32, "workers": 0, "trainer": trainer}
    files = {"held_out": str(photos), "output": str(tmp_path / "lite.safetensors")}
    return DistillSettings(
        [str(photos)], **files, teacher="vgg16", teacher_weights=str(tmp_path / "teacher.safetensors"), **common
    )


def test_the_distilled_file_is_a_loss_network_with_a_card(settings):
    card = distill(settings)
    network = LossNetwork("lite", LAYERS, settings.output)
    assert network(torch.rand(1, 3, 32, 32))["relu4_3"].shape == (1, 192, 4, 4)
    assert all(tensor.dtype == torch.float16 for tensor in load_file(settings.output).values())
    assert json.loads(Path(settings.output).with_suffix(".json").read_text()) == card
    assert set(card["correlation"]) == set(LAYERS) and card["photographs"] == 3


@pytest.mark.parametrize("trainer", [{"devices": 1000}, {"precision": "64-true"}, {"limit_train_batches": 0.0001}])
def test_a_distillation_that_cannot_start_is_one_sentence(trainer, settings):
    settings.trainer |= trainer
    with pytest.raises(UserError, match="--trainer|Lightning refuses"):
        distill(settings)


def test_folding_the_batch_norms_changes_no_feature():
    torch.manual_seed(0)
    student = Student({"relu4_3": (torch.rand(1, 7, 1, 1), torch.tensor(3.0))})
    student(torch.randn(4, 3, 32, 32))  # moves the running statistics away from 0 and 1
    student.eval()
    images = torch.rand(1, 3, 32, 32)
    network = LossNetwork("lite", ["relu4_3"])
    expected = student((images - network.mean) / network.std)["relu4_3"]
    for layer, module in network.chain.items():
        if layer.startswith("conv"):
            path = ARCHITECTURES["lite"].paths[layer]
            module.load_state_dict({key: student.folded()[f"{path}.{key}"] for key in ("weight", "bias")})
    found = student.heads["relu4_3"](network(images)["relu4_3"]) * 3 + student.mean_relu4_3
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_pearson_from_sums_equals_torch_s():
    a, b = torch.rand(2, 50, dtype=torch.float64)
    sums = [50.0, a.sum(), b.sum(), a @ a, b @ b, a @ b]
    assert _pearson(*map(float, sums)) == pytest.approx(torch.corrcoef(torch.stack([a, b]))[0, 1].item())
