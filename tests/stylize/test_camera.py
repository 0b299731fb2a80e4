import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import av
import numpy as np
import pytest

from fast_nst.cli.main import main
from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.film_writer import Film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize import camera
from fast_nst.stylize.camera import Seen, draw_camera
from fast_nst.stylize.run import stylize_files

SIDE = 64  # of the pictures
LEVELS = (20, 60, 100, 140, 180, 220)


@pytest.fixture
def device(tmp_path) -> str:
    """A film that stands in for a camera; each of its pictures has a level of its own."""
    with Film(tmp_path / "device.mkv", (48, 64)) as film:
        for level in LEVELS:
            film.add(np.full((48, 64, 3), level, np.uint8))
    return str(tmp_path / "device.mkv")


@pytest.fixture
def without_trial(monkeypatch):
    """The size is known, so that each call of ``draw`` is for a picture."""
    monkeypatch.setattr(camera, "fast_side", lambda draw, pixels: SIDE)


@pytest.fixture
def paced(monkeypatch, without_trial):
    """Let the camera wait with a picture until the one before is drawn."""
    drawn = threading.Semaphore(1)
    honest = camera._LatestFrame._put

    def put(self, frame):
        while not drawn.acquire(timeout=0.05):
            if self._ended:
                return
        honest(self, frame)

    monkeypatch.setattr(camera._LatestFrame, "_put", put)
    return drawn.release


def pictures(path: Path) -> list[tuple[int, np.ndarray]]:
    """The pictures of a film with their places."""
    with av.open(str(path)) as container:
        return [(round((frame.time or 0) * 30), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", camera.LIVE_FILMS)
def test_every_picture_in_time_is_drawn_into_the_film(device, paced, tmp_path, suffix, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(camera, "time", types.SimpleNamespace(monotonic=lambda: next(seconds) / 15))
    seen = draw_camera(device, lambda pixels: [255 - pixels, paced()][0], tmp_path / f"live{suffix}")
    assert seen == Seen(6, 0)
    found = pictures(tmp_path / f"live{suffix}")
    means = [picture.mean() for place, picture in found]
    assert means[:: len(means) // 6] == pytest.approx([255 - level for level in LEVELS], abs=6)
    if suffix in (".mp4", ".mkv", ".mov"):
        assert {later - earlier for (earlier, _), (later, _) in zip(found, found[1:], strict=False)} == {2}


def test_late_pictures_are_passed_over_and_the_newest_is_drawn(device, without_trial, tmp_path, monkeypatch):
    levels, read = [], threading.Event()
    honest = camera._LatestFrame._read
    monkeypatch.setattr(camera._LatestFrame, "_read", lambda self, given: [honest(self, given), read.set()])

    def slow(pixels):
        assert read.wait(5)  # all others come while the first is drawn
        levels.append(int(pixels.mean()))
        return pixels

    seen = draw_camera(device, slow, tmp_path / "live.avi")
    assert seen.drawn + seen.passed_over == 6 and seen.drawn <= 2
    assert levels[-1] == pytest.approx(LEVELS[-1], abs=4)


def test_a_long_side_bounds_the_pictures(device, paced, tmp_path):
    sizes = set()
    draw_camera(device, lambda pixels: [pixels, sizes.add(pixels.shape), paced()][0], tmp_path / "live.mp4", 32)
    assert sizes == {(24, 32, 3)} and pictures(tmp_path / "live.mp4")[0][1].shape == (24, 32, 3)


class Painter:
    """Draws pictures unchanged, in ``seconds`` for each megapixel by a clock of its own."""

    def __init__(self, monkeypatch, seconds: float) -> None:
        self.now, self.seconds, self.shapes = 0.0, seconds, []
        clock = types.SimpleNamespace(perf_counter=lambda: self.now, monotonic=lambda: self.now)
        monkeypatch.setattr(camera, "time", clock)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.shapes.append(pixels.shape)
        self.now += self.seconds * pixels.shape[0] * pixels.shape[1] / 1e6
        return pixels


@pytest.mark.parametrize(
    ("seconds", "side"),
    [(0.8 / 15 / (0.48 * 0.36), 480), (0.8 / 15 / (0.64 * 0.48), 640), (0.01, 800), (1e9, 160)],
)
def test_the_size_is_chosen_so_that_a_picture_takes_four_fifths_of_a_fifteenth_of_a_second(monkeypatch, seconds, side):
    painter = Painter(monkeypatch, seconds * 1.0001)
    found = camera.fast_side(painter, np.zeros((600, 800, 3), np.uint8))
    assert found in (side, side - camera.LONG_SIDE_STEP)
    assert set(painter.shapes) == {(240, 320, 3)}
    painter(np.zeros((found * 3 // 4, found, 3), np.uint8))
    assert side in (160, 800) or 0.7 / 15 < painter.seconds * 0.75 * found**2 / 1e6 <= 0.8 / 15


def test_a_camera_without_a_size_draws_at_the_chosen_one_and_says_so(device, tmp_path, monkeypatch, capsys):
    painter = Painter(monkeypatch, 0.0)
    monkeypatch.setattr(camera, "LONG_SIDES", (16, 32))
    seen = draw_camera(device, painter, tmp_path / "live.avi")
    assert painter.shapes[: camera.TRIALS + 1] == [(48, 64, 3)] * 4  # the trial is at the camera's own size, as it is small
    assert set(painter.shapes[camera.TRIALS + 1 :]) == {(24, 32, 3)} and seen.drawn == len(painter.shapes) - 4
    assert seen.drawn + seen.passed_over == len(LEVELS)
    assert "32 pixels on the longer side, for 15 pictures a second; --size" in capsys.readouterr().err


def test_what_came_during_the_trial_is_drawn_before_what_came_earlier(device, tmp_path, monkeypatch):
    levels, read = [], threading.Event()
    honest = camera._LatestFrame._read
    monkeypatch.setattr(camera._LatestFrame, "_read", lambda self, given: [honest(self, given), read.set()])
    monkeypatch.setattr(camera, "fast_side", lambda draw, pixels: SIDE if read.wait(5) else 0)
    seen = draw_camera(device, lambda pixels: [pixels, levels.append(int(pixels.mean()))][0], tmp_path / "live.avi")
    assert seen == Seen(1, 5) and levels == [pytest.approx(LEVELS[-1], abs=4)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_ctrl_c_ends_the_film_well(device, paced, tmp_path, number):
    drawn, before = [], signal.getsignal(signal.SIGINT)

    def draw(pixels):
        drawn.append(pixels)
        signal.raise_signal(number) if len(drawn) == 3 else None
        paced()
        return pixels

    assert draw_camera(device, draw, tmp_path / "live.mp4").drawn == 3
    assert 1 <= len(pictures(tmp_path / "live.mp4")) <= 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_camera_that_fails_on_the_way_leaves_what_was_drawn(device, paced, tmp_path, monkeypatch):
    honest, count = camera._LatestFrame._put, []

    def failing(self, frame):
        count.append(1)
        if len(count) == 4:
            raise av.error.ExternalError(-1, "unplugged")
        honest(self, frame)

    monkeypatch.setattr(camera._LatestFrame, "_put", failing)
    with pytest.raises(PartlyDone, match="camera .* stopped after 3 pictures: unplugged; they are kept"):
        draw_camera(device, lambda pixels: [pixels, paced()][0], tmp_path / "live.avi")
    assert pictures(tmp_path / "live.avi")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"camera": "no such device", "output": "live.mp4"}, "no camera no such device can be opened here"),
        ({"camera": "0", "output": "live.png"}, "no ending of a camera's film; choose one of .mjpeg"),
        ({"camera": "0", "output": "there.mp4"}, "exists; choose another --output"),
        ({"camera": "0", "inputs": ["a.jpg"]}, "--camera takes no photographs beside it, got a.jpg"),
        ({}, "no pictures named; give photographs"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(negative, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    Path("there.mp4").write_bytes(b"mine")
    with pytest.raises(UserError, match=message) as caught:
        stylize_files(StylizeSettings(**{"inputs": [], "style": "negative", "stabilize": 0.0} | settings), negative)
    assert "\n" not in str(caught.value)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("there.mp4", b"mine")]


@pytest.mark.parametrize(("suffix", "words"), [(".wav", "damaged or no film"), (".mkv", "holds no pictures")])
def test_a_sound_is_no_camera(tmp_path, suffix, words):
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        hum = container.add_stream("pcm_s16le", rate=8000)
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        noise.sample_rate = 8000
        container.mux(hum.encode(noise))
    with pytest.raises(UserError, match=words):
        draw_camera(str(tmp_path / f"a{suffix}"), lambda pixels: pixels, tmp_path / "live.mp4")
    assert not (tmp_path / "live.mp4").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a display cannot be taken away there")
def test_a_window_without_a_display_is_one_sentence(device, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(UserError, match="give --output live.mp4"):
        draw_camera(device, lambda pixels: pixels)


def test_a_window_shows_pictures_until_it_is_closed(device, paced, monkeypatch):
    shown, root, close = [], types.SimpleNamespace(title=len, destroy=lambda: shown.append("destroyed")), []
    root.protocol = lambda name, closing: close.append(closing)
    root.update = lambda: [close[0]() if len(shown) == 2 else None, paced()]
    label = types.SimpleNamespace(pack=lambda: None, configure=lambda image: shown.append(image))
    fake = types.SimpleNamespace(Tk=lambda: root, Label=lambda _: label, TclError=OSError)
    monkeypatch.setitem(sys.modules, "tkinter", fake)
    monkeypatch.setitem(sys.modules, "PIL.ImageTk", types.SimpleNamespace(PhotoImage=lambda image: image.size))
    monkeypatch.setattr("PIL.ImageTk", sys.modules["PIL.ImageTk"], raising=False)
    assert draw_camera(device, lambda pixels: pixels).drawn == 2
    assert shown == [(64, 48), (64, 48), "destroyed"]


def test_the_command_draws_a_camera_and_says_where_the_film_is(device, negative, tmp_path, capsys):
    arguments = ["--camera", device, "--style", str(negative.parts[0].path), "--stabilize", "0"]
    main(["stylize", *arguments, "--output", str(tmp_path / "live.avi")])
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "live.avi") and "passed over for newer ones" in printed.err
    found = pictures(tmp_path / "live.avi")[0][1].mean()
    assert any(found == pytest.approx(255 - level, abs=6) for level in LEVELS)


def test_a_camera_needs_no_torch():
    code = "import fast_nst.stylize.camera, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
