import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from filelock import FileLock

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, save_image
from fast_nst.inference.model import Model
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.networks.layers import ConvNorm
from fast_nst.networks.tensor_files import read_checkpoint, read_tensors, write_tensors
from fast_nst.networks.transformer_net import TransformerNet, copy_rows, with_preset
from fast_nst.networks.weights import load_network, save_network
from fast_nst.runs.folder import Run, RunFolder
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.training.callbacks import Previews
from fast_nst.training.fine_tuning import add_strong_rows, add_styles, choose_start, rescale_kernels
from fast_nst.training.module import StyleTransferModule, compile_networks
from fast_nst.training.run import train
from fast_nst.training.trainer import has_bfloat16


@pytest.fixture
def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ONNX export takes longer than these runs; the tests that look at its result do it."""
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: None)


def test_the_border_of_the_loss_fits_the_crop() -> None:
    assert [TrainSettings(image_size=size).border() for size in (512, 256, 96, 32)] == [16, 16, 12, 4]
    assert [TrainSettings(loss_border=border).border() for border in (0, 20)] == [0, 20]
    with pytest.raises(UserError, match="loss_border needs to be between 0 and 64"):
        TrainSettings(loss_border=65)


def weights_of(run: Run) -> torch.Tensor:
    return torch.cat([value.flatten() for value in read_checkpoint(run.folder.last)["state_dict"].values()])


def test_the_run_folder_holds_everything(finished_run):
    folder = finished_run.folder
    names = {path.name for path in folder.path.iterdir()}
    assert {"config.yaml", "last.ckpt", "finished.onnx", "previews", "card.json", "README.md"} <= names
    assert any(name.startswith("step=000010-loss=") for name in names)
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert {path.name for path in folder.previews.iterdir()} == {"step=000010.png", "step=000020.png", "final.png"}
    card = json.loads(folder.card.read_text())
    assert card["photographs_seen"] == 40 and card["steps"] == 20
    assert card["precision"] == ("bf16-mixed" if has_bfloat16() else "32-true")
    assert card["preview_losses"]["total"] > 0
    assert "photographs seen | 40" in folder.readme.read_text()


def test_the_preview_shows_each_photograph_beside_its_result(finished_run):
    assert load_image(finished_run.picture).shape == (2 * 240 + 3 * 4, 4 * 324 + 4, 3)


def test_the_onnx_model_of_a_run_draws_what_its_checkpoint_draws(finished_run):
    network = TransformerNet(**read_checkpoint(finished_run.folder.last)["network"]).eval()
    state = read_checkpoint(finished_run.folder.last)["state_dict"]
    prefix = "network."
    network.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1) * 255
    found = Stylizer(finished_run.folder.path)(pixels)
    assert np.abs(found - expected.permute(1, 2, 0).numpy()).max() <= 1


def test_checkpoints_hold_no_loss_network_and_load_without_unpickling(finished_run):
    content = torch.load(finished_run.folder.last, weights_only=True)
    assert all(key.startswith(("network.", "structure_target.")) for key in content["state_dict"])


def test_the_last_checkpoint_is_the_end_of_the_run(tiny_settings, without_export):
    run = train(TrainSettings(**{**tiny_settings, "steps": 13}, name="thirteen"))
    assert read_checkpoint(run.folder.last)["global_step"] == 13


def test_training_lowers_the_objective(tiny_settings, without_export):
    run = train(TrainSettings(**{**tiny_settings, "steps": 60}, name="longer"))
    start = train(TrainSettings(**{**tiny_settings, "steps": 1}, name="start"))
    assert run.card["preview_losses"]["total"] < 0.9 * start.card["preview_losses"]["total"]


def test_one_seed_gives_one_result_and_another_another(tiny_settings, finished_run, without_export):
    again = train(TrainSettings(**tiny_settings, name="again"))
    other = train(TrainSettings(**tiny_settings, name="other", seed=1))
    torch.testing.assert_close(weights_of(again), weights_of(finished_run))
    assert not torch.allclose(weights_of(other), weights_of(finished_run), atol=1e-3)


def test_the_saved_config_repeats_the_run(tiny_settings, finished_run, tmp_path, without_export):
    config = yaml.safe_load(finished_run.folder.config.read_text())
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(config | {"checkpoints": str(tmp_path)}))
    main(["train", "--config", str(tmp_path / "again.yaml")])
    again = read_checkpoint(tmp_path / "finished" / "last.ckpt")["state_dict"]
    for key, value in read_checkpoint(finished_run.folder.last)["state_dict"].items():
        torch.testing.assert_close(again[key], value)


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tiny_settings, finished_run, without_export):
    class Stop(Exception):
        pass

    class Interrupt(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 13:
                raise Stop

    interrupted = {**tiny_settings, "trainer": {**tiny_settings["trainer"], "callbacks": [Interrupt()]}}
    with pytest.raises(Stop):
        train(TrainSettings(**interrupted, name="interrupted"))
    resumed = train(TrainSettings(**tiny_settings, name="interrupted", resume=True))
    torch.testing.assert_close(weights_of(resumed), weights_of(finished_run))
    assert resumed.card["photographs_seen"] == 40


def test_a_folder_with_a_run_is_kept_unless_told_otherwise(tiny_settings, finished_run):
    before = finished_run.folder.last.read_bytes()
    with pytest.raises(UserError, match="--resume goes on with it, --overwrite replaces it"):
        train(TrainSettings(**tiny_settings, name="finished"))
    assert finished_run.folder.last.read_bytes() == before


def test_overwrite_replaces_a_run_and_spares_other_files(tiny_settings, without_export):
    settings = {**tiny_settings, "steps": 2, "name": "twice"}
    first = train(TrainSettings(**settings))
    (first.folder.path / "notes.txt").write_text("mine")
    train(TrainSettings(**{**settings, "steps": 1, "overwrite": True}))
    assert (first.folder.path / "notes.txt").read_text() == "mine"
    assert not (first.folder.previews / "step=000002.png").exists()


def test_settings_that_came_after_a_run_are_no_reason_not_to_resume_it(tmp_path):
    folder, old = RunFolder(tmp_path, "a"), {"seed": 1, "optimizer": {"muon": True}}
    folder.claim(old, resume=False, overwrite=False)
    folder.release()
    folder.check(
        old | {"loss_border": 16, "optimizer": {"muon": True, "rescale_kernels": True}}, resume=True, overwrite=False
    )
    for changed, name in ((old | {"seed": 2}, "seed"), (old | {"optimizer": {"muon": False}}, "optimizer.muon")):
        with pytest.raises(UserError, match=f"had another {name}"):
            folder.check(changed, resume=True, overwrite=False)


def test_resuming_with_another_painting_is_refused(tiny_settings, finished_run):
    with pytest.raises(UserError, match="had another style_size"):
        train(TrainSettings(**{**tiny_settings, "style_size": 96}, name="finished", resume=True))


def test_a_folder_in_use_is_refused(tiny_settings):
    folder = Path(tiny_settings["checkpoints"]) / "busy"
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="in use by another process"):
        train(TrainSettings(**tiny_settings, name="busy"))


def test_a_folder_of_other_files_is_refused(tiny_settings):
    folder = Path(tiny_settings["checkpoints"]) / "diary"
    folder.mkdir()
    (folder / "monday.txt").write_text("dear diary")
    with pytest.raises(UserError, match="holds files that are no run"):
        train(TrainSettings(**tiny_settings, name="diary"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "absent.jpg"}, "no picture at"),
        ({"data": "absent"}, "no folder of photographs"),
        ({"loss_network": "lita"}, "did you mean lite"),
        ({"style_size": 3}, "style_size needs to be between"),
        ({"preset": "slow"}, "unknown preset"),
        ({"trainer": {"max_epoch": 3}}, "did you mean max_epochs"),
        ({"trainer": {"accelerator": "abacus"}}, "Lightning refuses"),
        ({"trainer": {"max_steps": 3}}, "set that instead"),
        ({"name": "../up"}, "plain word"),
        ({"loss": LossSettings(style_layers=["relu9_9"])}, "unknown layer of lite"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_folder(tiny_settings, tmp_path, change, message):
    settings = {**tiny_settings, "checkpoints": str(tmp_path / "checkpoints"), "name": "wrong", **change}
    with pytest.raises(UserError, match=message):
        train(TrainSettings(**settings))
    assert not list(tmp_path.rglob("*.ckpt")) and not list(tmp_path.rglob("card.json"))


@pytest.fixture
def module(lite) -> StyleTransferModule:
    criterion = PerceptualLoss(lite, [torch.rand(3, 32, 32)], LossSettings())
    return StyleTransferModule(
        TransformerNet("fast", 12), criterion, OptimizerSettings(warmup_steps=10, style_ramp=0.3), steps=100
    )


def test_the_learning_rate_warms_up_and_falls_to_its_share(module):
    rates = [module.learning_rate_share(step) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10]
    assert rates[100] == pytest.approx(0.02)
    assert rates[50] == pytest.approx(0.02 + 0.98 * 0.5)


def test_the_style_weight_rises_over_its_ramp(module, monkeypatch):
    shares = []
    for step in (0, 15, 30, 99):
        monkeypatch.setattr(StyleTransferModule, "global_step", step)
        shares.append(module.style_share())
    assert shares == pytest.approx([0.1, 0.55, 1, 1])


def test_styles_take_turns_and_strengths_are_1_or_random_up_to_1_5(lite):
    paintings = [torch.rand(3, 32, 32) for _ in range(3)]
    network = TransformerNet("fast", 12, styles=["identity", "a", "b", "c"])
    module = StyleTransferModule(network, PerceptualLoss(lite, paintings, LossSettings()), OptimizerSettings(), 9)
    assert module.rows == [1, 2, 3]
    assert module.styles_of_step(5).tolist() == [0, 1, 2, 0, 1]
    strengths = module.strengths_of_step(4000)
    random = strengths[strengths != 1]
    assert len(random) / 4000 == pytest.approx(0.3, abs=0.03)
    assert 0 <= random.min() < 0.05 and 1.45 < random.max() <= 1.5
    assert 0.45 < (random > 1).float().mean() < 0.55
    assert torch.equal(strengths, module.strengths_of_step(4000))


def test_one_network_learns_several_paintings(tiny_settings, tmp_path, without_export):
    for seed, name in ((1, "night"), (2, "day")):
        save_image(draw_style("impasto", seed, 64, 48), tmp_path / f"{name}.png")
    paintings = [str(tmp_path / "night.png"), str(tmp_path / "day.png")]
    run = train(TrainSettings(**{**tiny_settings, "steps": 4, "style": paintings}))
    assert run.folder.name == "base"
    assert run.card["network"]["styles"] == ["identity", "night", "day"]
    assert [style["file"] for style in run.card["style"]] == ["night.png", "day.png"]


@pytest.fixture(scope="module")
def tiny_base(finished_run: Run) -> Path:
    """A base with two styles beside identity, as small as the finished run."""
    network = copy_rows(load_network(finished_run.folder.path), {"identity": "identity", "a": "finished", "b": "finished"})
    path = finished_run.folder.path.parent / "tiny_base.safetensors"
    save_network(network, path)
    return path


def test_fine_tuning_the_norms_leaves_the_base_as_it_was(tiny_settings, tiny_base, without_export):
    run = train(TrainSettings(**{**tiny_settings, "steps": 5}, name="mine", base=str(tiny_base), finetune="norm"))
    base, mine = load_network(tiny_base), load_network(run.folder.path)
    assert mine.styles == ["identity", "a", "b", "mine"]
    told = run.card["base"]
    assert (told["name"], told["file"], told["finetune"]) == ("tiny_base.safetensors", "tiny_base.safetensors", "norm")
    torch.testing.assert_close(copy_rows(mine, {name: name for name in base.styles}).state_dict(), base.state_dict())
    old_row = base.style_parameters()["net.trunk.0.first.norm.scale"][1]
    assert not torch.allclose(mine.style_parameters()["net.trunk.0.first.norm.scale"][3], old_row, atol=1e-4)


def test_fine_tuning_all_keeps_the_new_style_alone(tiny_settings, tiny_base, without_export):
    run = train(TrainSettings(**{**tiny_settings, "steps": 5}, name="mine_alone", base=str(tiny_base)))
    base, mine = load_network(tiny_base), load_network(run.folder.path)
    assert mine.styles == ["identity", "mine_alone"]
    assert not torch.allclose(mine.net.merge.conv.weight, base.net.merge.conv.weight, atol=1e-4)


def test_no_steps_leave_the_start_and_a_run_goes_on_from_there(tiny_settings, tiny_base, without_export):
    settings = {**tiny_settings, "base": str(tiny_base)}
    draft = train(TrainSettings(**{**settings, "steps": 0}, name="draft"))
    assert (draft.card["steps"], draft.card["photographs_seen"]) == (0, 0) and draft.picture.is_file()
    kept = load_network(tiny_base).net.merge.conv.weight
    found = load_network(draft.folder.path).net.merge.conv.weight
    torch.testing.assert_close(found / found.norm(), kept / kept.norm())
    train(TrainSettings(**{**settings, "steps": 4}, name="draft", resume=True))
    whole = train(TrainSettings(**{**settings, "steps": 4}, name="whole_of_four"))
    ends = [read_checkpoint(run.folder.last)["state_dict"] for run in (draft, whole)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.fixture()
def noisy_base() -> TransformerNet:
    """A base with a style that is flat and one that returns the photograph."""
    base = TransformerNet("fast", 12, ["identity", "flat", "same"])
    torch.nn.init.zeros_(base.net.out.conv.weight)
    with torch.no_grad():
        base.net.out.shift[:] = torch.tensor([[0.5] * 3, [0.5] * 3, [0.0] * 3])
        base.net.out.gate[2] = 1
    return base


def test_a_new_style_starts_from_the_one_that_comes_nearest(lite, noisy_base):
    painting, photos = torch.rand(3, 64, 64), torch.rand(2, 3, 128, 128)  # noise, as the painting is
    criterion = PerceptualLoss(lite, [painting], LossSettings())
    weights = choose_start(noisy_base, criterion, 0, painting, photos).weights
    assert weights.argmax() == noisy_base.styles.index("same")
    assert weights.sum().item() == pytest.approx(1) and weights[0] == 0  # of styles alone


def test_a_painting_between_two_styles_starts_as_a_mixture_of_them(lite, noisy_base):
    torch.manual_seed(0)
    photos = torch.rand(2, 3, 128, 128)
    half = 0.5 * photos[0] + 0.25  # as the rows at equal weights draw it
    criterion = PerceptualLoss(lite, [half], LossSettings())
    start = choose_start(noisy_base, criterion, 0, half, photos)
    network = add_styles(noisy_base, {"mine": start}, only_rows=True)
    pictures = network(photos, network.style_weights([network.styles.index("mine")] * 2, like=photos))
    assert pictures.std().item() == pytest.approx(half.std().item(), rel=0.15)


def test_a_base_of_another_preset_gives_what_fits(tiny_base):
    base = load_network(tiny_base)
    other = with_preset(base, "johnson" if base.config["preset"] != "johnson" else "fast")
    assert other.styles == base.styles and other.config["preset"] != base.config["preset"]
    fast = with_preset(TransformerNet("deep", 12, base.styles), "fast")
    deep = with_preset(fast, "deep")
    torch.testing.assert_close(deep.net.merge.state_dict(), fast.net.merge.state_dict())


def test_a_new_style_starts_in_the_colors_of_its_painting(lite):
    torch.manual_seed(3)
    painting = torch.rand(3, 64, 64) * torch.tensor([0.2, 0.1, 0.4]).view(3, 1, 1) + torch.tensor([0.7, 0.2, 0.1]).view(
        3, 1, 1
    )
    base, photos = TransformerNet("fast", 12, ["identity", "other"]), torch.rand(4, 3, 32, 32)
    criterion = PerceptualLoss(lite, [painting], LossSettings())
    network = add_styles(base, {"mine": choose_start(base, criterion, 0, painting, photos)}, only_rows=True)
    means = {
        name: network(photos, network.style_weights([row] * 4, like=photos)).mean((0, 2, 3))
        for row, name in enumerate(network.styles)
    }
    assert torch.allclose(means["mine"], painting.mean((1, 2)), atol=0.03)
    assert not torch.allclose(means["other"], painting.mean((1, 2)), atol=0.1)


@pytest.mark.parametrize("preset", ["fast", "deep", "johnson"])
def test_rescaled_kernels_are_as_long_as_new_ones_and_draw_the_same(preset):
    torch.manual_seed(0)
    network, new, photo = TransformerNet(preset, 12), TransformerNet(preset, 12), torch.rand(1, 3, 48, 40)
    blocks = [block for block in network.modules() if isinstance(block, ConvNorm)]
    for number, block in enumerate(blocks):
        for parameter in block.conv.parameters():
            parameter.data *= 3 + number
    with torch.no_grad():
        before = network(photo)
        rescale_kernels(network)
        torch.testing.assert_close(network(photo), before, rtol=0, atol=2e-3)
    fresh = [block for block in new.modules() if isinstance(block, ConvNorm)]
    for block, other in zip(blocks, fresh, strict=True):
        assert block.conv.weight.norm().item() == pytest.approx(other.conv.weight.norm().item(), rel=0.15)


def test_a_base_that_is_trained_as_a_whole_is_rescaled_unless_told_otherwise(
    tiny_settings, tiny_base, tmp_path, without_export
):
    def kernels(network: TransformerNet) -> list[torch.Tensor]:
        return [block.conv.weight for block in network.modules() if isinstance(block, ConvNorm)]

    def lengths(name: str, **values: object) -> list[float]:
        run = train(
            TrainSettings(**{**tiny_settings, "steps": 1}, name=name, base=str(tmp_path / "b.safetensors"), **values)
        )
        return [kernel.norm().item() for kernel in kernels(load_network(run.folder.path))]

    base = load_network(tiny_base)
    for kernel in kernels(base):
        kernel.data *= 3
    save_network(base, tmp_path / "b.safetensors")
    long = lengths("row", finetune="norm")
    assert lengths("as_it_was", optimizer=OptimizerSettings(rescale_kernels=False)) == pytest.approx(long, rel=0.1)
    assert all(new < 0.6 * old for new, old in zip(lengths("rescaled"), long, strict=True))


def test_strong_rows_start_as_the_style_itself(tiny_base):
    base, photo = load_network(tiny_base), torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        for table in base.style_parameters().values():
            table.add_(0.1 * torch.randn_like(table))
    network = add_strong_rows(base, ["b"])
    assert network.styles == ["identity", "a", "b", "b@1.5"]
    assert [network.styles[row] for row in network.style_rows] == ["a", "b"]
    for strength in (0.5, 1.0, 1.25, 1.5):
        expected = base(photo, base.style_weights([2], min(strength, 1.0), like=photo))
        torch.testing.assert_close(
            network(photo, network.style_weights([2], strength, like=photo)), expected, atol=1e-4, rtol=0
        )
    assert network.style_weights([2], 1.5, like=photo).tolist() == [[0, 0, 0, 1]]


def test_strong_rows_learn_alone_and_are_drawn_by_the_exported_model(tiny_settings, tiny_base, tmp_path):
    for seed, name in ((1, "a"), (2, "b")):
        save_image(draw_style("impasto", seed, 64, 48), tmp_path / f"{name}.png")
    paintings = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    settings = {**tiny_settings, "steps": 4, "style": paintings, "name": "stronger", "base": str(tiny_base)}
    run = train(TrainSettings(**settings, finetune="strong"))
    base, network = load_network(tiny_base), load_network(run.folder.path)
    assert network.styles == ["identity", "a", "b", "a@1.5", "b@1.5"]
    torch.testing.assert_close(copy_rows(network, {name: name for name in base.styles}).state_dict(), base.state_dict())
    scale, start = (
        net.style_parameters()["net.trunk.0.first.norm.scale"] for net in (network, add_strong_rows(base, ["a", "b"]))
    )
    assert not torch.allclose(scale[3], start[3], atol=1e-4) and not torch.allclose(scale[4], start[4], atol=1e-4)
    model = Model(run.folder.onnx)
    assert model.own == "b" and model.weights({"a": 1.0}, 1.25).tolist() == [0, 0.5, 0, 0.5, 0]
    blend = model.weights({"a": 0.5, "b": 0.5}, 1.5).tolist()
    assert blend == [0, 0, 0, 0.5, 0.5]


def test_a_strong_row_needs_its_style_in_the_base(tiny_settings, tiny_base):
    with pytest.raises(UserError, match="unknown style in the base, whose styles --finetune strong.*choose from: a, b$"):
        train(TrainSettings(**tiny_settings, name="unheard_of", base=str(tiny_base), finetune="strong"))


def test_rows_alone_cannot_learn_without_a_base(tiny_settings):
    with pytest.raises(UserError, match="--finetune norm needs a trained network: add --from many"):
        train(TrainSettings(**tiny_settings, name="from_nothing", finetune="norm"))


def test_strong_rows_see_strengths_beyond_1_alone(lite):
    network = TransformerNet("fast", 12, ["identity", "a", "a@1.5"])
    settings = OptimizerSettings(strength_share=0.5)
    criterion = PerceptualLoss(lite, [torch.rand(3, 32, 32)], LossSettings())
    strengths = StyleTransferModule(network, criterion, settings, 10, [1], extrapolate=True).strengths_of_step(400)
    assert strengths.min() >= 1 and strengths.max() == 1.5
    assert 0.4 < (strengths == 1.5).float().mean() < 0.6 and (strengths < 1.25).any()


def test_a_name_that_the_base_has_is_refused(tiny_settings, tiny_base):
    with pytest.raises(UserError, match="the base has a style called a already"):
        train(TrainSettings(**tiny_settings, name="a", base=str(tiny_base), finetune="norm"))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"network": '{"preset": "fast", "width": 12, "styles": 2}'}, "another version of fast_nst"),
        ({"network": "{"}, "holds no TransformerNet"),
        ({}, "holds no TransformerNet"),
        ({"network": '{"preset": "fast", "width": 24, "styles": ["identity", "a", "b"]}'}, "too few"),
    ],
)
def test_a_base_that_is_none_of_this_version_is_refused(tiny_base, tmp_path, metadata, message):
    write_tensors(tmp_path / "other.safetensors", read_tensors(tiny_base), metadata)
    with pytest.raises(UserError, match=message):
        load_network(tmp_path / "other.safetensors")


def test_a_base_brings_its_own_shape(tiny_settings, tiny_base):
    with pytest.raises(UserError, match="has width 12, not 24; leave --width out"):
        train(TrainSettings(**{**tiny_settings, "width": 24}, name="wider", base=str(tiny_base)))


def test_weights_in_float16_draw_the_same_picture(finished_run, tiny_base):
    photo = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        expected, found = load_network(finished_run.folder.path)(photo), load_network(tiny_base)(photo)
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)


def test_previews_come_by_the_clock_where_no_step_is_said(module, tmp_path, monkeypatch):
    clock = iter([0, 7, 9, 10, 65, 71, 72])  # start, then a step each, and the end of each drawing
    monkeypatch.setattr("fast_nst.training.callbacks.time.monotonic", lambda: next(clock))
    drawn = []
    previews = Previews([torch.rand(3, 32, 32)], tmp_path, every=None)
    monkeypatch.setattr(previews, "draw", lambda module, name: drawn.append(name))
    previews.on_train_start(None, module)
    for step in range(1, 5):
        previews.on_train_batch_end(SimpleNamespace(global_step=step), module)
    assert drawn == ["step=000002.png", "step=000004.png"]


def test_compiling_falls_back_in_one_line(module, monkeypatch):
    def no_compiler(*_: object, **__: object):
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda part: no_compiler)
    with pytest.warns(UserWarning, match=r"without torch.compile, which failed: no C\+\+ compiler$"):
        assert compile_networks(module, torch.rand(2, 3, 32, 32)) is False
    photos = torch.rand(1, 3, 32, 32)
    assert torch.isfinite(module.criterion(module.network(photos), photos).total)


def test_an_average_of_the_weights_is_saved_when_asked(tiny_settings, finished_run):
    averaged = train(TrainSettings(**tiny_settings, name="averaged", optimizer=OptimizerSettings(average=0.9)))
    assert not torch.allclose(weights_of(averaged), weights_of(finished_run), atol=1e-4)
    assert Stylizer(averaged.folder.path)(np.zeros((16, 16, 3), np.uint8)).shape == (16, 16, 3)


@pytest.fixture
def two_processes(tiny_settings: dict, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts a training on two processes, in the folder ddp of ``tmp_path``; what is left of it ends with the test."""
    started: list[subprocess.Popen] = []

    def start(*flags: str, **changes: object) -> subprocess.Popen:
        settings = {key: value for key, value in tiny_settings.items() if key != "trainer"}
        settings |= {"checkpoints": str(tmp_path), "name": "ddp", "steps": 4} | changes
        (tmp_path / "ddp.yaml").write_text(yaml.safe_dump(settings))
        flags = (*flags, "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp")
        command = [sys.executable, "-m", "fast_nst", "train", "--config", str(tmp_path / "ddp.yaml"), *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.mark.full
def test_two_processes_train_together(two_processes, tmp_path):
    process = two_processes()
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told[-2000:]
    assert json.loads((tmp_path / "ddp" / "card.json").read_text())["photographs_seen"] == 4 * 2 * 2
    assert (tmp_path / "ddp" / "ddp.onnx").exists()


def test_two_processes_stop_together_and_go_on(two_processes, tmp_path):
    process, begun = two_processes(steps=10**6, checkpoint_every=2), time.monotonic()
    while time.monotonic() < begun + 300 and not (tmp_path / "ddp" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM, told[-2000:]
    step = int(re.search(r"stopped at step (\d+); the same command with --resume", told)[1])
    assert read_checkpoint(tmp_path / "ddp" / "last.ckpt")["global_step"] == step
    process = two_processes("--resume", steps=step + 2)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told[-2000:]
    assert json.loads((tmp_path / "ddp" / "card.json").read_text())["photographs_seen"] == 4 * (step + 2)
