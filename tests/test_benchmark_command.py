import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from fast_nst import benchmark as module
from fast_nst.benchmark import FULL, QUICK, QUICKSTART, QUICKSTART_MINUTES, Plan, Report, Result, benchmark
from fast_nst.cli.main import main
from fast_nst.inference.engine_selection import find_engines
from fast_nst.runs.config import MINUTES_FROM_BASE
from fast_nst.settings.train import TrainSettings

CONFIG = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
TINY = Plan(sides=(32,), rounds=2, megapixels=0.02, steps=3, optimized=(48,), iterations=3)
TRAINING = {"base": None, "finetune": "all", "width": 12, "image_size": 32, "style_size": 64, "workers": 0}


@pytest.fixture(scope="module")
def measured(photos, tmp_path_factory):
    threads, output = torch.get_num_threads(), tmp_path_factory.mktemp("benchmark") / "result.json"
    training = TRAINING | {"preview_photos": [str(photos / "coffee.jpg")]}
    report = benchmark(replace(TINY, training=training), 1, str(output), progress=False)
    torch.set_num_threads(threads)
    return report, json.loads(output.read_text())


def results_of(report, beginning):
    return [result for result in report.results if result.what.startswith(beginning)]


def test_every_engine_that_is_here_draws_every_size(measured):
    report, _ = measured
    drawn = results_of(report, "a picture of 32 x 32")
    assert {result.engine for result in drawn} == {str(choice) for choice in find_engines()}
    assert all(0 < result.least <= result.median <= result.greatest for result in drawn)


def test_megapixels_a_second_follow_from_size_and_time(measured):
    for result in results_of(measured[0], "a picture of 32 x 32"):
        assert result.that_is == f"{0.032 * 0.032 / (result.median / 1000):.2f} megapixels/s"


def test_the_trainings_are_worked_out_from_the_rate(measured):
    """Steps are seconds * images/s / crops a step: 180 s of 2 crops and 600 s of 4."""
    (rate,) = results_of(measured[0], "training on crops of 32 x 32")
    quickstart, fine_tuning = (results_of(measured[0], name)[0].median for name in ("the quickstart", "a fine-tuning"))
    assert quickstart == pytest.approx(60 * QUICKSTART_MINUTES * rate.median / 2)
    assert fine_tuning == pytest.approx(600 * rate.median / 4)
    assert 0 < rate.least <= rate.median <= rate.greatest


def test_optimization_is_compared_with_the_network_in_the_same_turns(measured):
    (result,) = results_of(measured[0], "100 iterations of optimization at 48 x 48")
    times, of_network = result.that_is.split(" times the network's ")
    milliseconds = float(of_network.split(" ms")[0].replace(",", ""))
    assert float(times.replace(",", "")) == pytest.approx(1000 * result.median / milliseconds, rel=0.01)
    assert result.that_is.endswith("from 3 iterations")


def test_the_file_holds_what_the_table_shows(measured):
    report, written = measured
    assert written["machine"] == report.machine and written["threads"] == 1
    assert [Result(**one) for one in written["results"]] == report.results
    assert report.machine["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_the_table_opens_with_the_machine():
    known = {"processor": "Abacus", "cores": 10, "gpu": None, "system": "Wood", "python": "3.12", "versions": {"torch": "9"}}
    text = Report(known, 4, [Result("a picture", "beads", 12.345, 11, 1234.5, that_is="slow")]).text()
    assert text.splitlines() == [
        "Abacus, 10 cores; 4 threads; Wood",
        "Python 3.12, torch 9",
        "",
        "| what      | by    |  median | least to greatest | that is |",
        "| --------- | ----- | ------: | ----------------: | ------: |",
        "| a picture | beads | 12.3 ms |       11 to 1,234 |    slow |",
    ]


def test_the_quick_form_times_steps_and_exports_no_model(photos, monkeypatch):
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: pytest.fail("exported"))
    threads, training = torch.get_num_threads(), TRAINING | {"preview_photos": [str(photos / "coffee.jpg")]}
    plan = replace(TINY, whole_trainings=QUICK.whole_trainings, training=training)
    report = benchmark(plan, 1, progress=False)
    torch.set_num_threads(threads)
    assert [result.unit for result in results_of(report, "training on crops of 32 x 32")] == ["images/s"]
    assert not results_of(report, "the quickstart") and not results_of(report, "a fine-tuning")
    assert all(
        getattr(QUICK, name) <= getattr(FULL, name) for name in ("sides", "rounds", "megapixels", "steps", "iterations")
    )


def test_the_quickstart_measured_is_the_one_in_configs():
    config = yaml.safe_load(CONFIG.read_text())
    assert config | QUICKSTART == config
    assert config["minutes"] == QUICKSTART_MINUTES


def test_the_fine_tuning_measured_has_the_default_sizes():
    assert TrainSettings().batch_size == module.FINE_TUNING_BATCH
    assert module.FINE_TUNING_MINUTES == MINUTES_FROM_BASE
    assert QUICKSTART["image_size"] == TrainSettings().image_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "threads needs to be between 1 and"),
        (["--output", "."], "it is a folder"),
        (["--quik"], "--quik"),
    ],
)
def test_a_bad_option_is_one_line_before_anything_is_measured(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(module, "working_engines", lambda *_: pytest.fail("measured"))
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and message in error


def test_the_module_itself_imports_no_torch():
    code = "import sys, fast_nst.benchmark; assert not {'torch', 'pytorch_lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
