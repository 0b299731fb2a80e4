"""Every benchmark still runs: tiny sizes, then the files that it leaves and what must hold among their numbers."""

from __future__ import annotations

import argparse
import csv
import importlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fast_nst.errors import UserError
from fast_nst.functional.features import gram_matrix
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.images import load_image
from fast_nst.networks.loss_network import LossNetwork
from fast_nst.networks.transformer_net import TransformerNet

ROUNDED = 1e-5  # tables hold seven digits of each number, so what follows from several of them agrees a little less
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

    def run(name: str, *flags: str, result: str | None = None, here: bool = False) -> Table:
        result, arguments = result or name, ["--quick", "--threads", "1", "--output", str(tmp_path), *flags]
        if here:
            benchmark(name, monkeypatch).main(arguments)
        else:  # engines and torch leave threads behind, which the next benchmark should not meet
            subprocess.run([sys.executable, BENCHMARKS / f"{name}.py", *arguments], check=True, timeout=300)
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
        least, median, greatest = (float(row[f"optimization_{key}s"]) for key in ("least_", "", "greatest_"))
        assert 0 < least <= median <= greatest
        assert float(row["speed_up"]) == pytest.approx(median / float(row["network_s"]), rel=ROUNDED)
        assert float(row["evaluations"]) >= 1 and row["measured_iterations"] == "2"


def test_johnson_table1_knows_the_numbers_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = benchmark("johnson_table1", monkeypatch)._paper(512, 300)
    assert paper == {"paper_optimization_s": 32.91, "paper_network_s": 0.05, "paper_speed_up": 615}


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


@pytest.mark.full
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
    assert line == "| monet | 3, 5, 9 | not measured | not measured |"


def test_johnson_fig5_names_the_painting_that_it_misses(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, flags = benchmark("johnson_fig5", monkeypatch), ["--quick", "--threads", "1", "--styles", "monet"]
    with pytest.raises(SystemExit, match="2"):
        module.run(lambda: module.main([*flags, "--paintings", str(photos), "--output", str(tmp_path)]))
    assert "no painting called monet" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.csv"))


def test_johnson_fig5_asks_for_paintings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark("johnson_fig5", monkeypatch).main([])
    assert "--paintings FOLDER" in capsys.readouterr().err


@pytest.mark.full
def test_inference_speed_compares_every_model_with_the_papers(quick: Callable[..., Table]) -> None:
    rows = quick("inference_speed", "--johnson", "2")
    assert {row["precision"] for row in rows if row["network"] == "fast 48"} == {"fp32", "fp16", "int8"}
    assert ("johnson 2", "onnxruntime on cpu") in {(row["network"], row["engine"]) for row in rows}
    (paper,) = (row for row in rows if row["engine"] == "PyTorch eager")
    assert paper["network"] == "johnson 32" and float(paper["faster"]) == 1
    for row in rows:
        assert 0 < float(row["least"]) <= float(row["milliseconds"]) <= float(row["greatest"]) and row["size"] == "32"
        assert float(row["faster"]) == pytest.approx(float(paper["milliseconds"]) / float(row["milliseconds"]), rel=ROUNDED)


@pytest.mark.full
def test_limits_are_shares_of_the_fastest_product(quick: Callable[..., Table], tmp_path: Path) -> None:
    rows, peaks = quick("limits"), table(tmp_path / "limits_peaks.csv")
    products = [row for row in peaks if row["what"] == "a product"]
    assert {row["by"] for row in products} == {"PyTorch", "NumPy"} and any(row["what"] == "a copy" for row in peaks)
    for row in products:
        assert float(row["giga_a_second"]) == pytest.approx(64**3 / float(row["milliseconds"]) / 1e6, rel=ROUNDED)
    assert {row["what"] for row in rows if row["device"] == "cpu"} == {"a picture", "a training step"}
    for row in (row for row in rows if row["device"] == "cpu"):
        own = [one for one in products if (one["device"], one["precision"]) == (row["device"], row["precision"])]
        peak = max(float(one["giga_a_second"]) for one in own)
        assert float(row["percent_of_peak"]) == pytest.approx(100 * float(row["giga_a_second"]) / peak, rel=ROUNDED)
        assert float(row["giga_a_second"]) == pytest.approx(
            1000 * float(row["giga_macs"]) / float(row["milliseconds"]), rel=ROUNDED
        )


def test_a_training_step_is_three_times_the_network_and_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, and back to weights and to inputs; lite's weights are frozen, and it sees the photographs as well."""
    limits = benchmark("limits", monkeypatch)
    step = limits.macs_of_training("johnson 8", argparse.Namespace(crop=64, batch=2))
    network = 2 * limits.macs(limits.network_of("johnson 8"), 64, 64)
    wider = limits.macs_of_training("johnson 16", argparse.Namespace(crop=64, batch=2))
    first = {width: 2 * 64 * 64 * 81 * 3 * width for width in (8, 16)}  # the photograph itself wants no gradient
    more = 2 * limits.macs(limits.network_of("johnson 16"), 64, 64) - network
    assert wider - step == pytest.approx(3 * more - (first[16] - first[8]), rel=0.001)
    assert step > 3 * network - first[8]


@pytest.mark.full
def test_growth_tells_time_and_memory_by_size(quick: Callable[..., Table], tmp_path: Path) -> None:
    rows = quick("growth", result="growth_pixels")
    assert [(row["megapixels"], row["drawn"]) for row in rows] == [("0.01", "whole"), ("0.04", "whole")]
    folders, rows_of_styles, threads = (table(tmp_path / f"growth_{part}.csv") for part in ("folder", "styles", "threads"))
    assert [(row["pictures"], row["written"]) for row in folders] == [("1", "1"), ("3", "3")]
    for row in (*rows, *folders):
        assert 0 < float(row["least"]) <= float(row["seconds"]) <= float(row["greatest"])
        assert 30 < float(row["before_mb"]) <= float(row["peak_mb"]) < 4000
    one, two = (float(row["kilobytes"]) for row in rows_of_styles)
    assert two - one == pytest.approx(4 * 1.2, abs=1)  # a row is 1.1 thousand float32 numbers and a name
    assert {row["times_as_fast"] for row in threads} == {"1.0"} and {row["count"] for row in threads} == {"1"}
    assert all((tmp_path / f"growth_{part}.png").stat().st_size > 1000 for part in ("folder", "styles", "threads"))


def test_growth_draws_whole_what_fits_and_larger_pictures_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    growth = benchmark("growth", monkeypatch)
    ways = {size: growth.ways_of(size) for size in growth.MEGAPIXELS}
    assert [size for size, found in ways.items() if "tiled" not in found] == [0.0655, 0.262, 1.05]
    assert [size for size, found in ways.items() if "whole" not in found] == [25, 50, 100]
    assert ways[12] == ways[23.5] == ["whole", "tiled"]


def test_huge_pictures_share_the_process_that_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = benchmark("alone", monkeypatch)
    whole = alone.measured("picture", 1, megapixels=0.02, way="whole", rounds=2)
    assert len(whole["seconds"]) == len(whole["processor"]) == 2 and whole["peak"] >= whole["before"] > 0
    with pytest.raises(RuntimeError, match="absent"):
        alone.measured("picture", 1, megapixels=0.02, model="absent.onnx")


@pytest.mark.full
def test_training_speed_multiplies_the_factors_of_its_measures(quick: Callable[..., Table]) -> None:
    rows = quick("training_speed")
    assert rows[0]["step"].startswith("textbook") and rows[-1]["step"] == "the trainer's own step"
    factors = np.cumprod([float(row["factor"]) for row in rows])
    assert factors == pytest.approx([float(row["factor_in_all"]) for row in rows], rel=ROUNDED)
    for row in rows:
        assert 0 < float(row["least_ms"]) <= float(row["ms"]) <= float(row["greatest_ms"])
        assert float(row["images_per_s"]) == pytest.approx(1000 * int(row["batch"]) / float(row["ms"]), rel=ROUNDED)


def test_content_features_no_deeper_change_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    module = benchmark("training_speed", monkeypatch)
    judge, photos = module.judge_of("lite"), torch.rand(2, 3, 32, 32)
    grams = {layer: gram_matrix(features) for layer, features in judge(torch.rand(1, 3, 32, 32)).items()}
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    losses = [module.textbook_loss(judge, pictures, photos, grams, shallow) for shallow in (False, True)]
    gradients = [torch.autograd.grad(loss, pictures)[0] for loss in losses]
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


def test_each_measure_of_training_speed_keeps_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = list(benchmark("training_speed", monkeypatch).recipes(compiled=True).values())
    for before, after in itertools.pairwise(ladder):
        assert sum(value != vars(after)[name] for name, value in vars(before).items()) == 1
    last = ladder[-1]
    assert (last.preset, last.judge, last.compiled, last.channels_last, last.batch) == ("fast", "lite", True, True, 2)


@pytest.mark.full
def test_training_scaling_reads_the_cards_of_its_runs(quick: Callable[..., Table]) -> None:
    (row,) = quick("training_scaling", "--processes", "1")
    assert float(row["images_per_s"]) > 0 and row["efficiency"] == "1.0"


def test_training_scaling_compares_with_one_process_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {1: [10.0, 20.0, 30.0], 2: [20.0, 30.0, 30.0]}
    one, two = benchmark("training_scaling", monkeypatch).rows_of(rates, argparse.Namespace(batch=4))
    assert one["efficiency_least"] == one["efficiency_greatest"] == 1
    assert (two["efficiency"], two["efficiency_least"], two["efficiency_greatest"]) == (0.75, 0.5, 1.0)


def test_folder_throughput_tells_what_files_cost_beside_the_network(quick: Callable[..., Table]) -> None:
    rows = {row["way"]: row for row in quick("folder_throughput")}
    assert list(rows) == ["folder to folder", "the network alone", "reading alone", "writing alone"]
    for row in rows.values():
        assert (
            float(row["pictures_a_second"]) == pytest.approx(3 / float(row["seconds"]), rel=ROUNDED)
            and row["threads"] == "1"
        )
    whole, network = (float(rows[way]["seconds"]) for way in ("folder to folder", "the network alone"))
    assert float(rows["folder to folder"]["overhead_percent"]) == pytest.approx(100 * (1 - network / whole), abs=1e-3)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", ""])
def test_a_count_of_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    positive = benchmark("report", monkeypatch).positive
    assert positive("2") == 2
    with pytest.raises(argparse.ArgumentTypeError, match="1 or more"):
        positive(text)


@pytest.mark.parametrize("text", ["-1", "nan", "inf"])
def test_a_rest_without_an_end_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = benchmark("report", monkeypatch).pause
    assert pause("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match="0 or more"):
        pause(text)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training ends without its ONNX model, which takes longer than all its steps here."""
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: None)


@pytest.mark.full
def test_new_paintings_are_measured_after_every_budget_and_trained_once(
    quick: Callable[..., Table], tmp_path: Path, no_export: None
) -> None:
    runs = tmp_path / "runs"
    rows = quick("new_painting", "--runs", str(runs), here=True)
    names = [(row["painting"], row["minutes"], row["steps"]) for row in rows]
    assert names == [("stained_glass", "1", "1"), ("stained_glass", "2", "2"), ("mean", "1", "1.0"), ("mean", "2", "2.0")]
    for row in rows:
        distances = [float(row[layer]) for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_2")]
        weighted = sum(w * d for w, d in zip((0.3, 1, 1.4, 1.3), distances, strict=True)) / 4
        assert float(row["style"]) == pytest.approx(weighted, abs=2e-4)
        assert all(-1 <= float(row[f"r {layer}"]) <= 1 for layer in ("relu2_2", "relu3_3", "relu4_2"))
    assert load_image(runs / "stained_glass.jpg").shape[1] == 4 * (320 + 4) + 4  # photograph, painting and two budgets
    made = {path: path.stat().st_mtime_ns for path in runs.rglob("last.ckpt")}
    assert len(made) == 2 and quick("new_painting", "--runs", str(runs), here=True) == rows
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("last.ckpt")} == made
    with pytest.raises(UserError, match="had another structure"):
        quick("new_painting", "--runs", str(runs), "--", "--structure", "0.3", here=True)


def test_the_judge_of_new_paintings_knows_the_painting_and_the_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is the painting has no style distance, one that is the photograph all of its structure."""
    module, generator = benchmark("new_painting", monkeypatch), torch.Generator().manual_seed(0)
    photo, painting = (torch.randint(0, 256, (64, 96, 3), generator=generator, dtype=torch.uint8).numpy() for _ in "ab")
    judge = module.Judge([LossNetwork("lite", module.LAYERS["vgg19"])], [photo])
    as_painting = judge.row([to_tensor(painting)[None]], to_tensor(painting)[None])
    as_photo = judge.row([to_tensor(photo)[None]], to_tensor(painting)[None])
    assert as_painting["style"] == 0 < as_photo["style"]
    assert as_photo["r relu3_3"] > 0.95 and as_painting["r relu3_3"] < 0.9  # channels that are never active count as 0


def test_flags_after_two_dashes_change_the_training_of_new_paintings(monkeypatch: pytest.MonkeyPatch) -> None:
    module = benchmark("new_painting", monkeypatch)
    settings = module.parsed(["--minutes", "10", "--", "--structure", "0.3", "--loss.tv_weight", "7"])
    training = module.training_of(settings.training)
    assert (training.base, training.batch_size, training.structure, training.loss.tv_weight) == ("base", 2, 0.3, 7)


def test_a_missing_new_painting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = benchmark("new_painting", monkeypatch)
    with pytest.raises(UserError, match="no painting called chrysanthemums"):
        module.paintings_of(module.parsed(["--paintings", str(tmp_path), "--names", "chrysanthemums"]))


@pytest.mark.full
def test_the_frontier_joins_costs_and_what_was_learned(quick: Callable[..., Table]) -> None:
    curves = quick("frontier_training")
    rows = {row["network"]: row for row in quick("frontier")}
    assert set(rows) == {"fast 24", "johnson 8"}
    for name, row in rows.items():
        last = [one for one in curves if one["network"] == name][-1]
        assert (row["objective"], row["r"]) == (last["objective"], last["r"])
        assert float(row["gmac_256"]) > 0 and float(row["objective_equal_seconds"]) >= float(row["objective"])
    assert float(rows["johnson 8"]["gmac_256"]) > float(rows["fast 24"]["gmac_256"])


def test_johnson_s_multiply_accumulates_equal_the_sum_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    macs = benchmark("candidates", monkeypatch).macs
    pixels = 64 * 64
    by_hand = 2 * 3 * 8 * 81 * pixels  # both 9 x 9 convolutions
    by_hand += 8 * 16 * 9 * pixels // 4 + 16 * 32 * 9 * pixels // 16  # down
    by_hand += 10 * 32 * 32 * 9 * pixels // 16  # residual blocks
    by_hand += 32 * 16 * 9 * pixels // 4 + 16 * 8 * 9 * pixels  # up
    assert macs(TransformerNet("johnson", 8), 64, 64) == by_hand


def test_every_candidate_draws_pictures_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    module, photo = benchmark("candidates", monkeypatch), torch.rand(1, 3, 37, 50)
    counts = {}
    with torch.no_grad():
        for name, network in module.CANDIDATES.items():
            assert network()(photo).shape == photo.shape, name
            counts[name] = module.macs(network(), 64, 64)
    equal = {
        counts[f"fast 48{idea}"] for idea in ("", ", one norm a block", ", nearest", ", phases 3 x 3", ", zero padding")
    }
    assert equal == {counts["fast 48"]} and len(set(counts.values())) == len(counts) - 4


def test_the_pareto_line_holds_what_nothing_beats_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    pareto = benchmark("frontier", monkeypatch).pareto
    assert pareto([(3, 1), (1, 3), (2, 2), (2.5, 2.5), (4, 1)]) == [1, 2, 0]


@pytest.mark.parametrize(("kernel", "mode"), [(2, "nearest"), (3, "bilinear")])
def test_phases_start_as_upsampling_and_a_convolution(kernel: int, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel after upsampling sums into a smaller one at the low resolution for each of the four phases."""
    phases, kernels = benchmark("candidates", monkeypatch).PhaseConv(2, 3, kernel, styles=1).eval(), torch.randn(3, 2, 3, 3)
    phases.start_as(kernels)
    torch.nn.init.zeros_(phases.conv.bias)
    x, found = torch.rand(1, 2, 6, 5), {}
    wanted = F.conv2d(F.interpolate(x, scale_factor=2.0, mode=mode), kernels)  # (1, 3, 10, 8): all but the border
    phases.norm.forward = lambda y, style: found.setdefault("y", y)
    phases(x, torch.ones(1, 1))
    torch.testing.assert_close(found["y"][..., 2:-2, 2:-2], wanted[..., 1:-1, 1:-1])


def test_films_prints_how_steady_a_style_is_alone_and_in_a_film(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    films = benchmark("films", monkeypatch)
    films.main(["--styles", "the_scream", "--photo_count", "1", "--count", "2", "--quick"])
    rows = [
        line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| the_scream")
    ]
    assert [len(row) - 1 for row in rows] == [len(films.COLUMNS)] + 3 * [len(films.STEADINESS)]
    grid, shifts = map(float, rows[0][1:3])
    assert 0 < grid < shifts
    pan = [float(value) for value in rows[1][1:]]
    assert pan == sorted(pan, reverse=True) and pan[-1] < 0.7 * pan[0]


def test_films_draws_a_row_of_pixels_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = benchmark("films", monkeypatch)
    film = [np.full((100, 5, 3), level, np.uint8) for level in (10, 20)]
    found = films.slice_over_time(film)
    assert found.shape == (2 * films.SLICE_SCALE, 5, 3) and found[:, 0, 0].tolist() == [10] * 4 + [20] * 4
    films.main(["--styles", "the_scream", "--count", "2", "--slice", str(tmp_path / "slice.png")])
    assert load_image(tmp_path / "slice.png").shape[1] > 2 * films.SIZE[0]
