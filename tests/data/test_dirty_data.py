"""Folders as they are: every file below is either used or named with its fault, and nothing stops a training."""

import errno
import io
import multiprocessing
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pillow_heif import register_heif_opener

from fast_nst.data import folders
from fast_nst.data.datasets import Photos
from fast_nst.data.folders import FAULTS, Fault, find_photos, listing, readable_photos
from fast_nst.errors import UserError
from fast_nst.imaging import opening
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.settings.train import TrainSettings
from fast_nst.training.run import train

UNDECODABLE = os.fsdecode(b"na\xefve\xff.png")


def picture(mode: str = "RGB", size: tuple[int, int] = (80, 60)) -> Image.Image:
    """Colours that change from pixel to pixel, in any of Pillow's modes."""
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    return (
        Image.fromarray(values[..., :3]).convert(mode)
        if mode in ("P", "CMYK")
        else Image.fromarray(values[..., : len(mode)])
    )


def encoded(image: Image.Image, suffix: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, suffix, **options)
    return stream.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels at all: decoding it would find it damaged."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size than it has."""
    data = encoded(picture(), "JPEG")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def good_files() -> dict[str, bytes]:
    register_heif_opener()
    jpeg, frames = encoded(picture(), "JPEG"), [picture(), picture().rotate(90), picture().rotate(180)]
    return {
        "plain.jpg": jpeg,
        "фото 写真 ✓.jpg": jpeg,
        UNDECODABLE: encoded(picture(), "PNG"),
        "cmyk.jpg": encoded(picture("CMYK"), "JPEG"),
        "deep.png": encoded(picture("I;16"), "PNG"),
        "alpha.png": encoded(picture("RGBA"), "PNG"),
        "palette.png": encoded(picture("P"), "PNG"),
        "animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "animated.png": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "telephone.HEIC": encoded(picture(), "HEIF"),
        "below/pages.tif": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
    }


def bad_files() -> dict[str, tuple[bytes, Fault]]:
    jpeg = encoded(picture(), "JPEG")
    return {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], Fault.DAMAGED),
        "text.jpg": (b"not a picture\n", Fault.DAMAGED),
        "two\nlines.jpg": (b"nor this", Fault.DAMAGED),
        os.fsdecode(b"\xff\xfe.jpg"): (b"nor this", Fault.DAMAGED),
        "zero.jpg": (b"", Fault.EMPTY),
        "thin.png": (encoded(picture(size=(1, 500)), "PNG"), Fault.SMALL),
        "huge.png": (png_of(20_000, 15_000), Fault.LARGE),
        "huge.jpg": (jpeg_of(20_000, 15_000), Fault.LARGE),
    }


def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small previews and no ONNX model, which take longer than these runs."""
    monkeypatch.setattr("fast_nst.training.run.export_onnx", lambda *_: None)
    monkeypatch.setattr("fast_nst.training.builders.PREVIEW_SIZE", 64)


@pytest.fixture
def dirty(tmp_path: Path) -> tuple[Path, dict[Path, Fault]]:
    """A folder with all of it, and what is wrong with which file."""
    folder = tmp_path / "dirty"
    (folder / "below").mkdir(parents=True)
    for name, content in good_files().items():
        (folder / name).write_bytes(content)
    faults = {}
    for name, (content, fault) in bad_files().items():
        (folder / name).write_bytes(content)
        faults[folder / name] = fault
    for name, target in {"dangling.jpg": "absent.jpg", "circle.jpg": "circle.jpg", "below/up": ".."}.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.jpg")  # opening it would wait for ever
    (folder / "folder.jpg").mkdir()
    return folder, faults | {folder / "dangling.jpg": Fault.MISSING, folder / "circle.jpg": Fault.MISSING,
                             folder / "pipe.jpg": Fault.NO_FILE}  # fmt: skip


def photos_in(folder: Path, size: int = 32) -> Photos:
    faults: dict[Path, Fault] = {}
    return Photos(find_photos(folder, faults), size, unlisted=faults)


def test_every_file_is_used_or_has_its_fault(dirty):
    folder, expected = dirty
    photos = photos_in(folder)
    crops = torch.stack([photos[position] for position in range(len(photos))])
    assert photos.skipped == expected
    assert {path for path in photos.paths if path not in photos.skipped} == {folder / name for name in good_files()}
    assert crops.isfinite().all() and crops.flatten(1).std(1).min() > 0.05


@pytest.mark.parametrize("used", [readable_photos, lambda paths, *_: Photos(paths, 32)[0]])
def test_photographs_that_take_a_package_say_so(used, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "_knows_heif", lambda: False)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"\(1 HEIC, which takes pip install 'fast_nst\[heif\]', 1 damaged"):
        used(find_photos(tmp_path), 2, 64)


def test_which_photograph_stands_in_for_a_bad_one_does_not_depend_on_what_was_met_before(dirty):
    known = photos_in(dirty[0])
    crops = [known[position] for position in range(2 * len(known))]
    for position in range(len(known), 2 * len(known)):
        assert torch.equal(photos_in(dirty[0])[position], crops[position])


def test_a_training_skips_what_it_must_and_lists_it_once(dirty, tiny_settings, monkeypatch, tmp_path, capsys):
    shortened(monkeypatch)
    folder, expected = dirty
    changes = {"data": str(folder), "checkpoints": str(tmp_path), "workers": 2, "steps": 10, "preview_every": 10**6}
    run = train(TrainSettings(**{**tiny_settings, **changes}, name="from_dirt"))
    lines = (run.folder.path / "skipped.txt").read_text(encoding="utf-8").splitlines()
    assert lines == listing(expected).splitlines() and len(lines) == len(expected)
    assert f"{folder}/two\\nlines.jpg: {FAULTS[Fault.DAMAGED]}" in lines
    assert f"{folder}/\\udcff\\udcfe.jpg: {FAULTS[Fault.DAMAGED]}" in lines
    told = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
    assert len(told) == 1 and f"skipped {len(expected)} files" in told[0] and told[0].endswith("skipped.txt")
    train(TrainSettings(**{**tiny_settings, **changes, "steps": 11}, name="from_dirt", resume=True))
    assert (run.folder.path / "skipped.txt").read_text(encoding="utf-8").splitlines() == lines


def test_previews_are_drawn_of_the_photographs_that_can_be(dirty):
    pictures = readable_photos(find_photos(dirty[0]), 4, 64)
    assert [pixels.shape for pixels in pictures] == [(48, 64, 3)] * 4
    with pytest.raises(UserError, match="none of the 2 pictures"):
        readable_photos([dirty[0] / "thin.png", dirty[0] / "zero.jpg"], 4, 64)


def test_links_to_folders_are_followed_once_and_circles_end(dirty, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "elsewhere").symlink_to(dirty[0])
    (tmp_path / "linked" / "again").symlink_to(dirty[0])
    found = find_photos(tmp_path / "linked")
    assert len(found) == len(good_files()) + len(bad_files()) == len({path.resolve() for path in found})


def test_a_folder_that_may_not_be_entered_is_named(dirty, monkeypatch):
    """As root may enter every folder, the system's answer is put in its place."""
    honest = os.scandir

    def scandir(path):
        if Path(path).name == "below":
            raise PermissionError(errno.EACCES, "Permission denied")
        return honest(path)

    monkeypatch.setattr("fast_nst.imaging.scanning.os.scandir", scandir)
    photos = photos_in(dirty[0])
    assert photos.skipped[dirty[0] / "below"] == Fault.DENIED
    assert dirty[0] / "below" / "pages.tif" not in photos.paths and dirty[0] / "plain.jpg" in photos.paths


def test_one_photograph_that_goes_away_is_skipped(photos, tmp_path):
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    dataset = photos_in(tmp_path)
    (tmp_path / "coffee.jpg").unlink()
    assert all(dataset[position].shape == (3, 32, 32) for position in range(6))
    assert dataset.skipped == {tmp_path / "coffee.jpg": Fault.MISSING}


def test_a_folder_of_nothing_usable_says_what_is_wrong(dirty, tmp_path):
    (tmp_path / "bad").mkdir()
    for name in ("zero.jpg", "text.jpg", "truncated.jpg"):
        (dirty[0] / name).rename(tmp_path / "bad" / name)
    with pytest.raises(UserError, match="2 damaged, or no picture of a known format, 1 empty"):
        photos_in(tmp_path / "bad")[0]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOENT])
def test_a_folder_that_comes_back_is_waited_for(dirty, monkeypatch, capsys, number):
    folder, pauses = dirty[0], []
    expected = photos_in(folder)[0]
    photos = photos_in(folder)

    def fails(*_: object, **__: object):
        raise OSError(number, os.strerror(number))

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            broken.undo()

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("fast_nst.data.folders.open", fails, raising=False)
        broken.setattr("fast_nst.data.folders.open_photo", lambda *_: fails_to_open(number))
        broken.setattr("fast_nst.data.folders.time.sleep", sleep)
        found = photos[0]
    assert torch.equal(found, expected)
    assert pauses == list(folders.PAUSES[:3]) == sorted(pauses)
    told = capsys.readouterr().err.strip().splitlines()
    assert [line for line in told if "trying again in" in line and os.strerror(number) in line] == told[::2][:3]
    assert told[-1] == "the photographs can be read again"


def fails_to_open(number: int) -> None:
    raise folders.Unusable(Fault.UNREADABLE, OSError(number, os.strerror(number)))


class Unplug(pl.Callback):
    """Takes the folder away after the tenth step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 10 and self.folder.exists():
            self.folder.rename(self.folder.with_name("away"))


def test_a_folder_that_stays_away_ends_in_one_sentence_and_the_run_goes_on_when_it_is_back(
    photos, tiny_settings, monkeypatch, tmp_path
):
    shortened(monkeypatch)
    monkeypatch.setattr("fast_nst.data.folders.PAUSES", (0.01, 0.02))
    folder = tmp_path / "disk"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    settings = {
        **tiny_settings,
        "data": str(folder),
        "checkpoints": str(tmp_path / "runs"),
        "steps": 30,
        "preview_every": 99,
    }
    whole = train(TrainSettings(**settings, name="whole"))
    watched = {**settings["trainer"], "callbacks": [Unplug(folder)]}
    with pytest.raises(UserError) as end:
        train(TrainSettings(**{**settings, "trainer": watched, "workers": 1}, name="unplugged"))
    assert str(end.value).startswith(f"the photographs in {folder} cannot be read (No such file or directory), nor could")
    assert "last checkpoint: " in str(end.value) and "step=000010" in str(end.value) and "\n" not in str(end.value)
    assert not (tmp_path / "runs" / "unplugged" / "skipped.txt").exists()
    assert not multiprocessing.active_children(), "a process that loads photographs outlived the training"
    folder.with_name("away").rename(folder)
    resumed = train(TrainSettings(**settings, name="unplugged", resume=True))
    one, other = (read_checkpoint(run.folder.last)["state_dict"] for run in (whole, resumed))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
