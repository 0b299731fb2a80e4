"""What a run leaves for TensorBoard."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fast_nst.runs.folder import Run
from fast_nst.settings.train import TrainSettings
from fast_nst.training import run as training_run
from fast_nst.training.curves import flat
from fast_nst.training.run import train


@pytest.fixture
def run(tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(training_run, "export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)
    changes = {"checkpoints": str(tmp_path), "steps": 12, "preview_every": 4, "batch_size": 1}
    return train(TrainSettings(**tiny_settings | changes, name="shown"))


def test_one_file_of_events_holds_curves_pictures_and_settings_by_their_names(run):
    (file,) = run.folder.path.glob("events.out.tfevents.*")
    assert not (run.folder.path / "hparams.yaml").exists()
    events = EventAccumulator(str(file)).Reload()
    tags = events.Tags()
    assert {"preview", "style/shown"} <= set(tags["images"])
    rates = {f"lr-Muon/{name}" for name in ("kernels", "biases", "style rows")}
    assert rates | {"train/style", "held_out/style", "held_out/structure"} <= set(tags["scalars"])
    assert [point.step for point in events.Scalars("held_out/style")][:3] == [4, 8, 12]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert events.Scalars("held_out/style")[-1].value == pytest.approx(run.card["preview_losses"]["style"], abs=1e-3)


def test_settings_become_one_row_of_a_table():
    nested = {"steps": 3, "loss": {"style_weight": 2.0}, "style": ["a", "b"], "base": None, "muon": True}
    assert flat(nested) == {"steps": 3, "loss.style_weight": 2.0, "style": "['a', 'b']", "base": "None", "muon": True}
