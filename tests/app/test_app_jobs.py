"""Trainings of the app: ordinary runs in processes of their own, which can be stopped, kept and continued."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import yaml

from fast_nst.app.gallery import entries
from fast_nst.app.jobs import Trainings
from fast_nst.app.watching import Watcher
from fast_nst.errors import UserError
from fast_nst.settings.app import AppSettings
from fast_nst.stylize.stylizer import Stylizer

pytestmark = pytest.mark.full

TINY = {"image_size": 32, "batch_size": 1, "style_size": 64, "workers": 0, "trainer.accelerator": "cpu"}
PAINTING = skimage.data.coffee()[:64, :96]
PATIENCE = 600  # seconds, on a machine that has other things to do


def trainings(folder: Path, **train) -> Trainings:
    return Trainings(AppSettings(checkpoints=str(folder), train={**TINY, **train}))


def wait_for(there: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_training_is_an_ordinary_run_and_its_style_is_in_the_gallery(tmp_path):
    own = trainings(tmp_path, steps=2, preview_every=1)
    training = own.start(PAINTING, "mine", 10)
    with pytest.raises(UserError, match="mine is being trained"):
        own.start(PAINTING, "other", 10)
    wait_for(lambda: not training.is_running)
    assert training.succeeded, training.log.read_text()

    config = yaml.safe_load((tmp_path / "mine" / "config.yaml").read_text())
    assert (config["name"], config["steps"], config["image_size"]) == ("mine", 2, 32)
    assert str(tmp_path / "mine") in entries(tmp_path) and own.stopped() == []
    photo = skimage.data.chelsea()[:40, :60]
    assert not np.array_equal(Stylizer(tmp_path / "mine")(photo), photo)

    view = Watcher(own).view()
    assert "is trained" in view.words and not view.is_running
    assert view.preview == tmp_path / "mine" / "previews" / "final.png" and view.picture().ndim == 3
    with pytest.raises(UserError, match="holds a run"):
        own.start(PAINTING, "mine", 10)


@pytest.mark.full
def test_a_stopped_training_is_kept_as_a_style_and_goes_on(tmp_path):
    own = trainings(tmp_path, steps=100_000, checkpoint_every=1)
    watcher = Watcher(own)
    training = own.start(PAINTING, "mine", 10)
    wait_for(lambda: training.folder.checkpoints() or not training.is_running)
    wait_for(lambda: "is at step" in watcher.view().words or not training.is_running)
    assert training.is_running, training.log.read_text()
    assert own.stopped() == []

    assert own.stop_and_keep() == tmp_path / "mine" / "mine.onnx"
    assert not training.is_running and str(tmp_path / "mine") in entries(tmp_path)
    assert own.stopped() == ["mine"] and "can go on" in watcher.view().words

    made = max(curve.steps[-1] for curve in watcher.view().curves.values())
    resumed = Trainings(own.settings)  # as after a new start of the app
    training = resumed.resume("mine")
    wait_for(lambda: f"step={made + 1:06d}" <= newest(training.folder.path) or not training.is_running)
    assert training.is_running, training.log.read_text()
    resumed.close()
    assert not training.is_running and resumed.stopped() == ["mine"]


def newest(folder: Path) -> str:
    return max((path.name for path in folder.glob("step=*.ckpt")), default="")


def test_a_training_that_fails_ends_with_the_sentence_of_the_command(tmp_path):
    own = trainings(tmp_path, steps=2, loss_network="unknown_network")
    training = own.start(PAINTING, "mine", 10)
    wait_for(lambda: not training.is_running)
    words = Watcher(own).view().words
    assert not training.succeeded and "unknown_network" in words and "Traceback" not in words


def test_uploaded_photographs_are_kept_beside_the_painting_so_that_the_run_can_go_on(tmp_path, photos, monkeypatch):
    own, commands = trainings(tmp_path), []
    monkeypatch.setattr(own, "_launch", lambda run, words: commands.append(words))
    own.start(PAINTING, "mine", 1.5, sorted(map(str, photos.iterdir())))
    kept = tmp_path / ".app" / "mine"
    assert (kept / "painting.png").exists()
    assert [path.read_bytes() for path in sorted((kept / "photos").iterdir())] == [
        path.read_bytes() for path in sorted(photos.iterdir())
    ]
    (words,) = commands
    assert words[words.index("--data") + 1] == str(kept / "photos") and words[words.index("--minutes") + 1] == "1.5"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".app", "con"])
def test_a_name_that_cannot_be_a_folder_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(UserError, match="name"):
        trainings(tmp_path / "runs").start(PAINTING, name, 1)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no folder of photographs"):
        trainings(tmp_path / "runs").start(PAINTING, "mine", 1, folder=str(tmp_path / "nowhere"))


def test_only_what_is_stopped_goes_on_and_only_what_runs_is_stopped(tmp_path):
    with pytest.raises(UserError, match="no stopped training"):
        trainings(tmp_path).resume("../elsewhere")
    with pytest.raises(UserError, match="no training is running"):
        trainings(tmp_path).stop_and_keep()
