import os
import signal
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from fast_nst.errors import Stopped, UserError
from fast_nst.imaging.film_writer import Film
from fast_nst.imaging.hdr import HLG, PQ, to_standard_range
from fast_nst.imaging.video import open_film, read_film, redraw_film, upright


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


CORNERS = np.zeros((48, 64, 3), np.uint8)  # each corner has a color of its own
CORNERS[:24, :32], CORNERS[:24, 32:], CORNERS[24:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def with_matrix(path, matrix):
    """A film of CORNERS whose track header holds ``matrix``: a, b, c, d as 16.16 fixed point."""
    with Film(path) as film:
        for _ in range(3):
            film.add(CORNERS)
    data = path.read_bytes()
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536).to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data[:place] + a + b + bytes(4) + c + d + data[place + 20 :])
    return path


MOVES = {
    (1, 0, 0, 1): lambda pixels: pixels,
    (0, 1, -1, 0): lambda pixels: np.rot90(pixels, -1),
    (-1, 0, 0, -1): lambda pixels: np.rot90(pixels, 2),
    (0, -1, 1, 0): lambda pixels: np.rot90(pixels, 1),
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda pixels: pixels.swapaxes(0, 1),
    (0, -1, -1, 0): lambda pixels: np.rot90(pixels.swapaxes(0, 1), 2),
    (0, 0, 0, 0): lambda pixels: pixels,
    (0.99, 0.1, -0.1, 0.99): lambda pixels: pixels,
}


@pytest.mark.parametrize("matrix", MOVES)
def test_pictures_are_turned_and_mirrored_as_players_show_them(tmp_path, matrix):
    source, expected = with_matrix(tmp_path / "a.mp4", matrix), MOVES[matrix](CORNERS)
    seen = []
    redraw_film(source, tmp_path / "b.mp4", lambda pixels: [seen.append(pixels), pixels][1])
    for found in (seen[0], pictures(tmp_path / "b.mp4")[0][1]):
        assert found.shape == expected.shape
        assert np.median(np.abs(found.astype(int) - expected)) <= 12
        for y, x in ((5, 5), (5, -5), (-5, 5), (-5, -5)):
            np.testing.assert_allclose(found[y, x], expected[y, x], atol=40)


def squeezed(path, aspect):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        for _ in range(3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(CORNERS, format="rgb24")))
        container.mux(video.encode())
    return path


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(3, 2), (48, 96, 3)), (Fraction(1, 2), (96, 64, 3))])
def test_pixels_that_are_no_squares_become_squares(tmp_path, aspect, shape):
    redraw_film(squeezed(tmp_path / "a.mp4", aspect), tmp_path / "b.mp4", negative)
    assert pictures(tmp_path / "b.mp4")[0][1].shape == shape
    with open_film(tmp_path / "b.mp4") as made:
        assert made.streams.video[0].sample_aspect_ratio in (None, 0, 1)


def test_a_size_that_changes_in_the_middle_is_resized_and_not_cut(tmp_path):
    for name, size in (("a", (48, 64)), ("b", (96, 128))):
        film(tmp_path / f"{name}.mts", size=size, count=4, sound=False)
    joined = tmp_path / "c.mts"
    joined.write_bytes((tmp_path / "a.mts").read_bytes() + (tmp_path / "b.mts").read_bytes())
    seen = []
    count = redraw_film(joined, tmp_path / "c.mkv", lambda pixels: [seen.append(pixels.shape[:2]), pixels][1])
    assert count == len(seen) == 8 and {(48, 64), (96, 128)} == set(seen)
    assert {pixels.shape for _, pixels in pictures(tmp_path / "c.mkv")} == {(48, 64, 3)}
    with pytest.raises(UserError, match="pictures of 128x96; allow them"):
        redraw_film(joined, tmp_path / "d.mkv", negative, max_pixels=48 * 64)
    assert not (tmp_path / "d.mkv").exists()


def test_what_can_be_decoded_of_a_damaged_film_is_kept_and_told(tmp_path, capsys):
    with Film(tmp_path / "a.mkv") as whole:
        noise = np.random.default_rng(0)
        for _ in range(30):
            whole.add(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) // 2])
    assert 3 < redraw_film(tmp_path / "b.mkv", tmp_path / "c.mkv", negative) < 30
    assert len(pictures(tmp_path / "c.mkv")) > 3


def two_tracks(path):
    """A film with a sound track in AAC, and one of a codec that nobody knows."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        hums = [container.add_stream(codec, rate=44100) for codec in ("aac", "pcm_s16le")]
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(CORNERS, format="rgb24")))
        container.mux(video.encode())
        for hum in hums:
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 8820), np.int16), format="s16", layout="mono")
            noise.sample_rate = 44100
            container.mux(hum.encode(noise))
            container.mux(hum.encode())
    data = path.read_bytes()
    assert b"A_PCM/INT/LIT" in data
    path.write_bytes(data.replace(b"A_PCM/INT/LIT", b"A_ODD/INT/LIT"))
    return path


def test_a_sound_track_that_cannot_be_copied_is_named_and_left_out(tmp_path, capsys):
    assert redraw_film(two_tracks(tmp_path / "a.mkv"), tmp_path / "b.mkv", negative) == 5
    assert "sound track 2 (unknown codec) cannot be copied" in capsys.readouterr().err
    with open_film(tmp_path / "b.mkv") as made:
        assert [sound.codec_context.name for sound in made.streams.audio] == ["aac"]
    assert redraw_film(film(tmp_path / "c.mp4"), tmp_path / "c.webm", negative) == 6
    assert "sound track 1 (aac) cannot be copied: .webm does not hold it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suffix", "form", "codec"), [(".3gp", "3gp", "mpeg4"), (".mts", "mpegts", "libx264"), (".wmv", "asf", "wmv2")]
)
def test_films_of_telephones_camcorders_and_windows_are_read(tmp_path, suffix, form, codec):
    with av.open(str(tmp_path / f"a{suffix}"), "w", format=form) as container:
        video = container.add_stream(codec, rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        for _ in range(4):
            container.mux(video.encode(av.VideoFrame.from_ndarray(CORNERS, format="rgb24")))
        container.mux(video.encode())
    assert redraw_film(tmp_path / f"a{suffix}", tmp_path / "b.mp4", negative) == 4


@pytest.mark.parametrize("suffix", [".webm", ".gif", ".mov", ".m4v"])
def test_a_film_becomes_one_of_another_kind_with_its_times(tmp_path, suffix):
    source = film(tmp_path / "a.mkv", sound=False, times=[0, 40, 100, 140, 300, 320])
    assert redraw_film(source, tmp_path / f"b{suffix}", negative) == 6
    found = pictures(tmp_path / f"b{suffix}")
    assert [time for time, _ in found] == pytest.approx([0, 0.04, 0.1, 0.14, 0.3, 0.32], abs=0.011)
    expected = [255 - pixels.mean() for _, pixels in pictures(source)]
    assert [pixels.mean() for _, pixels in found] == pytest.approx(expected, abs=20 if suffix == ".gif" else 5)


def test_a_gif_becomes_a_film_with_its_times(tmp_path):
    frames = [Image.new("RGB", (64, 48), (60 * index,) * 3) for index in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[100, 300, 50, 100])
    assert redraw_film(tmp_path / "a.gif", tmp_path / "b.mp4", negative) == 4
    found = pictures(tmp_path / "b.mp4")
    assert [time for time, _ in found] == pytest.approx([0, 0.1, 0.4, 0.45], abs=0.011)
    assert [pixels.mean() for _, pixels in found] == pytest.approx([255, 195, 135, 75], abs=6)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile secret.mp4\n", "#EXTM3U\n#EXTINF:1,\nsecret.mp4\n"])
def test_a_text_that_names_another_film_reads_none(tmp_path, text):
    film(tmp_path / "secret.mp4")
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(UserError, match="cannot read"):
        redraw_film(tmp_path / "a.mp4", tmp_path / "b.mp4", negative)
    with pytest.raises(UserError, match="cannot read"):
        next(read_film(tmp_path / "a.mp4"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_a_film_leaves_nothing_behind(tmp_path, number):
    source = film(tmp_path / "a.mp4")

    def stopped(pixels):
        os.kill(os.getpid(), number)
        return pixels

    with pytest.raises(Stopped):
        redraw_film(source, tmp_path / "b.mp4", stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def pq(light):
    """The PQ signal of light in cd/m2, as ST 2084 writes it."""
    share = (light / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * share) / (1 + 2392 / 128 * share)) ** (2523 / 32)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_becomes_standard_range_in_order_and_grays_stay_gray(transfer):
    levels = np.linspace(0, 65535, 50).astype(np.uint16)
    found = to_standard_range(np.repeat(levels[None, :, None], 3, -1), transfer)[0]
    assert np.ptp(found.astype(int), axis=-1).max() <= 1
    assert (np.diff(found[:, 0].astype(int)) >= 0).all() and found[0, 0] == 0 and found[-1, 0] >= 250


def test_light_below_the_knee_is_shown_as_it_is():
    signals = np.array([pq(share * 203) for share in (0.02, 0.1, 0.5)])
    found = to_standard_range(np.repeat(np.rint(signals * 65535).astype(np.uint16)[None, :, None], 3, -1), PQ)[0, :, 0]
    np.testing.assert_allclose(found, 255 * np.array([0.02, 0.1, 0.5]) ** (1 / 2.4), atol=1.5)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_film_of_high_dynamic_range_says_standard_range_and_is(tmp_path, transfer):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p10le"
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 0x8000, np.uint16), format="rgb48le")
        picture = picture.reformat(format="yuv420p10le", dst_colorspace=9)
        picture.color_primaries, picture.color_trc = 9, transfer
        container.mux(video.encode(picture))
        container.mux(video.encode())
    redraw_film(tmp_path / "a.mkv", tmp_path / "b.mp4", lambda pixels: pixels)
    with open_film(tmp_path / "b.mp4") as made:
        frame = next(made.decode(video=0))
        assert (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)) == (1, 1, 1)
        expected = to_standard_range(np.full((1, 1, 3), 0x8000, np.uint16), transfer).mean()
        assert upright(frame).mean() == pytest.approx(expected, abs=6)
