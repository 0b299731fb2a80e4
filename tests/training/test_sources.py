"""Runs whose photographs, style pictures and weights lie elsewhere when they are resumed."""

import shlex
from pathlib import Path

import pytest

from fast_nst.errors import UserError
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import save_image
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import TrainSettings
from fast_nst.training import run as training_run
from fast_nst.training.run import train


@pytest.fixture
def begun(tiny_settings: dict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Settings of a run of 2 steps that is made, on photographs and a painting of its own, and has 2 more to go."""
    monkeypatch.setattr(training_run, "export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)
    (tmp_path / "before").mkdir()
    for path in photos.iterdir():
        (tmp_path / "before" / path.name).write_bytes(path.read_bytes())
    save_image(draw_style("impasto", 1, 64, 48), tmp_path / "before.png")
    settings = {
        **tiny_settings, "checkpoints": str(tmp_path / "runs"), "name": "a", "preview_every": 10**6, "batch_size": 1,
        "data": str(tmp_path / "before"), "style": str(tmp_path / "before.png"),
    }  # fmt: skip
    train(TrainSettings(**{**settings, "steps": 2}))
    return settings | {"steps": 4, "resume": True}


def test_the_same_photographs_and_painting_in_another_place_go_on(begun, tmp_path):
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "before.png").rename(tmp_path / "after.png")
    moved = {"data": str(tmp_path / "after"), "style": str(tmp_path / "after.png")}
    run = train(TrainSettings(**{**begun, **moved}))
    assert read_checkpoint(run.folder.last)["global_step"] == 4
    assert run.folder.saved_config()["style"] == moved["style"]
    train(TrainSettings(**{**begun, **moved, "steps": 5}))


@pytest.mark.parametrize("name", ["data", "style"])
def test_others_go_on_only_if_the_user_says_so(name, begun, tmp_path):
    if name == "data":
        (tmp_path / "before" / "coffee.jpg").unlink()
        (tmp_path / "before").rename(tmp_path / "other")
    else:
        save_image(draw_style("impasto", 2, 64, 48), tmp_path / "other.png")
    place = tmp_path / ("other" if name == "data" else "other.png")
    with pytest.raises(UserError, match=rf"began with another {name} \({name}: .*before.*--moved"):
        train(TrainSettings(**{**begun, name: str(place)}))
    run = train(TrainSettings(**{**begun, name: str(place), "moved": True}))
    assert read_checkpoint(run.folder.last)["global_step"] == 4


def test_a_command_in_a_message_can_be_pasted_into_a_shell(tmp_path):
    folder = RunFolder(tmp_path / "my runs", "a b")
    folder.claim({"seed": 1}, resume=False, overwrite=False)
    folder.release()
    with pytest.raises(UserError) as caught:
        folder.check({"seed": 2}, resume=True, overwrite=False)
    words = shlex.split(str(caught.value))
    assert str(folder.config) in words
