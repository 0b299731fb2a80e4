import builtins

import numpy as np
import pytest

from fast_nst.errors import UserError
from fast_nst.imaging.video import Film, read_film


def frame(level: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def test_a_film_returns_the_pictures_it_was_given(tmp_path):
    with Film(tmp_path / "a.mp4", (33, 49)) as film:
        for level in (20, 120, 220):
            film.add(frame(level, (33, 49)))
        assert not (tmp_path / "a.mp4").exists()
    found = list(read_film(tmp_path / "a.mp4"))
    assert [one.shape for one in found] == [(32, 48, 3)] * 3
    assert [one.mean() for one in found] == pytest.approx([20, 120, 220], abs=6)


def test_a_film_can_go_on(tmp_path):
    for levels in ((20, 60, 100), (200,)):
        with Film(tmp_path / "a.mp4", (32, 48), keep=2) as film:
            for level in levels:
                film.add(frame(level))
    assert [one.mean() for one in read_film(tmp_path / "a.mp4")] == pytest.approx([20, 60, 200], abs=6)


def test_an_interrupted_film_keeps_its_pictures(tmp_path):
    with pytest.raises(KeyboardInterrupt), Film(tmp_path / "a.mp4", (32, 48)) as film:
        film.add(frame(100))
        raise KeyboardInterrupt
    assert len(list(read_film(tmp_path / "a.mp4"))) == 1


def test_smaller_pictures_are_enlarged(tmp_path):
    with Film(tmp_path / "a.mp4", (32, 48)) as film:
        film.add(frame(50, (16, 24)))
    assert next(read_film(tmp_path / "a.mp4")).shape == (32, 48, 3)


def test_what_cannot_become_a_film_is_said(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="ends in one of .mkv .mov .mp4"):
        Film(tmp_path / "a.gif", (32, 48))
    real = builtins.__import__

    def without_av(name, *rest):
        if name == "av":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(UserError, match="pip install"):
        Film(tmp_path / "a.mp4", (32, 48))
