import pytest
import pytorch_lightning as pl
import torch

from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.train import LossSettings, OptimizerSettings, TrainSettings
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.run import Run, train


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: None)


def module_with(lite, weight: float) -> StyleTransferModule:
    torch.manual_seed(0)
    criterion = PerceptualLoss(lite, [torch.rand(3, 64, 64)], LossSettings(stability_weight=weight), border=8)
    network = TransformerNet("fast", 12, ["identity", "a"])
    return StyleTransferModule(network, criterion, OptimizerSettings(strength_share=0), steps=100, seed=5)


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return read_checkpoint(run.folder.last)["state_dict"]


def test_without_a_weight_no_second_picture_is_drawn(lite, crops, monkeypatch):
    monkeypatch.setattr("fast_nst.training.module.random_motion", lambda *_, **__: pytest.fail("a second view"))
    result = module_with(lite, 0.0).training_step(crops, 0)
    assert "stability" not in result and result["loss"].isfinite()


def test_a_step_adds_the_term_by_its_weight_and_hands_it_out(lite, crops, monkeypatch):
    monkeypatch.setattr(StyleTransferModule, "global_step", 15)
    plain, result = (module_with(lite, weight).training_step(crops, 0) for weight in (0.0, 8.0))
    assert result["stability"] > 0 and set(result["terms"]) == set(plain["terms"])
    torch.testing.assert_close(result["loss"], plain["loss"] + 0.5 * 8.0 * result["stability"])


def test_the_weight_rises_from_0_over_the_first_part_of_the_run(lite, monkeypatch):
    module, shares = module_with(lite, 1.0), []
    for step in (0, 15, 30, 99):
        monkeypatch.setattr(StyleTransferModule, "global_step", step)
        shares.append(module.stability_share())
    assert shares == pytest.approx([0, 0.5, 1, 1])


def test_the_motion_is_one_for_a_seed_and_a_step(lite, crops, monkeypatch):
    module, found = module_with(lite, 1.0), []
    pictures = module.pictures(crops)
    for step in (3, 3, 4):
        monkeypatch.setattr(StyleTransferModule, "global_step", step)
        found.append(module.stability(pictures, crops).item())
    assert found[0] == found[1] != found[2]


def test_half_of_the_photographs_are_drawn_again_each_at_its_own_style(lite, crops, monkeypatch):
    module, drawn = module_with(lite, 1.0), []
    pictures = module.pictures(crops)
    honest = module.network.forward
    monkeypatch.setattr(module.network, "forward", lambda images, style: [drawn.append(style), honest(images, style)][1])
    monkeypatch.setattr(StyleTransferModule, "strengths_of_step", lambda self, count: torch.tensor([0.1, 0.2, 0.3, 0.4]))
    module.stability(pictures, crops)
    (style,) = drawn
    assert style.shape == (2, 2) and set(style[:, 1].tolist()) < {float(torch.tensor(one)) for one in (0.1, 0.2, 0.3, 0.4)}


def test_gradients_make_a_network_steadier(lite, crops):
    module = module_with(lite, 1.0)
    optimizer, losses = torch.optim.Adam(module.network.parameters(), 1e-2), []
    for _ in range(12):
        loss = module.stability(module.pictures(crops), crops)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_an_interrupted_run_with_the_term_ends_bit_for_bit_like_an_uninterrupted_one(tiny_settings, without_export):
    class Stop(Exception):
        pass

    class Interrupt(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == 5:
                raise Stop

    settings = tiny_settings | {"steps": 8, "checkpoint_every": 2, "loss": LossSettings(stability_weight=5.0)}
    whole = train(TrainSettings(**settings, name="steady"))
    with pytest.raises(Stop):
        callbacks = settings["trainer"] | {"callbacks": [Interrupt()]}
        train(TrainSettings(**settings | {"trainer": callbacks}, name="broken"))
    resumed = train(TrainSettings(**settings, name="broken", resume=True))
    assert all(torch.equal(value, weights_of(resumed)[name]) for name, value in weights_of(whole).items())
    plain = train(TrainSettings(**settings | {"loss": LossSettings()}, name="plain"))
    assert any(not torch.equal(value, weights_of(plain)[name]) for name, value in weights_of(whole).items())
