"""The gallery: which styles it has, and thumbnails that are drawn once."""

import os
import shutil

import numpy as np
import pytest

from fast_nst.app import gallery
from fast_nst.errors import UserError
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.system.files import SHIPPED


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with one finished run and one that is not."""
    monkeypatch.setenv("FAST_NST_STYLES", str(tmp_path / "none"))
    monkeypatch.setattr(gallery, "_cache", lambda: tmp_path / "cache")
    for name in ("mine", "unfinished"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    shutil.copyfile(SHIPPED / "base.onnx", tmp_path / "runs" / "mine" / "mine.onnx")
    return tmp_path / "runs"


def test_the_gallery_has_the_styles_of_the_library_and_the_finished_runs(runs):
    assert list(gallery.entries(runs)) == [*shipped_styles(), str(runs / "mine")]
    labels = [label for label, _ in gallery.choices(runs)]
    assert len(set(labels)) == len(labels) == len(shipped_styles()) + 1


@pytest.mark.parametrize("source", ["/etc/hostname", "nowhere.onnx", "great_wav", "../mine", "", None])
def test_nothing_but_the_gallery_is_opened_as_a_style(runs, source):
    with pytest.raises(UserError):
        gallery.find_entry(source, runs)


def test_a_thumbnail_is_the_photograph_drawn_in_the_style(runs):
    entry = gallery.find_entry("great_wave", runs)
    expected = Stylizer("great_wave", stroke_size=1.0)(gallery.shown_photo())
    assert np.array_equal(gallery.thumbnail(entry), expected)


def test_a_thumbnail_is_drawn_once_and_again_when_the_model_changes(runs, monkeypatch):
    entry, drawings = gallery.find_entry(str(runs / "mine"), runs), []

    def draw(one):
        drawings.append(one.source)
        return np.zeros((20, 30, 3), np.uint8)

    monkeypatch.setattr(gallery, "_drawn", draw)
    for _ in range(3):
        assert gallery.thumbnail(entry).shape == (20, 30, 3)
    assert len(drawings) == 1
    os.utime(entry.model, (1, 1))
    gallery.thumbnail(entry)
    assert len(drawings) == 2


def test_a_damaged_model_is_gray_in_the_gallery_and_does_not_stop_the_page(runs):
    (runs / "mine" / "mine.onnx").write_bytes(b"no model")
    assert np.all(gallery.thumbnail(gallery.find_entry(str(runs / "mine"), runs)) == 128)


def test_without_a_writable_cache_thumbnails_are_drawn_all_the_same(runs, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(gallery, "_cache", lambda: tmp_path / "file" / "below")
    assert gallery.thumbnail(gallery.find_entry("great_wave", runs)).shape[1] == gallery.WIDTH
