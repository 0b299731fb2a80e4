import builtins
import itertools

import av
import numpy as np
import pytest

from fast_nst.errors import DiskFull, UserError
from fast_nst.imaging.film_writer import ENCODERS, Film
from fast_nst.imaging.video import read_film


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
    with Film(tmp_path / "a.mp4", (32, 48)) as film:
        for level in (20, 60, 100):
            film.add(frame(level))
    with Film(tmp_path / "a.mp4", (32, 48)) as film:
        for pixels in itertools.islice(read_film(tmp_path / "a.mp4"), 2):
            film.add(pixels)
        film.add(frame(200))
    assert [one.mean() for one in read_film(tmp_path / "a.mp4")] == pytest.approx([20, 60, 200], abs=6)


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_film_keeps_its_pictures_if_asked_to_and_leaves_nothing_else(tmp_path, keep):
    with pytest.raises(KeyboardInterrupt), Film(tmp_path / "a.mp4", (32, 48), keep_partial=keep) as film:
        film.add(frame(100))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"] * keep
    assert not keep or len(list(read_film(tmp_path / "a.mp4"))) == 1


@pytest.mark.parametrize("suffix", sorted(ENCODERS))
@pytest.mark.parametrize("live", [False, True])
def test_a_full_disk_in_a_film_leaves_nothing_and_blames_the_disk(tmp_path, suffix, live, small_files):
    noise = np.random.default_rng(0)
    with (
        small_files(),
        pytest.raises(DiskFull, match=rf"cannot write .*a\{suffix}.*make room"),
        Film(tmp_path / f"a{suffix}", live=live) as film,
    ):
        for _ in range(12):
            film.add(noise.integers(0, 256, (96, 128, 3), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", sorted(ENCODERS))
def test_every_kind_of_film_returns_its_pictures(tmp_path, suffix):
    with Film(tmp_path / f"a{suffix}", rate=10) as film:
        for level in (20, 120, 220):
            film.add(frame(level, (48, 64)))
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        found = [one.to_ndarray(format="rgb24").mean() for one in container.decode(video=0)]
    assert found == pytest.approx([20, 120, 220], abs=20 if suffix == ".gif" else 6)


def test_smaller_pictures_are_enlarged(tmp_path):
    with Film(tmp_path / "a.mp4", (32, 48)) as film:
        film.add(frame(50, (16, 24)))
    assert next(read_film(tmp_path / "a.mp4")).shape == (32, 48, 3)


def test_what_cannot_become_a_film_is_said(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="ends in one of .avi"):
        Film(tmp_path / "a.ogv", (32, 48))
    real = builtins.__import__

    def without_av(name, *rest):
        if name == "av":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(UserError, match="pip install"):
        Film(tmp_path / "a.mp4", (32, 48))
