import csv
from pathlib import Path

import pytest
import skimage.data

from fast_nst.cli.main import main, parser_of
from fast_nst.errors import UserError
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, save_image
from fast_nst.optimization import sources
from fast_nst.optimization.descent import Descent
from fast_nst.optimization.sweep import cells_of, sweep
from fast_nst.settings.optimize import SweepSettings


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pictures")
    save_image(skimage.data.chelsea()[50:250:5, 50:350:5], folder / "photo.png")
    save_image(draw_style("impasto", 1)[:256, :320], folder / "painting.png")
    return {"content": str(folder / "photo.png"), "style": str(folder / "painting.png")}


@pytest.fixture
def grid(files, tmp_path) -> dict:
    values = {"rows": "start", "row_values": ["content", "uniform"], "columns": "style_weight", "column_values": [1, "1e3"]}
    small = {"size": 32, "steps": 2, "cell": 40, "progress": False}
    return {**files, **values, **small, "checkpoints": str(tmp_path), "output": str(tmp_path / "sheet.png")}


def test_a_grid_becomes_a_sheet_and_a_table(grid):
    sheet, table = sweep(SweepSettings(**grid))
    assert load_image(sheet).shape == (2 * (26 + 16 + 4) + 4, 2 * 44 + 4, 3)
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert [(line["start"], line["style_weight"]) for line in lines] == [
        ("content", "1"),
        ("content", "1000"),
        ("uniform", "1"),
        ("uniform", "1000"),
    ]
    for line in lines:
        terms = [float(line[name]) for name in ("content", "style", "tv")]
        assert float(line["total"]) == pytest.approx(sum(terms), rel=1e-4)
        assert line["steps"] == "2" and int(line["evaluations"]) >= 3 and float(line["seconds"]) > 0
    assert float(lines[3]["style"]) > float(lines[2]["style"])


def test_finished_pictures_are_not_drawn_again(grid, monkeypatch):
    sweep(SweepSettings(**grid))
    step, count = Descent.step, []
    monkeypatch.setattr(Descent, "step", lambda self: count.append(1) or step(self))
    sweep(SweepSettings(**grid))
    assert len(count) == 0
    sweep(SweepSettings(**{**grid, "column_values": [1, 1000, 5]}))
    assert len(count) == 2 * 2
    sweep(SweepSettings(**{**grid, "steps": 3}))
    assert len(count) == 4 + 4 * 3


def test_a_sheet_of_something_else_is_not_replaced_unasked(grid, tmp_path):
    (tmp_path / "sheet.png").write_text("mine")
    with pytest.raises(UserError, match="replace it with --overwrite"):
        sweep(SweepSettings(**grid))
    assert (tmp_path / "sheet.png").read_text() == "mine"
    sweep(SweepSettings(**grid, overwrite=True))
    assert load_image(tmp_path / "sheet.png").shape[1] == 2 * 44 + 4


def test_a_picture_is_opened_once_for_the_whole_grid(grid, monkeypatch):
    opened, original = [], sources.open_image
    monkeypatch.setattr(sources, "open_image", lambda path: opened.append(path) or original(path))
    sweep(SweepSettings(**grid))
    assert sorted(opened) == sorted([grid["content"], grid["style"]])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": 3}'])
def test_a_picture_with_a_damaged_record_is_made_again(grid, text, monkeypatch):
    sheet = sweep(SweepSettings(**grid))[0]
    record = next((sheet.parent / "sweep" / "cells").glob("01-01.json"))
    record.write_text(text)
    step, count = Descent.step, []
    monkeypatch.setattr(Descent, "step", lambda self: count.append(1) or step(self))
    sweep(SweepSettings(**grid))
    assert len(count) == 2 and '"start": "uniform"' in record.read_text()


def test_what_was_not_measured_is_left_empty_in_the_table(grid):
    texture = {"content": None, "content_weight": 0.0, "rows": "start", "row_values": ["uniform"]}
    table = sweep(SweepSettings(**{**grid, **texture}))[1]
    assert [line["structure"] for line in csv.DictReader(table.read_text().splitlines())] == ["", ""]


def test_one_axis_is_a_row(grid, tmp_path):
    one = {**grid, "rows": None, "row_values": []}
    cells = cells_of(SweepSettings(**one), tmp_path)
    assert [cell.label for cell in cells] == ["style_weight 1", "style_weight 1000"]
    assert [cell.settings.style_weight for cell in cells] == [1.0, 1000.0]


def test_values_may_be_lists_or_several_settings_at_once(grid, tmp_path):
    several = {
        **grid,
        "rows": "style_layers",
        "row_values": [["relu1_1"], ["relu1_1", "relu2_1"]],
        "columns": "network",
        "column_values": [{"loss_network": "lite", "pooling": "average"}, {"loss_network": "vgg16"}],
        "column_labels": ["ours", "theirs"],
    }
    cells = cells_of(SweepSettings(**several), tmp_path)
    assert [cell.label for cell in cells][1:3] == ["style_layers relu1_1, theirs", "style_layers relu1_1 relu2_1, ours"]
    assert cells[2].settings.style_layers == ["relu1_1", "relu2_1"]
    assert (cells[2].settings.pooling, cells[3].settings.loss_network) == ("average", "vgg16")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": "style_wieght"}, "did you mean style_weight"),
        ({"columns": "output", "column_values": ["a.png"]}, "unknown setting to sweep 'output'"),
        ({"column_values": ["many"]}, "style_weight"),
        ({"column_values": [-1]}, "style_weight needs to be between"),
        ({"rows": "style_layers", "row_values": [["relu1_1"], ["relu7_1"]]}, "unknown layer of lite 'relu7_1'"),
        ({"rows": "start", "row_values": ["content", "nowhere"]}, "unknown start"),
        ({"rows": "loss_network", "row_values": ["lite", "vgg16"]}, "cannot download the weights of vgg16"),
        ({"row_values": []}, "give both"),
        ({"row_labels": ["one"]}, "one for each of the 2 values, got 1"),
        ({"rows": None, "row_values": [], "columns": None, "column_values": []}, "nothing varies"),
        ({"video": "a.mp4"}, "is for a single picture"),
        ({"output": "sheet.txt"}, "choose a name that ends in one of"),
    ],
)
def test_a_mistake_is_found_before_the_first_picture(grid, changes, message, monkeypatch):
    monkeypatch.setattr(Descent, "step", lambda self: pytest.fail("work was begun"))
    with pytest.raises(UserError, match=message) as raised:
        sweep(SweepSettings(**{**grid, **changes}))
    assert "\n" not in str(raised.value)


def test_the_command_takes_the_flags_of_optimize(grid, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--rows", "pooling", "--row_values", "[max, average]", "--columns", "seed", "--column_values", "[1]"]
    values = ["--size", "32", "--steps", "1", "--cell", "40", "--progress", "false", "--name", "small"]
    main(["sweep", "--content", grid["content"], "--style", grid["style"], *flags, *values])
    assert capsys.readouterr().out.splitlines() == ["checkpoints/small/sweep.png", "checkpoints/small/sweep.csv"]
    assert Path("checkpoints/small/cells/01-00.png").exists()
    assert parser_of("sweep").values(["--statistic", "wasserstein"])["statistic"] == "wasserstein"
