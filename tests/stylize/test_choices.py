"""Choices by a picture's path: the part of a run that it falls into, and its styles of --style random."""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fast_nst.cli.main import main
from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.images import load_image, save_image
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize import jobs, pipeline
from fast_nst.stylize.choices import chosen_styles, in_part
from fast_nst.stylize.jobs import plan
from fast_nst.stylize.run import stylize_files
from fast_nst.stylize.stylizer import Stylizer

PATHS = [f"n0{number % 7}/{number}.jpg" for number in range(2000)]
STYLES = ["great_wave", "the_scream", "starry_night", "mosaic"]


@pytest.fixture
def folder(tmp_path, pixels):
    """Twelve pictures in two folders; two of them get one name as results."""
    for place in range(10):
        save_image(np.roll(pixels, place, 0), tmp_path / "in" / f"{place % 2}" / f"{place}.png")
    save_image(pixels, tmp_path / "in" / "twin.jpg")
    shutil.copyfile(tmp_path / "in" / "twin.jpg", tmp_path / "in" / "twin.jfif")
    return tmp_path / "in"


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def settings_of(folder: Path, output: Path, style: str = "negative", **values: object) -> StylizeSettings:
    return StylizeSettings([str(folder)], style, str(output), recursive=True, **values)


def test_a_part_is_the_remainder_of_a_hash_of_the_path():
    number = int(hashlib.sha256(b"part\0n01/a.jpg").hexdigest()[:16], 16)
    assert [part for part in range(1, 8) if in_part("n01/a.jpg", part, 7)] == [number % 7 + 1]


def test_parts_are_about_equally_large():
    sizes = Counter(part for path in PATHS for part in range(1, 5) if in_part(path, part, 4))
    assert sum(sizes.values()) == len(PATHS)
    assert all(abs(size - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75) for size in sizes.values())


def test_the_style_of_a_picture_is_the_one_with_the_highest_hash():
    hashes = {style: hashlib.sha256(f"style\0{5}\0n01/a.jpg\0{style}".encode()).hexdigest()[:16] for style in STYLES}
    expected = sorted(STYLES, key=hashes.get, reverse=True)
    assert chosen_styles("n01/a.jpg", reversed(STYLES), 5, 4) == expected
    assert chosen_styles("n01/a.jpg", STYLES, 5, 2) == expected[:2]


def test_every_style_is_chosen_about_as_often_and_another_seed_chooses_others():
    first, second = ([chosen_styles(path, STYLES, seed, 1)[0] for path in PATHS] for seed in (0, 1))
    assert all(abs(count - 500) < 4 * np.sqrt(2000 * 0.25 * 0.75) for count in Counter(first).values())
    assert 0.65 < np.mean([a != b for a, b in zip(first, second, strict=True)]) < 0.85


def test_a_style_that_is_added_takes_pictures_and_the_others_keep_theirs():
    before = [chosen_styles(path, STYLES, 0, 1) for path in PATHS]
    after = [chosen_styles(path, [*STYLES, "new"], 0, 1) for path in PATHS]
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert 300 < len(moved) < 500 and all(new == ["new"] for new in moved)


def test_the_parts_of_a_run_make_the_whole(folder, negative, tmp_path):
    stylize_files(settings_of(folder, tmp_path / "whole"), negative)
    for part in (3, 1, 2):
        stylize_files(settings_of(folder, tmp_path / "parts", shard=f"{part}/3"), negative)
    whole = tree(tmp_path / "whole")
    assert tree(tmp_path / "parts") == whole
    assert len(whole) == 12 and {"twin.negative.jpg", "twin.negative_2.jpg"} < set(whole)


def test_no_picture_falls_into_two_parts(folder, tmp_path):
    parts = [plan(settings_of(folder, tmp_path / "out", shard=f"{part}/5")) for part in range(1, 6)]
    targets = [job.target for part in parts for job in part]
    assert sorted(targets) == sorted(job.target for job in plan(settings_of(folder, tmp_path / "out")))


def test_a_part_without_pictures_is_told(folder, negative, tmp_path, capsys):
    empty = next(part for part in range(1, 1000) if not any(in_part(f"{n % 2}/{n}.png", part, 999) for n in range(10)))
    assert stylize_files(settings_of(folder / "0", tmp_path / "out", shard=f"{empty}/999"), negative) == []
    assert f"--shard {empty}/999" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_is_none_is_one_sentence(shard):
    with pytest.raises(UserError, match="1/8 to 8/8"):
        StylizeSettings(["a.jpg"], "great_wave", shard=shard)


def test_a_restart_draws_what_is_missing_and_a_bad_file_stops_nothing(folder, negative, tmp_path, monkeypatch):
    (folder / "0" / "bad.png").write_text("no picture")
    settings = settings_of(folder, tmp_path / "out", shard="1/1")
    with pytest.raises(PartlyDone, match="1 of 13 pictures failed"):
        stylize_files(settings, negative)
    written = tree(tmp_path / "out")
    for name in ("0/4.negative.png", "twin.negative_2.jpg"):
        (tmp_path / "out" / name).unlink()
    read, honest = [], pipeline.read_job
    monkeypatch.setattr(pipeline, "read_job", lambda job, values: read.append(job.path) or honest(job, values))
    with pytest.raises(PartlyDone, match="1 of 3 pictures failed"):
        stylize_files(settings, negative)
    assert sorted(read) == ["0/4.png", "0/bad.png", "twin.jpg"]
    assert tree(tmp_path / "out") == written


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.setattr(jobs, "find_styles", lambda: dict.fromkeys(["great_wave", "the_scream"]))


def test_random_draws_each_picture_in_the_style_of_its_hash(folder, gallery, tmp_path):
    stylize_files(settings_of(folder, tmp_path / "out", "random", seed=3))
    photo = load_image(folder / "0" / "4.png")
    (style,) = chosen_styles("0/4.png", ["great_wave", "the_scream"], 3, 1)
    np.testing.assert_array_equal(load_image(tmp_path / "out" / "0" / f"4.{style}.png"), Stylizer(style)(photo))


def test_random_pictures_are_the_same_in_parts_and_from_another_place(folder, gallery, tmp_path):
    stylize_files(settings_of(folder, tmp_path / "whole", "random"))
    moved = folder.rename(tmp_path / "moved")
    for part in (2, 1):
        stylize_files(settings_of(moved, tmp_path / "parts", "random", shard=f"{part}/2"))
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")


def test_a_picture_is_drawn_in_several_styles(folder, gallery, tmp_path):
    os.remove(folder / "twin.jfif")
    written = stylize_files(settings_of(folder, tmp_path / "out", "random", styles_per_picture=2))
    assert len(written) == 22
    assert {path.name for path in written if path.name.startswith("4.")} == {"4.great_wave.png", "4.the_scream.png"}


def test_styles_that_share_a_model_load_it_once():
    first = Stylizer("great_wave", strength=0.5)
    other = first.with_style("the_scream")
    assert other.parts[0].model is first.parts[0].model
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(other(photo), Stylizer("the_scream", strength=0.5)(photo))
    assert (first.style, other.style) == ("great_wave", "the_scream")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-", "--style", "random"], "go by the names of files"),
        (["a.jpg", "--style", "great_wave", "--styles_per_picture", "2"], "goes with --style random"),
        (["--camera", "0", "--style", "random"], "give --camera one style"),
        (["{folder}", "--style", "random", "--styles_per_picture", "9"], "at most 2"),
    ],
)
def test_a_choice_that_cannot_be_made_is_one_sentence(folder, gallery, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        main(["stylize", *(word.format(folder=folder) for word in words)])
    told = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and message in told and "\n" not in told
