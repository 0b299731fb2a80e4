import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from fast_nst.cli.main import main
from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.film_writer import Film
from fast_nst.imaging.images import load_image, save_image
from fast_nst.imaging.video import read_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize import jobs, pipeline, style_sheet, stylizer
from fast_nst.stylize.jobs import plan, tag_of
from fast_nst.stylize.pipeline import ahead
from fast_nst.stylize.run import stylize_files
from fast_nst.stylize.stylizer import Stylizer


@pytest.fixture
def run(negative):
    """Stylize with the negative, named ``negative``."""

    def stylize(inputs: list[object], output: object = None, **values: object) -> list[Path]:
        settings = StylizeSettings([str(one) for one in inputs], "negative", output and str(output), **values)
        return stylize_files(settings, negative)

    return stylize


def test_a_file_becomes_a_file(run, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    assert run([tmp_path / "a.png"], tmp_path / "b.png") == [tmp_path / "b.png"]
    np.testing.assert_array_equal(load_image(tmp_path / "b.png"), 255 - pixels)


def test_the_command_gives_a_large_photo_larger_strokes(negative, tmp_path):
    path, large = negative.parts[0].path, np.random.default_rng(0).integers(0, 256, (16, 2560, 3), dtype=np.uint8)
    save_image(large, tmp_path / "a.png")
    for options, stroke_size in (([], 2.0), (["--stroke_size", "auto"], 2.0), (["--stroke_size", "1"], 1.0)):
        output = ["--output", str(tmp_path / "b.png"), "--overwrite"]
        main(["stylize", str(tmp_path / "a.png"), "--style", str(path), *output, *options])
        np.testing.assert_array_equal(load_image(tmp_path / "b.png"), Stylizer(path, stroke_size=stroke_size)(large))


def test_without_an_output_the_result_lies_beside_the_photo(run, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    assert run([tmp_path / "a.png"]) == [tmp_path / "a.negative.png"]


@pytest.mark.parametrize(
    ("style", "tag"),
    [
        ("great_wave", "great_wave"),
        ("great_wave:0.7, the_scream:0.3", "great_wave-the_scream"),
        ("checkpoints/mine/", "mine"),
        ("models/my wave.onnx", "my_wave"),
    ],
)
def test_a_result_is_named_after_its_style(style, tag):
    assert tag_of(style) == tag


def test_a_photo_is_stylized_upright(run, pixels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    run([tmp_path / "a.png"], tmp_path / "b.png")
    np.testing.assert_array_equal(load_image(tmp_path / "b.png"), 255 - np.rot90(pixels, 3))


def test_a_folder_becomes_a_folder_of_the_same_shape(run, pixels, tmp_path):
    for name in ("a.png", "deep/b.png"):
        save_image(pixels, tmp_path / "in" / name)
    for _ in range(2):  # the second time the output folder exists
        written = run([tmp_path / "in"], tmp_path / "in" / "out", recursive=True, overwrite=True)
        found = {str(path.relative_to(tmp_path / "in" / "out")) for path in written}
        assert found == {"a.negative.png", os.path.join("deep", "b.negative.png")}


def test_folders_in_folders_are_left_alone_unless_asked_for(run, pixels, tmp_path):
    for name in ("a.png", "b.png", "deep/c.png"):
        save_image(pixels, tmp_path / "in" / name)
    assert {path.name for path in run([tmp_path / "in"], tmp_path / "out")} == {"a.negative.png", "b.negative.png"}


def test_results_beside_the_photos_are_not_stylized_again(run, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "find_styles", lambda: {"negative": None})
    for name in ("a.png", "b.png", "c.v2.png"):
        save_image(pixels, tmp_path / name)
    expected = {"a.negative.png", "b.negative.png", "c.v2.negative.png"}
    for _ in range(2):
        assert {path.name for path in run([tmp_path], overwrite=True)} == expected


def test_a_pattern_names_many(run, pixels, tmp_path):
    for name in ("a1.png", "a2.png", "b.png"):
        save_image(pixels, tmp_path / name)
    written = run([tmp_path / "a*.png"], tmp_path / "out")
    assert {path.name for path in written} == {"a1.negative.png", "a2.negative.png"}


def test_a_folder_gives_every_kind_of_picture_and_its_results_are_known_again(run, pixels, tmp_path, monkeypatch):
    register_heif_opener()
    monkeypatch.setattr(jobs, "find_styles", lambda: {"negative": None})
    for name in ("a.heic", "b.gif", "c.png", "d.jfif"):
        Image.fromarray(pixels).save(tmp_path / name, {".jfif": "JPEG"}.get(Path(name).suffix))
    (tmp_path / "notes.txt").write_text("no picture")
    for _ in range(2):
        written = {path.name for path in run([tmp_path], overwrite=True)}
        assert written == {"a.negative.jpg", "b.negative.gif", "c.negative.png", "d.negative.jpg"}


def test_photos_of_one_name_from_two_folders_do_not_overwrite_each_other(tmp_path):
    inputs = [str(tmp_path / "x" / "a.jpg"), str(tmp_path / "y" / "a.jpg")]
    jobs = plan(StylizeSettings(inputs, "mine", str(tmp_path / "out")))
    assert [job.target.name for job in jobs] == ["a.mine.jpg", "a.mine_2.jpg"]


def test_nothing_is_overwritten_unasked(run, pixels, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        save_image(pixels, tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.negative.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="--overwrite"):
        run([tmp_path / "in" / "a.png"], tmp_path / "out" / "a.negative.png")
    assert [path.name for path in run([tmp_path / "in"], tmp_path / "out")] == ["b.negative.png"]
    assert (tmp_path / "out" / "a.negative.png").read_bytes() == b"mine"
    assert "1 pictures exist" in capsys.readouterr().err
    assert len(run([tmp_path / "in"], tmp_path / "out", overwrite=True)) == 2


def test_a_photo_is_never_replaced_by_its_own_result(run, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    with pytest.raises(UserError, match="the photograph itself"):
        run([tmp_path / "a.png"], tmp_path / "a.png", overwrite=True)


@pytest.fixture
def drawn_together(negative, monkeypatch):
    """The negative as if on an accelerator with room for three pictures of ``pixels``; the shapes that it draws."""
    engine, shapes = negative.parts[0].model.engine, []
    monkeypatch.setattr(engine, "provider", "cuda")
    monkeypatch.setattr(stylizer, "BATCH_PIXELS", 3 * 20 * 30)
    honest = engine.run
    monkeypatch.setattr(engine, "run", lambda image, style: shapes.append(image.shape[:3]) or honest(image, style))
    return shapes


def test_neighbours_of_one_size_are_drawn_together_on_an_accelerator(run, pixels, tmp_path, drawn_together):
    pictures = [np.roll(pixels, turn, 0) for turn in range(9)]
    pictures[4] = pictures[4][:, :20]
    for place, picture in enumerate(pictures):
        save_image(picture, tmp_path / "in" / f"{place}.png")
    (tmp_path / "in" / "1b.png").write_text("no picture")
    with pytest.raises(PartlyDone, match=r"1 of 10 pictures failed.*\n.*1b\.png"):
        run([tmp_path / "in"], tmp_path / "out")
    assert drawn_together == [(3, 20, 30), (1, 20, 30), (1, 20, 20), (3, 20, 30), (1, 20, 30)]
    for place, picture in enumerate(pictures):
        np.testing.assert_array_equal(load_image(tmp_path / "out" / f"{place}.negative.png"), 255 - picture)


def test_films_and_animations_between_pictures_keep_their_place(run, pixels, tmp_path, drawn_together):
    for name in ("a.png", "b.png", "e.png"):
        save_image(pixels, tmp_path / name)
    Image.fromarray(pixels).save(tmp_path / "c.png", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    with Film(tmp_path / "d.mp4", (32, 48)) as film:
        film.add(np.zeros((32, 48, 3), np.uint8))
    inputs = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.mp4", "e.png")]
    written = run(inputs, tmp_path / "out", stabilize=0.0)
    assert [path.name[0] for path in written] == ["a", "b", "c", "d", "e"]
    assert drawn_together == [(2, 20, 30), (1, 20, 30), (1, 20, 30), (1, 32, 48), (1, 20, 30)]


def test_a_batch_that_fails_is_drawn_one_by_one(run, pixels, tmp_path, negative, drawn_together, monkeypatch):
    engine = negative.parts[0].model.engine
    honest = engine.run

    def without_memory(image, style):
        if len(image) > 1:
            raise UserError("no memory left")
        return honest(image, style)

    monkeypatch.setattr(engine, "run", without_memory)
    for name in ("a.png", "b.png"):
        save_image(pixels, tmp_path / "in" / name)
    assert len(run([tmp_path / "in"], tmp_path / "out")) == 2
    assert drawn_together == [(1, 20, 30), (1, 20, 30)]


def test_a_processor_draws_one_picture_after_the_other(run, negative, pixels, tmp_path, monkeypatch):
    engine, shapes = negative.parts[0].model.engine, []
    honest = engine.run
    monkeypatch.setattr(engine, "run", lambda image, style: shapes.append(len(image)) or honest(image, style))
    for name in ("a.png", "b.png"):
        save_image(pixels, tmp_path / "in" / name)
    run([tmp_path / "in"], tmp_path / "out")
    assert engine.provider == "cpu" and shapes == [1, 1]


def test_one_broken_picture_does_not_stop_the_others(run, pixels, tmp_path):
    for name in ("a.png", "c.png"):
        save_image(pixels, tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_text("no picture")
    save_image(pixels[:5], tmp_path / "in" / "small.png")
    with pytest.raises(PartlyDone, match=r"(?s)2 of 4 pictures failed.*b\.png.*small\.png needs at least") as caught:
        run([tmp_path / "in"], tmp_path / "out")
    assert caught.value.code == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.negative.png", "c.negative.png"}


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["absent.png"], "b.png", "no picture at"),
        (["a.png"], "b.xyz", "choose one of"),
        (["a.png", "c.png"], "b.png", "need a folder"),
        (["empty"], "out", "no pictures in"),
        (["*.nothing"], "out", "no pictures in"),
        (["small.png"], "b.png", "small.png needs at least 16x16"),
        (["a.png", "-"], "b.png", "one input"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(run, pixels, tmp_path, monkeypatch, inputs, output, message):
    monkeypatch.chdir(tmp_path)
    save_image(pixels, Path("a.png"))
    save_image(pixels[:10], Path("small.png"))
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        run(inputs, output)
    assert not Path(output).exists()


def test_a_size_reduces_the_photo_first(run, pixels, tmp_path):
    save_image(np.repeat(np.repeat(pixels, 4, 0), 4, 1), tmp_path / "a.png")
    run([tmp_path / "a.png"], tmp_path / "b.png", size=60)
    assert load_image(tmp_path / "b.png").shape == (40, 60, 3)


def test_a_mask_is_a_file(run, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    Image.new("L", (8, 8), 0).save(tmp_path / "mask.png")
    run([tmp_path / "a.png"], tmp_path / "b.png", mask=str(tmp_path / "mask.png"))
    np.testing.assert_array_equal(load_image(tmp_path / "b.png"), pixels)


def test_a_picture_goes_through_a_pipe(run, pixels, monkeypatch):
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(encoded.getvalue())))
    monkeypatch.setattr(sys, "stdout", out)
    assert run(["-"]) == []
    result = Image.open(io.BytesIO(out.buffer.getvalue()))
    assert result.format == "PNG"
    np.testing.assert_array_equal(np.asarray(result), 255 - pixels)


def test_what_comes_through_a_pipe_is_named_when_it_is_no_picture(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"no picture")))
    with pytest.raises(UserError, match="standard input"):
        run(["-"])


def test_an_animation_is_stylized_frame_by_frame(run, pixels, tmp_path):
    frames = [Image.fromarray(np.roll(pixels, turn, 0)) for turn in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[40, 80, 120], loop=3)
    run([tmp_path / "a.png"], tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as result:
        assert (result.n_frames, result.info["loop"]) == (3, 3)
        for turn, milliseconds in enumerate((40, 80, 120)):
            result.seek(turn)
            np.testing.assert_array_equal(np.asarray(result.convert("RGB")), 255 - np.roll(pixels, turn, 0))
            assert result.info["duration"] == milliseconds


def test_the_command_ends_with_1_when_some_failed_and_lists_them(pixels, tmp_path, capsys, negative):
    save_image(pixels, tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    model = negative.parts[0].path
    with pytest.raises(SystemExit) as caught:
        main(["stylize", str(tmp_path / "in"), "--style", str(model), "--output", str(tmp_path / "out")])
    assert caught.value.code == 1
    assert "b.png" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.negative.png"]


def test_a_film_becomes_a_film(run, tmp_path):
    levels = (20, 120, 220)
    with Film(tmp_path / "a.mp4", (32, 48)) as film:
        for level in levels:
            film.add(np.full((32, 48, 3), level, np.uint8))
    assert run([tmp_path / "a.mp4"], stabilize=0.0) == [tmp_path / "a.negative.mp4"]
    found = [picture.mean() for picture in read_film(tmp_path / "a.negative.mp4")]
    assert found == pytest.approx([255 - level for level in levels], abs=6)
    for output, message in (("b.png", "no film's ending"), ("-", "standard output")):
        with pytest.raises(UserError, match=message):
            run([tmp_path / "a.mp4"], output)


def test_reading_ahead_stays_within_the_pixels_that_are_allowed_at_once(monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        begun = []
        taken = ahead(pool, begun.append, range(12), weight=lambda item: [10, 60, 50, 200][item % 4], budget=100)
        for place, (item, future) in enumerate(taken):
            future.result()
            assert item == place
            waiting = [[10, 60, 50, 200][other % 4] for other in begun[place:]]
            assert len(waiting) == 1 or sum(waiting) <= 100
        assert begun == list(range(12))


def test_a_gif_becomes_a_film_and_a_film_a_gif_where_the_output_is_called_so(negative, tmp_path):
    frames = [Image.new("RGB", (48, 32), (60 * index,) * 3) for index in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    for source, target in (("a.gif", "b.mp4"), ("b.mp4", "c.gif"), ("c.gif", "d.webm"), ("a.gif", "e.gif")):
        settings = StylizeSettings([str(tmp_path / source)], style="negative", output=str(tmp_path / target), stabilize=0)
        assert stylize_files(settings, negative) == [tmp_path / target]
        assert len(list(read_film(tmp_path / target))) == 4


def test_frames_that_the_output_cannot_hold_are_refused_before_they_are_drawn(negative, tmp_path):
    frames = [Image.new("RGB", (48, 32), (60 * index,) * 3) for index in range(4)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    settings = StylizeSettings([str(tmp_path / "a.tif")], style="negative", output=str(tmp_path / "b.jpg"))
    with pytest.raises(UserError, match="holds one picture, not 4 frames"):
        stylize_files(settings, negative)


# ---- whatever a single file does, the others are written


def broken_reader(error: BaseException):
    honest = pipeline.read_picture

    def read(source, *arguments):
        if "bad" in str(source):
            raise error
        return honest(source, *arguments)

    return read


def broken_writer(error: BaseException):
    honest = pipeline.write_picture

    def write(picture, target, suffix):
        if "bad" in str(target):
            raise error
        return honest(picture, target, suffix)

    return write


ERRORS = [ValueError("two\nlines\x1b[2J"), OSError(36, "File name too long"), MemoryError(), SystemError("odd"), KeyError(1)]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
@pytest.mark.parametrize(("name", "broken"), [("read_picture", broken_reader), ("write_picture", broken_writer)])
def test_whatever_is_raised_for_one_file_is_one_line_of_the_list(run, pixels, tmp_path, monkeypatch, error, name, broken):
    """The kind: any exception, of reading or of writing; also alone, and at each place of the list."""
    for one in ("a.png", "bad.png", "c.png"):
        save_image(pixels, tmp_path / "in" / one)
    monkeypatch.setattr(pipeline, name, broken(error))
    with pytest.raises(PartlyDone) as caught:
        run([tmp_path / "in"], tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and "bad.png" in lines[1] and "1 of 3" in lines[0] and "\x1b" not in lines[1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.negative.png", "c.negative.png"}
    with pytest.raises(UserError, match="bad.png") as alone:
        run([tmp_path / "in" / "bad.png"], tmp_path / "bad_out.png")
    assert "\n" not in str(alone.value)


def test_a_film_that_fails_is_listed_and_the_rest_goes_on(run, pixels, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("a codec that nobody knows")

    monkeypatch.setattr(pipeline, "redraw_film", broken)
    for name in ("a.png", "c.png"):
        save_image(pixels, tmp_path / name)
    (tmp_path / "b.mp4").write_bytes(b"film")
    with pytest.raises(PartlyDone, match=r"(?s)1 of 3.*b\.mp4: RuntimeError: a codec that nobody knows"):
        run([tmp_path / name for name in ("a.png", "b.mp4", "c.png")], tmp_path / "out", stabilize=0.0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.negative.png", "c.negative.png"}


@pytest.mark.parametrize("letter", ["x", "ä", "漢"])
def test_a_long_name_is_shortened_and_its_result_is_known_again(run, pixels, tmp_path, monkeypatch, letter):
    monkeypatch.setattr(jobs, "find_styles", lambda: {"negative": None})
    longest = letter * (251 // len(letter.encode()))
    for stem in (longest, longest[:-1], "a"):
        save_image(pixels, tmp_path / "short.png")
        (tmp_path / "short.png").rename(tmp_path / f"{stem}.png")
    for _ in range(2):
        written = run([tmp_path], overwrite=True)
        assert len(written) == len(set(written)) == 3
        assert all(len(path.name.encode()) <= 255 and ".negative" in path.name for path in written)


@pytest.mark.parametrize(("inputs", "output"), [(["a.png"], "x" * 300 + ".png"), (["y" * 300 + ".png"], "b.png")])
def test_a_name_that_is_too_long_is_one_sentence(run, pixels, tmp_path, monkeypatch, inputs, output):
    monkeypatch.chdir(tmp_path)
    save_image(pixels, Path("a.png"))
    with pytest.raises(UserError, match="File name too long|no picture at|at most 255 bytes"):
        run(inputs, output)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_name_that_is_too_long_does_not_stop_the_others(run, pixels, tmp_path):
    save_image(pixels, tmp_path / "a.png")
    with pytest.raises(PartlyDone, match="1 of 2 pictures failed, the others are written"):
        run([tmp_path / "a.png", tmp_path / ("y" * 300 + ".png")], tmp_path / "out")
    assert (tmp_path / "out" / "a.negative.png").exists()


def test_names_with_a_nul_are_refused_in_a_sentence(run):
    with pytest.raises(UserError, match="NUL"):
        run(["a\0.png"], "b.png")


def test_an_unreadable_folder_is_listed(run, pixels, tmp_path, monkeypatch):
    save_image(pixels, tmp_path / "in" / "a.png")

    def refusing(folder, recursive, problems):
        problems[tmp_path / "in" / "locked"] = PermissionError(13, "Permission denied")
        return [tmp_path / "in" / "a.png"]

    monkeypatch.setattr(jobs, "find_images", refusing)
    with pytest.raises(PartlyDone, match=r"(?s)1 of 2.*cannot read .*locked: Permission denied"):
        run([tmp_path / "in"], tmp_path / "out")
    assert (tmp_path / "out" / "a.negative.png").exists()


def test_a_dry_run_tells_what_would_be_written_and_writes_nothing(pixels, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "b.great_wave.png"):
        save_image(pixels, Path(name))
    main(["stylize", "a.png", "b.png", "-s", "great_wave", "--dry-run"])
    assert capsys.readouterr().out.splitlines() == [
        "a.png -> a.great_wave.png",
        "b.png -> b.great_wave.png (exists, left alone)",
    ]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_mask_of_another_shape_is_told_once(run, pixels, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        save_image(pixels, tmp_path / name)
    Image.new("L", (8, 8), 255).save(tmp_path / "square.png")
    Image.new("L", (60, 40), 255).save(tmp_path / "alike.png")
    for mask, count in (("square.png", 1), ("alike.png", 0)):
        run([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out", mask=str(tmp_path / mask), overwrite=True)
        assert capsys.readouterr().err.count("the mask is stretched to the picture") == count


def test_every_style_fits_on_one_sheet(pixels, tmp_path, monkeypatch, negative):
    monkeypatch.setattr(style_sheet, "find_styles", lambda: ["one", "two"])
    monkeypatch.setattr(style_sheet, "Stylizer", lambda name, **settings: negative)
    save_image(pixels, tmp_path / "a.png")
    assert stylize_files(StylizeSettings([str(tmp_path / "a.png")], "all")) == [tmp_path / "a.all.png"]
    sheet = load_image(tmp_path / "a.all.png")
    assert sheet.shape[1] > 3 * style_sheet.CELL and sheet.shape[0] > 200


def test_a_painting_as_a_style_is_answered_with_the_photograph_at_hand(pixels, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_image(pixels, Path("my photo.jpg"))
    for more in ([], ["--dry_run"]):
        with pytest.raises(SystemExit):
            main(["stylize", "my photo.jpg", "--style", "painting.jpg", *more])
        assert "fast-nst optimize 'my photo.jpg' painting.jpg --output out.png" in capsys.readouterr().err
