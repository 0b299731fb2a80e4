"""A style for each painting of a folder: names, table, sheet, restarts, deaths. The training itself is stood in for."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray", reason="no cluster is tested: pip install 'fast_nst[ray]'")

import ray.exceptions

from fast_nst.cli.main import main
from fast_nst.cluster import train as each
from fast_nst.cluster.train import Trainings, named, train_each
from fast_nst.errors import DiskFull, PartlyDone, Stopped, UserError
from fast_nst.imaging.images import load_image, save_image
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import EachSettings


@pytest.fixture
def settings(tmp_path: Path) -> EachSettings:
    """Three paintings, and photographs."""
    for place, name in enumerate(("dusk", "noon", "dawn sky")):
        save_image(np.full((40, 60, 3), 80 * place, np.uint8), tmp_path / "paintings" / f"{name}.png")
    save_image(np.zeros((64, 64, 3), np.uint8), tmp_path / "photos" / "a.png")
    folders = {"data": str(tmp_path / "photos"), "checkpoints": str(tmp_path / "runs")}
    return EachSettings(each=str(tmp_path / "paintings"), **folders)


@pytest.fixture
def trained(monkeypatch) -> list:
    """The settings of the trainings that began; each leaves what a run leaves, but for the painting noon, which is bad."""
    begun = []

    def train(settings):
        begun.append(settings)
        folder = RunFolder(settings.checkpoints, settings.name)
        folder.path.mkdir(parents=True, exist_ok=True)
        if settings.name == "noon":
            raise UserError("noon.png is\nno painting")
        save_image(np.full((30, 90, 3), 200, np.uint8), folder.previews / "final.png")
        losses = {"content": 1.5, "style": 2.5, "structure": 0.45}
        folder.onnx.write_bytes(b"model")
        folder.card.write_text(json.dumps({"steps": 7, "seconds": 3.0, "preview_losses": losses}))

    monkeypatch.setattr(each, "train", train)
    return begun


def table(settings: EachSettings) -> dict[str, dict[str, str]]:
    with open(Path(settings.checkpoints, "each.csv"), newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_each_painting_gets_its_own_run_and_a_bad_one_is_a_line(settings, trained, capsys):
    with pytest.raises(PartlyDone, match=r"1 of 3 paintings could not be trained:\n  noon: noon.png is no painting"):
        train_each(settings)
    assert [(one.name, Path(one.style).name, one.resume) for one in trained] == [
        ("dawn_sky", "dawn sky.png", False),
        ("dusk", "dusk.png", False),
        ("noon", "noon.png", False),
    ]
    rows = table(settings)
    assert {name: row["state"] for name, row in rows.items()} == {"dawn_sky": "done", "dusk": "done", "noon": "failed"}
    shown = ("steps", "content", "style", "structure", "seconds", "problem")
    assert [rows["dusk"][name] for name in shown] == ["7", "1.5", "2.5", "0.45", "3.0", ""]
    assert "dusk: content 1.5, style 2.5, structure r 0.45" in capsys.readouterr().err


def test_the_sheet_shows_the_finished_paintings_beside_their_previews(settings, trained):
    with pytest.raises(PartlyDone):
        train_each(settings)
    sheet = load_image(Path(settings.checkpoints, "each.png"))
    cells = [sheet[4 + 26, 4 + place * (160 + 4) + 80] for place in range(4)]  # of 160 pixels, 4 apart
    assert sheet.shape[1] == 4 * (160 + 4) + 4 and [int(cell.mean()) for cell in cells] == [160, 200, 0, 200]


def test_what_is_finished_is_left_alone_and_what_has_a_checkpoint_goes_on(settings, trained):
    with pytest.raises(PartlyDone):
        train_each(settings)
    trained.clear()
    folder = RunFolder(settings.checkpoints, "dusk")
    folder.card.unlink()
    folder.last.write_bytes(b"checkpoint")
    with pytest.raises(PartlyDone):
        train_each(settings)
    assert [(one.name, one.resume) for one in trained] == [("dusk", True), ("noon", False)]


def test_overwrite_trains_all_again(settings, trained):
    for _ in range(2):
        settings.overwrite = True
        with pytest.raises(PartlyDone):
            train_each(settings)
    assert [one.overwrite for one in trained] == [True] * 6


def test_a_signal_ends_all_in_a_sentence_and_the_run_waits_again(settings, monkeypatch):
    def stopped(settings):
        raise Stopped(15, "stopped at step 3")

    monkeypatch.setattr(each, "train", stopped)
    with pytest.raises(Stopped, match="the same command goes on") as told:
        train_each(settings)
    assert told.value.code == 143
    assert {row["state"] for row in table(settings).values()} == {"waiting"}


def test_a_full_disk_ends_all(settings, monkeypatch):
    def full(settings):
        raise DiskFull("no room")

    monkeypatch.setattr(each, "train", full)
    with pytest.raises(DiskFull):
        train_each(settings)


def test_an_error_of_a_library_is_a_line(settings, monkeypatch):
    def broken(settings):
        raise RuntimeError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(each, "train", broken)
    with pytest.raises(PartlyDone, match="3 of 3"):
        train_each(settings)
    assert table(settings)["dusk"]["problem"] == "RuntimeError: CUDA out of memory. Tried to allocate"


def test_runs_are_called_as_the_paintings_with_a_number_where_two_are_alike():
    paths = [Path("a.jpg"), Path("a.png"), Path("é b.jpg"), Path("...jpg"), Path("a_2.jpg")]
    assert list(named(paths)) == ["a", "a_2", "é_b", "painting", "a_2_2"]


class FakeRay:
    """Tasks that end at once: with what ``train_task`` returns, or by a death while ``deaths`` are left for their run."""

    exceptions = ray.exceptions

    def __init__(self, deaths: dict[str, int]) -> None:
        self.deaths = deaths

    def wait(self, refs, num_returns, timeout):
        return refs[:1], refs[1:]

    def get(self, ref):
        if self.deaths.get(ref.name, 0):
            self.deaths[ref.name] -= 1
            RunFolder(ref.checkpoints, ref.name).path.mkdir(parents=True, exist_ok=True)
            RunFolder(ref.checkpoints, ref.name).last.write_bytes(b"checkpoint")
            raise ray.exceptions.WorkerCrashedError
        return each.train_task(ref)


@pytest.mark.parametrize(("deaths", "resumed"), [({"dusk": 2}, True), ({"dusk": 6}, None)])
def test_a_run_whose_process_died_goes_on_from_its_checkpoint_and_not_for_ever(settings, trained, deaths, resumed):
    class Ref:
        def __init__(self, run):
            self.__dict__.update(vars(run))
            self.run = run

    trainings = Trainings(settings)
    task = FakeRay(deaths)
    task.get = lambda ref, honest=task.get: honest(ref.run)
    running = {Ref(trainings.begin(name)): name for name in trainings.runs}
    each._follow(task, trainings, running, lambda name: Ref(trainings.again(name)))
    begun = {one.name: one.resume for one in trained}
    assert begun.get("dusk") is resumed and begun["dawn_sky"] is False
    expected = ("done", "") if resumed else ("failed", "its process died 6 times")
    assert (trainings.rows["dusk"].state, trainings.rows["dusk"].problem) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--each", "empty"], "no paintings in empty"),
        (["--each", "absent"], "no folder of paintings at absent"),
        (["--each", "paintings", "a.jpg", "photos"], "leave out style and --name"),
        (["--each", "paintings", "--name", "mine"], "leave out style and --name"),
        (["paintings/dusk.png", "photos", "--ray"], "--ray goes with --each FOLDER"),
        (["--each", "paintings", "photos", "--ray", "127.0.0.1:9"], "no Ray answers at 127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_sentence(settings, trained, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["train", *words])
    assert ended.value.code == 2 and message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not trained


def test_the_photographs_may_follow_the_folder_of_paintings(settings, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["train", "--each", "paintings", "photos", "--checkpoints", "runs"])
    assert {tuple(one.data) for one in trained} == {(str(tmp_path / "photos"),)} and len(trained) == 3
