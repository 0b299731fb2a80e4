from fractions import Fraction

import av
import numpy as np
import pytest

from fast_nst.errors import UserError
from fast_nst.imaging.video import redraw_film


def film(path, size=(48, 64), count=6, sound=True, full_range=False, times=None):
    """A film of grey pictures, each lighter than the one before, with a hum."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(30000, 1001), options={"crf": "5"})
        video.height, video.width = size
        video.pix_fmt = "yuvj420p" if full_range else "yuv420p"
        if times:
            video.codec_context.time_base = Fraction(1, 1000)
        hum = container.add_stream("aac", rate=44100) if sound else None
        for index in range(count):
            picture = av.VideoFrame.from_ndarray(np.full((*size, 3), 40 + 20 * index, np.uint8), format="rgb24")
            picture = picture.reformat(format=video.pix_fmt, dst_color_range=2 if full_range else 1)
            if times:
                picture.pts, picture.time_base = times[index], Fraction(1, 1000)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if hum:
            wave = (np.sin(np.arange(8820) / 20) * 9000).astype(np.int16)[None]
            noise = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            noise.sample_rate = 44100
            container.mux(hum.encode(noise))
            container.mux(hum.encode())
    return path


def pictures(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def sound(path):
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0))


def negative(pixels):
    return 255 - pixels


def test_every_picture_is_drawn_and_the_rest_stays(tmp_path):
    source = film(tmp_path / "a.mp4")
    assert redraw_film(source, tmp_path / "b.mp4", negative) == 6
    old, new = pictures(source), pictures(tmp_path / "b.mp4")
    assert [time for time, _ in new] == pytest.approx([time for time, _ in old])
    for (_, one), (_, other) in zip(old, new, strict=True):
        np.testing.assert_allclose(other.mean((0, 1)), 255 - one.mean((0, 1)), atol=4)
    assert sound(tmp_path / "b.mp4") == sound(source)
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mp4")) as other:
        assert other.streams.video[0].average_rate == one.streams.video[0].average_rate


def test_uneven_times_stay(tmp_path):
    source = film(tmp_path / "a.mkv", times=[0, 40, 100, 140, 300, 320])
    redraw_film(source, tmp_path / "b.mkv", negative)
    assert [time for time, _ in pictures(tmp_path / "b.mkv")] == pytest.approx([0, 0.04, 0.1, 0.14, 0.3, 0.32], abs=2e-3)


def test_full_range_colours_stay_full(tmp_path):
    source = film(tmp_path / "a.mp4", full_range=True)
    redraw_film(source, tmp_path / "b.mp4", lambda pixels: pixels)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert next(container.decode(video=0)).color_range == 2
    for (_, one), (_, other) in zip(pictures(source), pictures(tmp_path / "b.mp4"), strict=True):
        np.testing.assert_allclose(other.mean(), one.mean(), atol=2)


def test_a_film_held_sideways_is_turned(tmp_path):
    data = film(tmp_path / "a.mp4", sound=False).read_bytes()
    place = data.index(b"tkhd") + 4 + 40  # the matrix of the track header
    one, zero = (65536).to_bytes(4, "big"), bytes(4)
    turned = zero + one + zero + (2**32 - 65536).to_bytes(4, "big") + zero * 2
    (tmp_path / "a.mp4").write_bytes(data[:place] + turned + data[place + 24 :])
    seen = []

    def draw(pixels):
        seen.append(pixels.shape)
        return pixels

    redraw_film(tmp_path / "a.mp4", tmp_path / "b.mp4", draw)
    assert set(seen) == {(64, 48, 3)}
    assert pictures(tmp_path / "b.mp4")[0][1].shape == (64, 48, 3)


def test_odd_sides_are_cut_and_a_long_side_reduced(tmp_path):
    source = film(tmp_path / "a.mkv", size=(48, 80), sound=False)
    redraw_film(source, tmp_path / "b.mkv", negative, long_side=55)
    assert pictures(tmp_path / "b.mkv")[0][1].shape == (32, 54, 3)


@pytest.mark.parametrize("content", [b"", b"no film", b"\0\0\0\x20ftypisom" + b"\0" * 64])
def test_what_is_no_film_is_one_sentence_and_leaves_nothing(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mp4"):
        redraw_film(tmp_path / "a.mp4", tmp_path / "b.mp4", negative)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_film_that_fails_half_way_leaves_nothing(tmp_path):
    source = film(tmp_path / "a.mp4")

    def failing(pixels):
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        redraw_film(source, tmp_path / "b.mp4", failing)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_too_large_pictures_and_absent_films_are_refused(tmp_path):
    with pytest.raises(UserError, match="64x48"):
        redraw_film(film(tmp_path / "a.mp4"), tmp_path / "b.mp4", negative, max_pixels=1000)
    with pytest.raises(UserError, match="no film at"):
        redraw_film(tmp_path / "absent.mp4", tmp_path / "b.mp4", negative)
