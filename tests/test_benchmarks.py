"""Every benchmark still runs: tiny sizes, then the files that it leaves and what must hold among their numbers."""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

Table = list[dict[str, str]]


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script ``name`` as a module, as its own folder's scripts see it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", [str(BENCHMARKS / f"{name}.py")])
    return importlib.import_module(name)


def table(path: Path) -> Table:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Table]:
    """Runs a benchmark's quick form, checks that its plot and record are there, and returns its table."""

    def run(name: str, *flags: str, result: str | None = None) -> Table:
        result = result or name
        benchmark(name, monkeypatch).main(["--quick", "--threads", "1", "--output", str(tmp_path), *flags])
        assert (tmp_path / f"{result}.png").read_bytes().startswith(b"\x89PNG")
        record = json.loads((tmp_path / f"{result}.json").read_text())
        assert record["quick"] and record["command"] == f"python benchmarks/{name}.py" and record["versions"]["torch"]
        return table(tmp_path / f"{result}.csv")

    return run


def test_johnson_table1_has_the_papers_speed_ups_beside_ours(quick: Callable[..., Table]) -> None:
    rows = quick("johnson_table1")
    assert {(row["size"], row["iterations"]) for row in rows} == {
        (s, n) for s in ("32", "64") for n in ("100", "300", "500")
    }
    assert {"onnxruntime on cpu"} <= {row["engine"] for row in rows}
    for row in rows:
        least, median, greatest = (float(row[f"optimisation_{key}s"]) for key in ("least_", "", "greatest_"))
        assert 0 < least <= median <= greatest
        assert float(row["speed_up"]) == pytest.approx(median / float(row["network_s"]))
        assert float(row["evaluations"]) >= 1 and row["measured_iterations"] == "2"


def test_johnson_table1_knows_the_numbers_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = benchmark("johnson_table1", monkeypatch)._paper(512, 300)
    assert paper == {"paper_optimisation_s": 32.91, "paper_network_s": 0.05, "paper_speed_up": 615}


def test_johnson_fig5_keeps_curves_that_fall_and_meet_the_network_at_n(quick: Callable[..., Table], tmp_path: Path) -> None:
    rows = quick("johnson_fig5", result="johnson_fig5_lite")
    assert [(row["start"], row["pairs"]) for row in rows] == [("photo", "2"), ("noise", "2")]
    curves = table(tmp_path / "johnson_fig5_curves_lite.csv")
    for row in curves:
        values, n = np.array([float(row[str(i)]) for i in range(7)]), int(row["n"])
        assert (np.diff(values) <= 0).all() and row["20"] == ""
        assert n == 7 or values[n] <= 1
        assert n == 0 or values[n - 1] >= 1
    pairs = table(tmp_path / "equivalents_lite.csv")
    starts = [(row["style"], row["start"], row["n"]) for row in curves]
    assert starts == [(row["style"], start, row[f"n_{start}"]) for row in pairs for start in ("photo", "noise")]


def test_johnson_fig5_measures_only_what_is_not_there_yet(quick: Callable[..., Table], tmp_path: Path) -> None:
    quick("johnson_fig5", "--no-noise", result="johnson_fig5_lite")
    (tmp_path / "equivalents_lite.csv").write_text(
        "style,size,photo,n_photo,total,style_distance\n"  # an older table: a column less, and one of another name
        "composition_vii,48,astronaut,99,1.5,0.5\nmonet,48,elsewhere,7,2.5,0.5\n"
    )
    quick("johnson_fig5", result="johnson_fig5_lite")
    pairs = {(row["style"], row["photo"]): row for row in table(tmp_path / "equivalents_lite.csv")}
    assert pairs["composition_vii", "astronaut"]["n_photo"] == "99"
    assert int(pairs["composition_vii", "astronaut"]["n_noise"]) <= 7
    assert pairs["monet", "elsewhere"]["n_photo"] == "7" and pairs["monet", "elsewhere"]["n_noise"] == ""
    curves = table(tmp_path / "johnson_fig5_curves_lite.csv")
    assert [row["start"] for row in curves] == ["photo", "photo", "noise", "noise"]


def test_the_styles_page_reads_what_johnson_fig5_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, page = benchmark("johnson_fig5", monkeypatch), benchmark("styles_page", monkeypatch)
    (tmp_path / "benchmarks").mkdir()
    tables = module.Tables(argparse.Namespace(vgg19="weights", output=tmp_path / "benchmarks", again=False))
    for photo, count in (("a", 3), ("b", 9), ("c", 5)):
        tables.add(("monet", "256", photo), {"total": 1.0}, {"photo": (count, [2.0, 1.0])})
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (line,) = (line for line in page.equivalents().splitlines() if "monet" in line)
    assert line == "| monet | 3, 5, 9 | not measured | not measured | not measured |"


def test_johnson_fig5_asks_for_paintings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark("johnson_fig5", monkeypatch).main([])
    assert "--paintings FOLDER" in capsys.readouterr().err
