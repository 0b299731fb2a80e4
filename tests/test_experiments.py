"""Every experiment's config parses, and runs at a tiny size with weights written here."""

from pathlib import Path

import pytest
import skimage.data
import torch
import yaml
from conftest import random_state_dict

from fast_nst.cli.main import main
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, save_image

CONFIGS = sorted((Path(__file__).parents[1] / "configs" / "experiments").glob("*.yaml"))
DEEPEST = {
    "vgg16": "relu5_3",
    "vgg19": "conv5_2",
    "squeezenet1_0": "fire5",
    "resnet50": "layer3_6",
    "inception_v3": "mixed6a",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A folder of weights that keep activations of one size from layer to layer."""
    folder = tmp_path_factory.mktemp("weights")
    for name, deepest in DEEPEST.items():
        state = random_state_dict(name, deepest)
        for key, value in state.items():
            if value.dim() == 4:
                state[key] = torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5
            elif key.endswith("running_var") or (key.endswith("weight") and value.dim() == 1):
                state[key] = torch.ones(value.shape)
        torch.save(state, folder / f"{name}.pth")
    return folder


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_image(skimage.data.chelsea()[50:250:2, 50:350:2], "photo.png")
    save_image(draw_style("impasto", 1)[:256, :320], "painting.png")


def command_of(config: Path) -> str:
    values = yaml.safe_load(config.read_text())
    return "reconstruct" if "kind" in values else "sweep" if "column_values" in values else "optimize"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_experiment_runs(config, weights, pictures, capsys):
    command, inception = command_of(config), "inception_v3" in config.read_text()
    assert f"fast-nst {command}" in config.read_text()
    size = ["--size", "96" if inception else "32", "--steps", "1" if command == "sweep" else "2"]
    arguments = ["--config", str(config), *size, "--loss_weights", str(weights), "--progress", "false"]
    inputs = ["photo.png"] if command == "reconstruct" else ["--content", "photo.png", "--style", "painting.png"]
    main([command, *inputs, *arguments])
    printed = capsys.readouterr().out.splitlines()
    shown = printed[-1] if command == "reconstruct" else printed[0].split(":")[0]
    assert load_image(shown).std() > 10


def test_there_is_a_config_for_each_of_the_eight_experiments():
    assert {config.name[0] for config in CONFIGS} == set("12345678")
