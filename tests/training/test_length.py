"""The length of a training, by steps or by the clock, and trainings that end before it."""

import io
import json
from types import SimpleNamespace

import pytest
import torch
import yaml

from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.runs.config import resolved
from fast_nst.settings.train import TrainSettings
from fast_nst.training import run as training_run
from fast_nst.training.progress import WIDTH, ProgressLine, clock
from fast_nst.training.run import train


@pytest.fixture
def settings(tiny_settings: dict, tmp_path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Settings of a run without a length, without pictures on its way and without an ONNX model."""
    monkeypatch.setattr(training_run, "export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)
    settings = {**tiny_settings, "checkpoints": str(tmp_path), "preview_every": 10**6, "batch_size": 1}
    del settings["steps"]
    return settings


def weights_of(folder) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder.last)["state_dict"]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_steps_and_minutes_at_once_are_refused_and_a_start_from_a_trained_network_gets_ten_minutes():
    with pytest.raises(UserError, match="--steps and --minutes both say how long"):
        TrainSettings(steps=3, minutes=1)
    lengths = [(settings.steps, settings.minutes) for settings in map(resolved, (
        TrainSettings(base="scratch"), TrainSettings(), TrainSettings(base="base", steps=7), TrainSettings(minutes=3.0),
    ))]  # fmt: skip
    assert lengths == [(4000, None), (None, 10), (7, None), (None, 3)]


def test_a_run_starts_from_the_base_of_many_styles_unless_a_network_of_its_own_is_asked_for():
    starts = {
        name: resolved(TrainSettings(**changes)).base
        for name, changes in {
            "usual": {}, "preset": {"preset": "johnson"}, "width": {"width": 8}, "own": {"preset": "deep", "base": "base"},
        }.items()
    }  # fmt: skip
    assert starts == {"usual": "many", "preset": "scratch", "width": "scratch", "own": "base"}
    again = resolved(resolved(TrainSettings(base="scratch")))
    assert again.base == "scratch" and again.start is None


def test_minutes_become_steps_and_the_config_repeats_the_run_bit_for_bit(settings, monkeypatch, capsys):
    monkeypatch.setattr("fast_nst.training.length.seconds_per_step", counted := measured(0.5))
    timed = train(TrainSettings(**settings, name="timed", minutes=0.1))
    assert "0.1 minutes: 11 steps of 1 photographs" in capsys.readouterr().err  # 95 % of 6 s in steps of half a second
    config = yaml.safe_load(timed.folder.config.read_text())
    assert (config["steps"], config["minutes"], timed.card["steps"]) == (11, None, 11)
    again = train(TrainSettings(**{**settings, "steps": 11}, name="again"))
    assert equal(weights_of(timed.folder), weights_of(again.folder)) and len(counted.calls) == 1


def test_a_run_by_the_clock_that_was_interrupted_keeps_its_steps_and_ends_the_same(settings, monkeypatch):
    monkeypatch.setattr("fast_nst.training.length.seconds_per_step", measured(0.5))
    whole = train(TrainSettings(**settings, name="whole", minutes=0.1))
    part = {**settings, "trainer": {**settings["trainer"], "limit_train_batches": 4}}
    stopped = train(TrainSettings(**part, name="part", minutes=0.1))
    assert read_checkpoint(stopped.folder.last)["global_step"] == 4
    monkeypatch.setattr("fast_nst.training.length.seconds_per_step", measured(0.001))
    train(TrainSettings(**settings, name="part", minutes=0.1, resume=True))
    assert equal(weights_of(whole.folder), weights_of(stopped.folder))


def measured(seconds: float):
    """A measuring that finds ``seconds``, in place of one that depends on the machine."""

    def measure(*given: object) -> float:
        measure.calls.append(honest(*given[:2], given[2], 0.0))
        return seconds

    from fast_nst.training.length import seconds_per_step as honest

    measure.calls = []
    return measure


def test_a_run_that_its_trainer_ends_early_says_so_and_counts_the_steps_made(settings, capsys):
    settings["trainer"] = {**settings["trainer"], "limit_train_batches": 3}
    run = train(TrainSettings(**settings, steps=9, name="early"))
    assert "ended after 3 of 9 steps" in capsys.readouterr().err
    assert (run.card["steps"], run.card["planned_steps"]) == (3, 9)
    assert json.loads(run.folder.card.read_text())["steps"] == 3


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_one_line_within_80_columns_and_a_line_each_half_minute_in_a_file(terminal, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("fast_nst.training.progress.time.monotonic", lambda: now[0])
    stream = Stream(terminal)
    progress = ProgressLine(12_000, 4, stream)
    terms = {"total": torch.tensor(12.345), "structure": torch.tensor(0.4567)}
    trainer = SimpleNamespace(global_step=0, is_global_zero=True)
    progress.on_train_start(trainer, None)
    for step in range(1, 3601):  # half a second each
        trainer.global_step, now[0] = step, now[0] + 0.5
        progress.on_train_batch_end(trainer, None, {"terms": terms}, None)
    progress.on_train_end(trainer, None)
    text = stream.getvalue()
    lines = text.split("\r") if terminal else text.splitlines()
    assert "step 3600 of 12000, 30%  loss 12.3  r 0.46  8.0 photos/s  1:10:00 left" in text
    assert max(map(len, lines)) <= WIDTH + terminal and "Epoch" not in text
    assert text.count("\n") == (1 if terminal else 60)


def test_a_clock_shows_hours_only_where_there_are_some():
    assert [clock(seconds) for seconds in (0.2, 65, 3599.7, 3665)] == ["0:00", "1:05", "1:00:00", "1:01:05"]
