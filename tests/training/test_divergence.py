import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.runs.folder import Run
from fast_nst.settings.train import OptimizerSettings, TrainSettings
from fast_nst.training.divergence import (
    CHECK_EVERY,
    MEMORY,
    ROLLBACKS,
    DivergenceDetector,
    DivergenceGuard,
    Stats,
    picture_stats,
)
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.run import train

HEALTHY = Stats(1, objective=5, style=4, structure=0.4, weights=17, flat=0, brightness=0.5, outside=0.01)
# of a run from noise, measured: grey pictures at first, little structure that comes and goes, a style term that does too
START = [
    HEALTHY._replace(objective=objective, style=objective - 0.6, structure=structure, flat=flat)
    for objective, structure, flat in [(13, 0.1, 1), (8.3, 0.35, 1), (10, 0.13, 0), (8, 0.17, 0.5), (6, 0.3, 0)]
]
DIVERGED = {
    "no number": HEALTHY._replace(finite=0, objective=math.nan),
    "weights have grown 2.0-fold": HEALTHY._replace(weights=34),
    "objective is 20 times its best": HEALTHY._replace(objective=100, style=99),
    "black": HEALTHY._replace(flat=1, brightness=0),
    "white": HEALTHY._replace(flat=1, brightness=1),
    "of one color": HEALTHY._replace(flat=1, brightness=0.4),
    "saturated": HEALTHY._replace(outside=0.95),
    "photograph is lost": HEALTHY._replace(structure=0.02, style=2),
}


@pytest.fixture
def quick(tiny_settings: dict, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Settings of a run without pictures on its way and without an ONNX model, which take longer than its steps."""
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)
    return {**tiny_settings, "preview_every": 10**6}


def guard_state(run_folder: Path) -> dict:
    return read_checkpoint(run_folder / "last.ckpt")["callbacks"]["DivergenceGuard"]


def all_finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    return bool(torch.isfinite(value).all()) if isinstance(value, torch.Tensor) else True


@pytest.mark.parametrize("words", DIVERGED)
def test_every_kind_of_divergence_is_seen_within_50_steps(words):
    signs = DivergenceDetector()
    assert [signs.update(look) for look in [*START, *[HEALTHY] * 10]] == [None] * 15
    found = [signs.update(DIVERGED[words]) for _ in range(50 // CHECK_EVERY)]
    assert words in next(filter(None, found))


@pytest.mark.parametrize("words", [words for words in DIVERGED if words != "no number"])
def test_two_odd_looks_in_ten_are_no_divergence(words):
    signs = DivergenceDetector()
    looks = [*START, *[HEALTHY] * 4, *([DIVERGED[words]] * 2 + [HEALTHY] * 8) * 5]
    assert not any(map(signs.update, looks))
    assert signs.is_healthy


def test_what_was_never_there_cannot_be_lost():
    """Grey pictures without structure, for as long as they last: a low rate learns slowly."""
    signs = DivergenceDetector()
    assert not any(signs.update(START[0]._replace(flat=1, structure=0.0, style=10)) for _ in range(100))


def test_a_texture_is_no_divergence_where_the_content_weighs_nothing():
    signs = DivergenceDetector()
    looks = [HEALTHY._replace(style=5)] * 10 + [HEALTHY._replace(objective=3, style=3, structure=0.0)] * 10
    assert not any(map(signs.update, looks))


def test_weights_may_grow_over_a_long_run():
    signs = DivergenceDetector()
    assert not any(signs.update(HEALTHY._replace(weights=17 * 1.04**look)) for look in range(100))
    assert len(signs.weights) == MEMORY


def test_pictures_of_one_colour_or_beyond_the_range_are_told_from_photographs():
    torch.manual_seed(0)
    photos = torch.rand(3, 3, 16, 16) * 0.8 + 0.1
    red = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1).expand_as(photos)
    assert picture_stats(photos, photos)[[0, 2]].tolist() == [0, 0]
    assert picture_stats(torch.full_like(photos, -3.0), photos).tolist() == [1, 0, 1]
    assert picture_stats(red, photos).tolist() == pytest.approx([1, 1.1 / 3, 0])
    assert picture_stats(torch.stack([red[0], photos[1], photos[2]]), photos)[0].item() == pytest.approx(1 / 3)
    assert picture_stats((photos - 0.5).sign() * 9, photos)[2] == 1
    assert picture_stats(red, red)[0] == 0  # a photograph of one color


def test_a_hundred_times_the_sane_rate_is_rolled_back_and_learns_after_all(quick, capsys):
    rate = 100 * OptimizerSettings().learning_rate
    settings = {**quick, "steps": 120, "checkpoint_every": 50, "optimizer": OptimizerSettings(learning_rate=rate)}
    run = train(TrainSettings(**settings, name="hot"))
    printed = capsys.readouterr().err
    assert printed.count("back to the state of step") == guard_state(run.folder.path)["rollbacks"] > 0
    assert int(printed.split("step ")[1].split(":")[0]) <= 50
    start = train(TrainSettings(**{**quick, "steps": 1}, name="not_yet"))
    assert run.card["preview_losses"]["total"] < 0.9 * start.card["preview_losses"]["total"]


@pytest.mark.parametrize("start", [None, "base"])
def test_a_sane_run_is_left_alone_from_its_start_on(quick, start):
    width = None if start else quick["width"]
    steps = 30 if start else 100
    run = train(TrainSettings(**{**quick, "steps": steps, "width": width, "base": start}, name=f"sane_{start}"))
    state = guard_state(run.folder.path)
    assert state["rollbacks"] == 0 and not any(state["signs"]["counts"].values())


@pytest.fixture
def one_bad_batch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps at which the loss was no number: step 14, whenever the run comes by."""
    honest, met = StyleTransferModule.terms, []

    def terms(self, photos, *networks):
        terms = honest(self, photos, *networks)
        if self.global_step != 14 or self._trainer is None:
            return terms
        met.append(self.global_step)
        return terms._replace(total=terms.total * float("nan"))

    monkeypatch.setattr(StyleTransferModule, "terms", terms)
    return met


class Watch(pl.Callback):
    """Weights and learning rate after each step."""

    def __init__(self) -> None:
        self.weights: dict[int, torch.Tensor] = {}
        self.rates: dict[int, float] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, module: StyleTransferModule, *_: object) -> None:
        self.weights[trainer.global_step] = torch.cat([value.flatten().clone() for value in module.parameters()])
        self.rates[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]


def watched(quick: dict, watch: pl.Callback, **changes: object) -> Run:
    return train(TrainSettings(**{**quick, "trainer": {**quick["trainer"], "callbacks": [watch]}, **changes}))


def test_a_batch_without_a_loss_costs_the_steps_since_the_last_good_state(quick, one_bad_batch, capsys):
    watch = Watch()
    run = watched(quick, watch, name="one_bad_batch", steps=40, optimizer=OptimizerSettings(average=0.9))
    assert "step 20: a loss or a weight is no number; back to the state of step 10" in capsys.readouterr().err
    assert one_bad_batch == [14]
    assert watch.weights[19].isnan().all() and torch.equal(watch.weights[20], watch.weights[10])
    module = StyleTransferModule(torch.nn.Linear(1, 1), None, OptimizerSettings(), 40, rows=[])
    assert watch.rates[12] == pytest.approx(2e-3 * module.learning_rate_share(12))
    assert [watch.rates[step] for step in (20, 21)] == pytest.approx(
        [2e-3 * 0.25 * module.learning_rate_share(step) for step in (20, 21)]
    )
    content = read_checkpoint(run.folder.last)
    assert content["global_step"] == 40 and all_finite(content["state_dict"]) and all_finite(content["optimizer_states"][0])
    assert all(math.isfinite(value) for value in (run.card["final_losses"] | run.card["preview_losses"]).values())


def test_a_run_that_was_rolled_back_and_interrupted_ends_like_one_that_was_not_interrupted(quick, one_bad_batch):
    class Stop(Exception):
        pass

    class Interrupt(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            if trainer.global_step == self.step:
                raise Stop

    changes = {"steps": 30, "checkpoint_every": 13, "optimizer": OptimizerSettings(average=0.9)}
    whole = watched(quick, Watch(), name="rolled_back", **changes)
    for stop in (17, 28):  # before the rollback, of which nobody knows yet, and after it
        Interrupt.step = stop
        with pytest.raises(Stop):
            watched(quick, Interrupt(), name="rolled_back_in_parts", resume=stop > 17, **changes)
    parts = watched(quick, Watch(), name="rolled_back_in_parts", resume=True, **changes)
    one, other = read_checkpoint(whole.folder.last), read_checkpoint(parts.folder.last)
    assert one["rate_factor"] == other["rate_factor"] == 0.25
    for key, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][key])


def test_a_run_that_never_recovers_stops_with_advice_and_a_good_checkpoint(quick, monkeypatch, tmp_path, capsys):
    honest = StyleTransferModule.terms

    def terms(self, photos, *networks):
        terms = honest(self, photos, *networks)
        return terms._replace(total=terms.total * float("nan")) if self.global_step >= 14 else terms

    monkeypatch.setattr(StyleTransferModule, "terms", terms)
    flags = [f"--{key}={value}" for key, value in quick.items() if key not in ("trainer", "checkpoints")]
    flags += ["--steps=90", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    with pytest.raises(SystemExit) as end:
        main(["train", *flags, "--checkpoints", str(tmp_path), "--name", "poisoned"])
    lines = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == UserError.code == 2
    assert sum("back to the state of step" in line for line in lines) == ROLLBACKS
    assert "diverged again at step 50, after 3 rollbacks" in lines[-1] and "--optimizer.learning_rate below" in lines[-1]
    good = Path(lines[-1].split("last good checkpoint: ")[1])
    assert good.name.startswith("step=000040") and all_finite(read_checkpoint(good)["state_dict"])
    assert all_finite(read_checkpoint(tmp_path / "poisoned" / "last.ckpt")["state_dict"])


def fake_run(device: str, reduce=lambda values, reduce_op: values) -> tuple[SimpleNamespace, SimpleNamespace]:
    network = torch.nn.Linear(2, 2)
    module = SimpleNamespace(
        style_share=lambda: 1.0, rate_factor=1.0,
        parameters=network.parameters, state_dict=network.state_dict, load_state_dict=network.load_state_dict,
    )  # fmt: skip
    trainer = SimpleNamespace(
        global_step=0, ckpt_path=None, optimizers=[torch.optim.Adam(network.parameters())], callbacks=[],
        checkpoint_callback=None, is_global_zero=True, strategy=SimpleNamespace(reduce=reduce),
    )  # fmt: skip
    return trainer, module


def steps(
    guard: DivergenceGuard, trainer: SimpleNamespace, module: SimpleNamespace, count: int, device: str = "cpu"
) -> Iterator[int]:
    names = ("total", "content", "style", "tv", "structure")
    outputs = {"terms": dict.fromkeys(names, torch.tensor(0.5, device=device)), "pictures": torch.rand(1, 3, 8, 8)}
    for _ in range(count):
        trainer.global_step += 1
        guard.on_train_batch_end(trainer, module, outputs, torch.rand(1, 3, 8, 8))
        yield trainer.global_step


def test_between_looks_nothing_is_read_from_the_device():
    """Tensors on the meta device have no values: whoever reads one gets an error."""
    trainer, module = fake_run("meta")
    guard = DivergenceGuard(every=100)
    guard.on_train_start(trainer, module)
    assert list(steps(guard, trainer, module, CHECK_EVERY - 1, "meta"))[-1] == CHECK_EVERY - 1
    with pytest.raises((RuntimeError, NotImplementedError)):
        next(steps(guard, trainer, module, 1, "meta"))


def test_a_process_goes_back_when_another_one_has_to():
    other_is_broken = torch.tensor([0.0] + [1.0] * 7)
    trainer, module = fake_run("cpu", reduce=lambda values, reduce_op: (values + other_is_broken) / 2)
    guard = DivergenceGuard(every=100)
    guard.on_train_start(trainer, module)
    assert [step for step in steps(guard, trainer, module, 25) if guard.rollbacks][0] == CHECK_EVERY
    assert guard.rollbacks == 2 and module.rate_factor == 0.25**2
