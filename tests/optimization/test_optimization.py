import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import yaml

from fast_nst.cli.main import main
from fast_nst.errors import UserError
from fast_nst.functional.color import with_colors_of
from fast_nst.functional.features import total_variation
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, save_image
from fast_nst.imaging.video import read_film
from fast_nst.optimization.descent import Descent
from fast_nst.optimization.multiscale import Optimization
from fast_nst.optimization.run import optimize
from fast_nst.settings.optimize import OptimizeSettings


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A photograph of 60 x 40 pixels, two paintings, and masks of its left and right half."""
    folder = tmp_path_factory.mktemp("pictures")
    painting, left = draw_style("impasto", 1), np.zeros((40, 60, 3), np.uint8)
    left[:, :30] = 255
    pictures = {
        "photo": skimage.data.chelsea()[50:250:5, 50:350:5],
        "painting": painting[:256, :320],
        "other": skimage.data.coffee()[:200, :300],
        "left": left,
        "right": 255 - left,
        "black": left * 0,
    }
    for name, pixels in pictures.items():
        save_image(pixels, folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in pictures}


@pytest.fixture
def settings(files, tmp_path) -> OptimizeSettings:
    return OptimizeSettings(
        files["photo"], files["painting"], size=48, steps=8, checkpoints=str(tmp_path / "runs"), progress=False
    )


def painted(settings: OptimizeSettings, **changes) -> Optimization:
    return Optimization(replace(settings, **changes)).run()


def test_a_run_folder_tells_how_its_picture_was_made(settings, tmp_path):
    run = optimize(replace(settings, output=str(tmp_path / "out.png"), save_every=4))
    folder = tmp_path / "runs" / "photo_painting"
    assert run.folder.path == folder
    np.testing.assert_array_equal(load_image(tmp_path / "out.png"), load_image(folder / "result.png"))
    assert load_image(tmp_path / "out.png").shape == (32, 48, 3)
    card = json.loads((folder / "card.json").read_text())
    assert (card["steps"], card["evaluations"], card["size"]) == (8, 9, [32, 48])
    assert card["content"]["file"] == "photo.png" and str(tmp_path) not in (folder / "card.json").read_text()
    assert "painting.png" in (folder / "README.md").read_text()
    assert yaml.safe_load((folder / "config.yaml").read_text())["steps"] == 8


def test_stages_are_numbered_and_laid_out_in_a_strip(settings):
    folder = optimize(replace(settings, save_every=3)).folder
    stages = sorted(folder.stages.iterdir())
    assert [path.name.split("-")[0] for path in stages] == [f"step={step:06d}" for step in (0, 3, 6, 8)]
    losses = [float(path.stem.split("loss=")[1]) for path in stages]
    assert losses == sorted(losses, reverse=True)
    assert load_image(folder.path / "stages.png").shape[1] == 4 * 260 + 4


def test_the_film_shows_every_step_and_its_last_picture_is_the_result(settings, tmp_path):
    run = optimize(replace(settings, video=str(tmp_path / "way.mp4")))
    film = list(read_film(tmp_path / "way.mp4"))
    assert len(film) == 9
    ends = [load_image(settings.content, 48), load_image(run.picture)]
    distances = np.array([[np.abs(frame.astype(float) - end).mean() for end in ends] for frame in (film[0], film[-1])])
    assert distances[0, 0] < distances[0, 1] and distances[1, 1] < distances[1, 0]


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "average": 0.9}, {"scales": 2, "fine_steps": 4}])
def test_a_resumed_run_equals_an_uninterrupted_one(settings, monkeypatch, changes):
    settings = replace(settings, checkpoint_every=5, **changes)
    whole = optimize(replace(settings, name="whole"))
    step, count = Descent.step, iter(range(100))

    def interrupted(self):
        if next(count) == 7:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Descent, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimize(replace(settings, name="parts"))
    parts = optimize(replace(settings, name="parts", resume=True))
    np.testing.assert_array_equal(load_image(parts.picture), load_image(whole.picture))
    assert parts.card["losses"] == whole.card["losses"]
    assert (parts.card["steps"], parts.card["evaluations"]) == (whole.card["steps"], whole.card["evaluations"])


def test_a_resumed_film_is_as_long_as_an_uninterrupted_one(settings, tmp_path):
    settings = replace(settings, video=str(tmp_path / "way.mp4"), video_every=3)
    optimize(replace(settings, steps=4))
    assert len(list(read_film(tmp_path / "way.mp4"))) == 2  # of steps 0 and 3
    optimize(replace(settings, resume=True))
    assert len(list(read_film(tmp_path / "way.mp4"))) == 3  # and 6


def test_a_finished_run_can_go_on_to_more_steps(settings):
    whole = optimize(replace(settings, name="whole"))
    optimize(replace(settings, steps=3, name="parts"))
    parts = optimize(replace(settings, name="parts", resume=True))
    assert parts.card["losses"] == whole.card["losses"]


@pytest.mark.parametrize("start", ["content", "gaussian"])
def test_two_runs_with_one_seed_are_equal_and_with_two_are_not(settings, start):
    results = [painted(settings, start=start, seed=seed).pixels() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2]) == (start == "content")


def test_a_picture_to_start_from_is_the_first_stage(settings, files):
    first = Optimization(replace(settings, start=files["other"])).pixels()
    expected = load_image(files["other"]).astype(float).mean((0, 1))
    np.testing.assert_allclose(first.mean((0, 1)), expected, atol=3)
    assert first.shape == (32, 48, 3)


def test_noise_is_where_it_should_be(settings):
    uniform, gaussian = (to_tensor(Optimization(replace(settings, start=kind)).pixels()) for kind in ("uniform", "gaussian"))
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02) and uniform.std().item() == pytest.approx(
        12**-0.5, abs=0.01
    )
    assert gaussian.mean().item() == pytest.approx(0.5, abs=0.02) and gaussian.std().item() == pytest.approx(0.24, abs=0.015)


def test_every_scale_is_twice_the_one_before(settings):
    optimization = Optimization(replace(settings, scales=2, size=64, steps=6, fine_steps=2))
    sizes = []
    while not optimization.finished:
        optimization.step()
        sizes.append(optimization.pixels().shape[:2])
    assert sizes == [(21, 32)] * 6 + [(43, 64)] * 2
    assert optimization.iteration == 8 and optimization.evaluations >= 7 + 3  # one more at each start of L-BFGS


def test_a_size_of_none_is_the_photo_s(settings):
    assert Optimization(replace(settings, size=None)).pixels().shape == (40, 60, 3)


def test_a_mask_keeps_a_style_in_its_region(settings, files):
    masked = replace(settings, style=[files["painting"]], masks=[files["left"]], style_weight=1e5, tv_weight=0.0)
    photo = Optimization(masked).pixels().astype(float)
    changed = np.abs(painted(masked).pixels() - photo).mean(2)
    assert changed[:, :20].mean() > 5 * changed[:, 36:].mean()


def test_luminance_transfer_keeps_the_photo_s_colors(settings):
    result = painted(settings, colors="luminance")
    photo = to_tensor(Optimization(settings).pixels())[None]
    picture = result.result()
    torch.testing.assert_close(with_colors_of(picture, photo), picture, atol=0.02, rtol=0)
    assert not np.array_equal(result.pixels(), painted(settings).pixels())


def test_a_style_can_be_painted_without_a_photo(settings):
    texture = painted(settings, content=None, content_weight=0.0, start="uniform")
    assert texture.pixels().shape == (38, 48, 3)
    assert set(texture.measures()) == {"total", "content", "style", "tv"}


def test_a_folder_of_weights_is_searched_for_the_network_s(settings, tmp_path):
    with pytest.raises(UserError, match=r"put vgg16\.pth there"):
        Optimization(replace(settings, loss_network="vgg16", loss_weights=str(tmp_path)))
    assert Optimization(replace(settings, loss_weights=str(tmp_path))).network.name == "lite"


def test_replicated_borders_change_the_features_of_the_border_alone(settings):
    networks = [Optimization(replace(settings, padding=padding)).network for padding in ("zeros", "replicate")]
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    zeros, replicate = (network(image, ["relu1_2"])["relu1_2"] for network in networks)
    torch.testing.assert_close(zeros[..., 2:-2, 2:-2], replicate[..., 2:-2, 2:-2])
    assert not torch.allclose(zeros, replicate)


def test_more_total_variation_weight_makes_a_smoother_picture(settings):
    rough, smooth = (painted(settings, tv_weight=weight).result() for weight in (0.0, 1e4))
    assert total_variation(smooth) < total_variation(rough)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--style", "absent.jpg"], "no picture at absent.jpg"),
        (["--content_layers", "[relu2_7]"], "did you mean relu2_2"),
        (["--style_layers", "[conv9_1]"], "unknown layer of lite 'conv9_1'"),
        (["--loss_network", "vgg17"], "did you mean vgg"),
        (["--style_layer_weights", "[1, 2]"], "needs 4 weights"),
        (["--style_layer_weights", "[0, 0, 0, 0]"], "--style_layer_weights are all 0"),
        (["--content_weight", "0", "--style_weight", "0"], "are both 0"),
        (["--shares", "[0]"], "--shares are all 0"),
        (["--shares", "[1, 2]"], "one for each of the 1 style pictures, got 2"),
        (["--masks", "[OTHER]"], "has 300x200 pixels, the photograph 60x40"),
        (["--masks", "[BLACK]"], "is black all over"),
        (["--size", "16", "--scales", "3"], "needs images of at least 8x8 pixels"),
        (["--style_scale", "0.05"], "the style picture at the coarsest scale"),
        (["--start", "contant"], "did you mean content"),
        (["--start", "s" * 300], "unknown start"),
        (["--content", "p" * 300], "p" * 300),
        (["--loss_network", "vgg16", "--loss_weights", "w" * 300], "w" * 300),
        (["--output", "o" * 300 + ".png"], "o" * 300),
        (["--formula", "gatys", "--statistic", "moments"], "choose another formula"),
        (["--learning_rate", "0"], "learning_rate needs to be between"),
        (["--output", "out.xyz"], "choose a name that ends in one of"),
        (["--output", "PHOTO/out.png"], "cannot write"),
        (["--video", "out.txt"], "choose a name that ends in one of"),
        (["--loss_network", "vgg16", "--loss_weights", "absent.pth"], "no weight file at absent.pth"),
        (["--resume"], "nothing to resume"),
        (["--device", "cuda"], "needs a GPU"),
        (["--device", "mps"], "needs a GPU"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(flags, message, files, capsys, tmp_path, monkeypatch):
    if "needs a GPU" in message and {"cuda": torch.cuda, "mps": torch.backends.mps}[flags[1]].is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Descent, "step", lambda self: pytest.fail("work was begun"))
    names = {name.upper(): path for name, path in files.items()}
    for name, path in names.items():
        flags = [flag.replace(name, path) for flag in flags]
    arguments = ["--content", files["photo"], "--style", files["painting"], "--size", "48", *flags]
    with pytest.raises(SystemExit) as ended:
        main(["optimize", *arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "missing"),
    [({"content": None}, "content"), ({"style": None}, "style"), ({"content": None, "content_weight": 0.0}, "content")],
)
def test_a_missing_picture_is_named(settings, changes, missing):
    with pytest.raises(UserError, match=f"--{missing} is missing"):
        replace(settings, **changes)


def test_a_run_is_not_overwritten_unasked(settings):
    folder = optimize(settings).folder
    with pytest.raises(UserError, match="--resume goes on with it, --overwrite replaces it"):
        optimize(settings)
    with pytest.raises(UserError, match="had another style_weight"):
        optimize(replace(settings, style_weight=5.0, resume=True))
    optimize(replace(settings, style_weight=5.0, overwrite=True))
    assert Path(folder.card).exists()


def test_a_picture_that_exists_is_not_replaced_unasked(settings, tmp_path):
    for flag, name in (("output", "out.png"), ("video", "way.mp4")):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UserError, match=f"choose another --{flag}, or replace it with --overwrite"):
            optimize(replace(settings, **{flag: str(tmp_path / name)}))
        assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "runs").exists()
    outputs = {"output": str(tmp_path / "out.png"), "video": str(tmp_path / "way.mp4")}
    optimize(replace(settings, overwrite=True, **outputs))
    assert load_image(tmp_path / "out.png").shape == (32, 48, 3)
    optimize(replace(settings, resume=True, steps=9, **outputs))


def test_the_command_says_where_the_picture_is(settings, files, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--content", files["photo"], "--style", files["painting"], "--size", "48", "--steps", "2"]
    main(["optimize", *arguments, "--output", "out.png"])
    printed = capsys.readouterr()
    assert printed.out.startswith("out.png: 2 steps in ") and "checkpoints/photo_painting" in printed.out
    assert "total=" in printed.err and "2/2" in printed.err
    main(["optimize", "--config", "checkpoints/photo_painting/config.yaml", "--steps", "3", "--resume"])
    assert "out.png: 3 steps" in capsys.readouterr().out
