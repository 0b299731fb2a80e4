import csv
import json
import math

import numpy as np
import pytest
import torch
from conftest import random_state_dict

from fast_nst.cli.main import main
from fast_nst.evaluation.run import equivalent_iterations, evaluate, measure
from fast_nst.evaluation.stability import FEW_SHIFTS, shift_error
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, save_image
from fast_nst.losses.perceptual import PerceptualLoss
from fast_nst.optimization.descent import optimize
from fast_nst.settings.evaluate import EvaluateSettings
from fast_nst.settings.train import LossSettings
from fast_nst.stylize.stylizer import Stylizer


@pytest.fixture(scope="module")
def painting(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("paintings") / "night.png"
    save_image(draw_style("impasto", 1, 96, 96), path)
    return str(path)


@pytest.fixture(scope="module")
def criterion(lite, painting) -> PerceptualLoss:
    return PerceptualLoss(lite, [to_tensor(load_image(painting))], LossSettings())


def test_the_numbers_of_a_picture_are_those_of_the_criterion(criterion, photos):
    photo = load_image(photos / "coffee.jpg", 64)
    picture = np.flipud(photo).copy()
    row = measure("coffee.jpg", photo, picture, criterion)
    terms = criterion(to_tensor(picture)[None], to_tensor(photo)[None])
    assert (row.total, row.content, row.style) == pytest.approx(
        (terms.total.item(), terms.content.item(), terms.style.item())
    )
    assert row.structure == pytest.approx(terms.structure.item())
    assert row.n_photo is None
    same = measure("coffee.jpg", photo, photo, criterion)
    assert same.ssim == pytest.approx(1) and same.content == 0 and row.ssim < 0.9


def test_n_star_counts_the_iterations_to_an_objective(criterion, photos):
    photo = to_tensor(load_image(photos / "coffee.jpg", 48))[None]
    objective = criterion.objective(photo)
    target = optimize(objective, photo, steps=7).best_terms.total.item()
    assert equivalent_iterations(objective, photo, target, most=20) == 7
    assert equivalent_iterations(objective, photo, math.inf, most=20) == 0
    assert equivalent_iterations(objective, photo, 0.0, most=3) == 4


def test_an_evaluation_is_a_table_a_summary_and_a_grid(finished_run, painting, photos, tmp_path):
    state = {key: value / 5 for key, value in random_state_dict("squeezenet1_1", "fire7").items()}
    torch.save(state, tmp_path / "squeeze.pth")
    settings = EvaluateSettings(
        str(finished_run.folder.path),
        painting,
        str(photos),
        str(tmp_path / "out"),
        count=2,
        size=64,
        style_size=96,
        iterations=2,
    )
    settings.second_network, settings.second_weights = "squeezenet1_1", str(tmp_path / "squeeze.pth")
    evaluation = evaluate(settings)
    table = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [row["photo"] for row in table] == ["astronaut.jpg", "chelsea.jpg"]
    assert all(float(row["second_style"]) >= 0 and row["n_noise"] in ("0", "1", "2", "3") for row in table)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    mean = sum(float(row["content"]) for row in table) / 2
    assert summary["mean"]["content"] == evaluation.mean()["content"] == pytest.approx(mean, abs=1e-4)
    assert load_image(tmp_path / "out" / "grid.png").shape == (240 + 2 * 4, 4 * 324 + 4, 3)


def test_the_shift_error_is_in_the_table_where_photographs_are_large_enough(finished_run, painting, photos, tmp_path):
    model = str(finished_run.folder.path)
    large, small = (
        evaluate(EvaluateSettings(model, painting, str(photos), str(tmp_path / str(size)), 1, size, 96, iterations=0))
        for size in (128, 64)
    )
    photo = large.pictures[0]
    assert large.rows[0].shift_error == shift_error(Stylizer(model, stroke_size=1.0), photo, FEW_SHIFTS) > 0
    assert small.rows[0].shift_error is None and large.mean()["shift_error"] == round(large.rows[0].shift_error, 4)


def test_a_border_leaves_out_what_training_left_out(lite, finished_run, painting, photos, tmp_path):
    settings = EvaluateSettings(
        str(finished_run.folder.path), painting, str(photos), str(tmp_path), 1, 64, 96, loss_border=8, iterations=0
    )
    evaluation = evaluate(settings)
    photo, picture = (to_tensor(pixels)[None] for pixels in evaluation.pictures)
    own = PerceptualLoss(lite, [to_tensor(load_image(painting))], LossSettings(), border=8)
    assert evaluation.rows[0].style == pytest.approx(own(picture, photo).style.item(), rel=1e-5)
    whole = PerceptualLoss(lite, [to_tensor(load_image(painting))], LossSettings())
    assert evaluation.rows[0].style != pytest.approx(whole(picture, photo).style.item(), rel=1e-3)


def test_a_second_network_is_loaded_only_if_asked_for(finished_run, painting, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download"))
    model = str(finished_run.folder.path)
    flags = ["--count", "1", "--size", "64", "--iterations", "0", "--output", str(tmp_path / "out")]
    main(["evaluate", model, "--style", painting, "--data", str(photos), *flags])
    printed, (row,) = capsys.readouterr().out, csv.DictReader((tmp_path / "out" / "table.csv").open())
    assert "structure" in printed and "n_photo" not in printed and "second_style" not in printed
    assert float(row["style"]) > 0 and row["second_style"] == ""


def test_an_earlier_evaluation_is_not_replaced_unasked(finished_run, painting, photos, tmp_path, capsys):
    flags = ["--data", str(photos), "--count", "1", "--size", "64", "--iterations", "0", "--output", str(tmp_path)]
    (tmp_path / "table.csv").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(finished_run.folder.path), "--style", painting, *flags])
    assert ended.value.code == 2 and "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "table.csv").read_text() == "mine"
    main(["evaluate", str(finished_run.folder.path), "--style", painting, *flags, "--overwrite"])
    assert (tmp_path / "table.csv").read_text().startswith("photo,")


def test_the_second_network_that_was_asked_for_must_be_there(finished_run, painting, photos, capsys):
    flags = ["--second_network", "squeezenet1_1", "--count", "1"]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(finished_run.folder.path), "--style", painting, "--data", str(photos), *flags])
    assert ended.value.code == 2
    assert "cannot download the weights of squeezenet1_1" in capsys.readouterr().err
