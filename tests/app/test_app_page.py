"""The page through its interface for programs: what it draws, what it refuses, and what it keeps to itself."""

import json
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data

pytest.importorskip("gradio_client", reason="the page is not tested: pip install 'fast_nst[app]'")
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from fast_nst.imaging.images import load_image, save_image
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.run import stylize_files

pytest_plugins = ["served_app"]


@pytest.fixture(scope="module")
def client(app, tmp_path_factory) -> Client:
    return Client(app.url, verbose=False, analytics_enabled=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "cat.png"
    save_image(skimage.data.chelsea()[:48, :72], path)
    return path


def stylize(client: Client, photo: object = None, files: object = None, style="great_wave", mask: object = None, **others):
    """The slider, the film and the download; each a value, or None where it is hidden."""
    sent = {"strength": 1.0, "stroke": "auto", "colors": False, "mask": mask} | others
    file = handle_file(photo) if isinstance(photo, Path) else photo
    answer = client.predict(photo=file, files=files, style=style, api_name="/stylize", **sent)
    return [value(one) for one in answer]


def value(output: object) -> object:
    return output.get("value") if isinstance(output, dict) and output.get("__type__") == "update" else output


def editor(path: Path, layer: Path | None = None) -> dict:
    layers = [] if layer is None else [handle_file(layer)]
    return {"background": handle_file(path), "layers": layers, "composite": handle_file(path)}


def refused(answer) -> str:
    """The sentence with which the page refuses."""
    with pytest.raises(AppError) as error:
        answer()
    return str(error.value)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_picture_is_what_the_command_draws(client, photo, tmp_path):
    (before, after), film, download = stylize(client, photo, strength=0.7, stroke="2", colors=True)
    settings = StylizeSettings(
        [str(photo)], "great_wave", str(tmp_path / "cat.png"), 0.7, stroke_size=2, preserve_color=True
    )
    stylize_files(settings)
    assert np.array_equal(load_image(download), load_image(tmp_path / "cat.png")) and film is None
    assert Path(download).name == "cat.great_wave.png" and load_image(before).shape == load_image(after).shape


def test_several_pictures_come_as_a_zip(client, photo, tmp_path):
    save_image(skimage.data.coffee()[:32, :32], tmp_path / "coffee.jpg")
    _, _, download = stylize(client, files=[handle_file(photo), handle_file(tmp_path / "coffee.jpg")])
    with zipfile.ZipFile(download) as archive:
        assert sorted(archive.namelist()) == ["cat.great_wave.png", "coffee.great_wave.jpg"]


def test_of_several_pictures_those_that_can_be_drawn_are_in_the_zip(client, photo, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    _, _, download = stylize(client, files=[handle_file(photo), handle_file(tmp_path / "broken.jpg")])
    with zipfile.ZipFile(download) as archive:
        assert archive.namelist() == ["cat.great_wave.png"]


def test_a_film_becomes_a_film(client, tmp_path):
    for name in ("av", "cv2"):
        pytest.importorskip(name, reason="films need pip install 'fast_nst[video]'")
    from fast_nst.imaging.film_writer import Film

    with Film(tmp_path / "film.mkv", (48, 64)) as film:
        for seed in range(3):
            film.add(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    _, shown, download = stylize(client, files=[handle_file(tmp_path / "film.mkv")])
    assert Path(download).name == "film.great_wave.mp4" and shown is not None


def test_what_is_not_painted_over_stays_as_it_is(client, photo, tmp_path):
    painted = np.zeros((48, 72, 4), np.uint8)
    painted[:, 48:] = 255
    from PIL import Image

    Image.fromarray(painted).save(tmp_path / "layer.png")
    _, _, download = stylize(client, photo, mask=editor(photo, tmp_path / "layer.png"))
    before, after = load_image(photo), load_image(download)
    assert np.array_equal(before[:, :40], after[:, :40]) and not np.array_equal(before[:, 60:], after[:, 60:])


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({}, "the photograph is missing: choose a picture"),
        ({"style": "great_wav"}, "unknown style 'great_wav'; did you mean great_wave?"),
        ({"style": "/etc/hostname"}, "unknown style '/etc/hostname'"),
    ],
)
def test_a_mistake_is_one_sentence(client, photo, sent, sentence):
    text = refused(lambda: stylize(client, photo if sent else None, **sent))
    assert text.startswith(sentence) and "Traceback" not in text


def test_a_file_that_is_no_picture_is_the_sentence_of_the_command_line_without_a_path(client, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"no picture")
    text = refused(lambda: stylize(client, tmp_path / "cat.jpg"))
    assert text == "cannot read cat.jpg as a picture; it is damaged or of a format that Pillow does not know"


def test_a_picture_of_too_many_pixels_is_not_decoded(client, tmp_path):
    save_image(np.zeros((1001, 1000, 3), np.uint8), tmp_path / "large.png")
    assert "large.png has 1 megapixels, at most 1 are read" in refused(lambda: stylize(client, tmp_path / "large.png"))


def test_a_file_beyond_the_limit_is_not_taken(client, tmp_path):
    (tmp_path / "large.jpg").write_bytes(bytes(1_200_000))
    with pytest.raises(Exception, match=r"(?i)413|too large|exceeds|maximum"):
        stylize(client, tmp_path / "large.jpg")


@pytest.mark.parametrize("path", ["/etc/hostname", __file__, "pyproject.toml", "../app.py"])
def test_no_file_but_those_of_the_app_is_served(app, path):
    assert status_of(f"{app.url}/gradio_api/file={path}") in (403, 404)
    assert status_of(f"{app.url}/file={path}") in (403, 404)


def test_a_picture_of_the_machine_cannot_be_given_as_an_upload(app, photo):
    file = {"path": str(photo), "orig_name": photo.name, "meta": {"_type": "gradio.FileData"}}  # and not uploaded before
    sent = json.dumps({"data": [file, None, "great_wave", 1.0, "auto", False, None]}).encode()
    call = f"{app.url}/gradio_api/call/stylize"
    asked = urllib.request.Request(call, sent, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        number = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{number}") as answer:
        assert answer.read().startswith(b"event: error")


def test_the_browser_is_told_to_load_from_the_app_alone(app):
    with urllib.request.urlopen(app.url) as answer:
        policy, page = answer.headers["content-security-policy"], answer.read().decode()
    assert "default-src 'self'" in policy and "http" not in policy
    config = json.loads(urllib.request.urlopen(f"{app.url}/config").read())
    assert config["analytics_enabled"] is False
    assert "googleapis" not in page


def test_optimization_shows_the_best_picture_until_it_is_done(client, photo):
    job = client.submit(handle_file(photo), handle_file(photo), 64, 10, False, api_name="/optimize")
    picture, words = job.result()
    assert words.startswith("step 10 of 10") and words.endswith("done")
    assert max(load_image(picture).shape) == 64


def test_a_comparison_has_the_numbers_of_evaluate(client, photo, tmp_path):
    from fast_nst.evaluation.run import evaluate
    from fast_nst.settings.evaluate import EvaluateSettings

    sheet, table = client.predict(
        "great_wave", "great_wave", 1.0, 0.0, handle_file(photo), [handle_file(photo)], 64, api_name="/compare"
    )
    found = {row[0]: row[1:3] for row in table["data"]}
    settings = EvaluateSettings(
        "great_wave", str(photo), str(photo.parent), str(tmp_path / "out"), count=1, size=64, iterations=0
    )
    expected = evaluate(settings).mean()
    assert found["content"][0] == pytest.approx(expected["content"], abs=1e-3)
    assert found["ssim"][1] == pytest.approx(1, abs=0.01)  # strength 0 is the photograph
    assert found["ssim"][1] > found["ssim"][0]
    assert load_image(sheet).ndim == 3


def test_a_painting_is_checked_before_it_is_trained_on(client, photo):
    advice, _ = client.predict(handle_file(photo), 0, 0, 0, 0, api_name="/check_painting")
    assert "only 72x48 pixels" in advice


def test_a_painting_is_cut_before_it_is_trained_on(client, photo):
    _, cut = client.predict(handle_file(photo), 25, 0, 0, 12.5, api_name="/check_painting")
    assert load_image(cut).shape == (42, 54, 3)


@pytest.mark.parametrize(
    ("name", "source", "folder", "sentence"),
    [
        ("a/b", "drawn scenes (built in)", "", "a run's name is a plain word"),
        ("mine", "a folder on this machine", "/nowhere", "no folder of photographs at /nowhere"),
        ("mine", "a folder on this machine", "", "photographs are missing"),
        ("mine", "uploaded", "", "photographs are missing"),
    ],
)
def test_a_training_that_cannot_begin_says_why(client, photo, name, source, folder, sentence):
    text = refused(lambda: client.predict(handle_file(photo), 0, 0, 0, 0, name, 1, source, folder, None, api_name="/train"))
    assert text.startswith(sentence)


def test_only_what_is_running_or_stopped_is_stopped_or_goes_on(client):
    assert refused(lambda: client.predict(api_name="/stop_and_keep")) == "no training is running"
    assert refused(lambda: client.predict("mine", api_name="/resume")).startswith("no stopped training is called 'mine'")
