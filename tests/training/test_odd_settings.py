"""Configs that ask for what cannot be: each ends in one line with exit code 2, whatever part of the program notices."""

import os
from pathlib import Path

import pytest
import yaml

from fast_nst.cli.main import main
from fast_nst.training import run as training_run

CORES = os.cpu_count() or 1
TRAINER = [
    {"devices": 40 * CORES}, {"devices": str(40 * CORES)}, {"devices": 0}, {"devices": "many"}, {"num_nodes": 0},
    {"precision": "64-true"}, {"precision": "16-true"}, {"precision": 7}, {"precision": "transformer-engine"},
    {"accelerator": "tpu"}, {"accelerator": "gpu", "devices": 99}, {"accelerator": 3},
    {"accumulate_grad_batches": 1.5}, {"accumulate_grad_batches": 0}, {"accumulate_grad_batches": "all"},
    {"limit_train_batches": 0.0001}, {"limit_train_batches": 0}, {"limit_train_batches": -1}, {"limit_train_batches": 1.5},
    {"overfit_batches": 0.3}, {"max_time": "a while"}, {"max_time": "00:00:00:00"}, {"strategy": "fsdp"},
    {"strategy": "telepathy"}, {"gradient_clip_algorithm": "scissors"}, {"plugins": "none such"}, {"barebones": True},
    {"val_check_interval": "weekly"}, {"log_every_n_steps": "few"}, {"profiler": "nosy"}, {"enable_checkpointing": False},
    {"use_distributed_sampler": True}, {"default_root_dir": 7},
    {"reload_dataloaders_every_n_epochs": -1}, {"fast_dev_run": -2}, {"benchmark": "yes?"},
]  # fmt: skip
SETTINGS = [
    {"data": []}, {"style": []}, {"data": "a\0b"}, {"style": "a\0b.jpg"}, {"style": "~nosuchuser/a.jpg"},
    {"data": "~nosuchuser"}, {"checkpoints": "a\0b"}, {"base": "~nosuchuser/base"}, {"loss_weights": "a\0b.pth"},
    {"preview_photos": ["a\0b.jpg"]}, {"preview_photos": ["absent.jpg"]}, {"name": "a\0b"}, {"minutes": 0},
    {"minutes": float("nan")}, {"minutes": float("inf")}, {"minutes": 1, "steps": 1}, {"loss_network": ""},
]  # fmt: skip


@pytest.fixture
def command(tiny_settings, tmp_path, monkeypatch):
    """Runs a training of one step with some settings changed."""
    monkeypatch.setattr(training_run, "export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)
    monkeypatch.chdir(tmp_path)

    def run(change: dict) -> None:
        settings = {**tiny_settings, "checkpoints": str(tmp_path / "runs"), "name": "odd", "steps": 1, "batch_size": 1}
        settings |= change
        if "minutes" in change and "steps" not in change:
            del settings["steps"]
        settings["trainer"] = tiny_settings["trainer"] | change.get("trainer", {})
        Path("odd.yaml").write_text(yaml.safe_dump(settings))
        main(["train", "--config", "odd.yaml"])

    return run


def test_a_config_without_anything_odd_trains(command, tmp_path):
    command({"trainer": {"precision": "32-true", "accumulate_grad_batches": 2}})
    assert (tmp_path / "runs" / "odd" / "card.json").exists()


@pytest.mark.parametrize(
    "change", [*[{"trainer": one} for one in TRAINER], *SETTINGS], ids=lambda change: str(change)[:60].replace("\0", "NUL")
)
def test_an_odd_setting_is_one_line(change, command, capsys):
    with pytest.raises(SystemExit) as end:
        command(change)
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and lines[-1].startswith("fast-nst: ") and sum("fast-nst: " in line for line in lines) == 1
