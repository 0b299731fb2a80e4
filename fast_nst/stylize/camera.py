"""Pictures of a camera, drawn live into a film or a window (PyAV; the window is Tk's).

Live means never late: a picture that comes while another is drawn replaces the one that waits, so what is drawn next is
always the newest. Unless a size is given, pictures are reduced so far that 15 of them are drawn a second, as a trial at the
beginning says. A film has 30 places a second; a picture whose place is taken is left out.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fast_nst.errors import PartlyDone, UserError
from fast_nst.imaging.film_writer import load_av
from fast_nst.imaging.images import resize_long_side
from fast_nst.imaging.video import LIVE_FILMS, RATE, Draw, Show, live_film, open_film, upright
from fast_nst.system.files import check_writable
from fast_nst.system.signals import StopSignals

if TYPE_CHECKING:
    import av

LONG_SIDES = (160, 1280)  # pixels, the least and the most that are chosen
LONG_SIDE_STEP = 16
TRIAL_SIDE, TRIALS = 320, 3  # pixels, and pictures that are timed after a first one
PACE = 15  # pictures a second
SPARE = 0.8  # of the time for a picture that drawing it may take; the rest is for reading and showing it
SYSTEMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
PATIENCE = 0.2  # seconds between two looks at Ctrl-C while no picture comes


@dataclass(frozen=True)
class Seen:
    """Number of pictures drawn, and of those passed over because newer ones were there."""

    drawn: int
    passed_over: int


def draw_camera(device: str, draw: Draw, target: Path | None = None, long_side: int | None = None) -> Seen:
    """Draw what a camera sees until Ctrl-C, the end of its pictures, or until the window is closed.

    Args:
        device: a number, 0 for the first camera, a device's name, or a film that stands in for one.
        draw: uint8 RGB (H, W, 3) -> the same shape.
        target: the film to write, which appears at the end; None is a window.
        long_side: reduce the longer side to so many pixels; None is what ``PACE`` pictures a second allow (``fast_side``).
    Raises:
        UserError: no PyAV, camera, pictures or display, or a target that is no film.
        PartlyDone: the camera failed on the way; the pictures up to there are kept.
    """
    if target is not None:
        check_live_film(target)
    with _opened(device) as given, _window() if target is None else live_film(target) as show, StopSignals() as signals:
        print(f"drawing camera {device}; Ctrl-C ends it", file=sys.stderr)
        signals.deferred = True  # until the picture at hand is drawn; the second Ctrl-C ends at once
        latest_frame = _LatestFrame(given, long_side, lambda: signals.asked > 0)
        seen = latest_frame.drawn_with(draw, show)
        if not seen.drawn:
            raise UserError(f"camera {device} gave no pictures{latest_frame.reason}; is it free, and its cover open?")
    if latest_frame.reason:
        raise PartlyDone(f"camera {device} stopped after {seen.drawn} pictures{latest_frame.reason}; they are kept")
    return seen


def check_live_film(target: Path) -> None:
    """Raise a UserError where no film of a camera can be written to ``target``."""
    if target.suffix.lower() not in LIVE_FILMS:
        raise UserError(f"--output {target} has no ending of a camera's film; choose one of {' '.join(LIVE_FILMS)}")
    check_writable(target)


def fast_side(draw: Draw, pixels: np.ndarray) -> int:
    """The longer side at which ``draw`` takes about ``SPARE`` / ``PACE`` seconds a picture, by some trials.

    The time is taken as proportional to the pixels: side = TRIAL_SIDE * sqrt(wanted / needed), within ``LONG_SIDES`` and not
    above that of the picture.

    Args:
        pixels: a picture of the camera, uint8 RGB (H, W, 3).
    """
    small = np.asarray(resize_long_side(Image.fromarray(pixels), min(TRIAL_SIDE, max(pixels.shape))))
    draw(small)  # the first one prepares what the others find ready
    needed = statistics.median(_seconds(draw, small) for _ in range(TRIALS))
    side = max(small.shape) * math.sqrt(SPARE / PACE / max(needed, 1e-6))
    least, most = LONG_SIDES
    chosen = int(min(max(side, least), most)) // LONG_SIDE_STEP * LONG_SIDE_STEP
    return min(chosen, max(pixels.shape))


def _seconds(draw: Draw, pixels: np.ndarray) -> float:
    begin = time.perf_counter()
    draw(pixels)
    return time.perf_counter() - begin


class _LatestFrame:
    """The newest picture of a camera, which a thread reads; none is given out twice.

    Args:
        stopped: whether somebody asked for an end.

    Attributes:
        passed_over: pictures that newer ones replaced.
        reason: what made the camera fail, to be added to a sentence.
    """

    def __init__(self, given: av.container.InputContainer, long_side: int | None, stopped: Callable[[], bool]) -> None:
        self.passed_over, self.reason = 0, ""
        self._long_side, self._stopped = long_side, stopped
        self._waiting: tuple[av.VideoFrame, float] | None = None
        self._ended, self._change = False, Condition()
        self._thread = Thread(target=self._read, args=(given,), daemon=True)

    def drawn_with(self, draw: Draw, show: Show) -> Seen:
        """Draw and show picture after picture, until there are no more, or nobody wants them."""
        drawn, begin = 0, time.monotonic()
        self._thread.start()
        try:
            while (found := self._take()) is not None:
                frame, taken = found if self._long_side else self._after_trial(draw, *found)
                drawn += 1
                if not show(draw(upright(frame, self._long_side)), taken - begin):
                    break
        finally:
            self._ended = True
            self._thread.join(5)  # it ends with the next picture
        return Seen(drawn, self.passed_over)

    def _after_trial(self, draw: Draw, frame: av.VideoFrame, taken: float) -> tuple[av.VideoFrame, float]:
        """Choose the size by ``frame``; the newest picture, which may have come meanwhile, with its seconds."""
        self._long_side = fast_side(draw, upright(frame))
        side = f"{self._long_side} pixels on the longer side"
        print(f"{side}, for {PACE} pictures a second; --size chooses another size", file=sys.stderr)
        with self._change:
            newer, self._waiting = self._waiting, None
        self.passed_over += newer is not None
        return newer or (frame, taken)

    def _take(self) -> tuple[av.VideoFrame, float] | None:
        """The newest picture, with the seconds on ``time.monotonic`` at which it came; None at the end."""
        with self._change:
            while self._waiting is None and not self._ended and not self._stopped():
                self._change.wait(PATIENCE)
            found, self._waiting = self._waiting, None
            return None if self._stopped() else found

    def _read(self, given: av.container.InputContainer) -> None:
        try:
            for frame in given.decode(video=0):
                if self._ended:
                    break
                self._put(frame)
        except load_av().FFmpegError as error:
            self.reason = f": {error.strerror or error}"
        with self._change:
            self._ended = True
            self._change.notify()

    def _put(self, frame: av.VideoFrame) -> None:
        with self._change:
            self.passed_over += self._waiting is not None
            self._waiting = (frame, time.monotonic())
            self._change.notify()


@contextmanager
def _window() -> Iterator[Show]:
    """A window that shows pictures until it is closed."""
    try:
        import tkinter

        from PIL import ImageTk
    except ImportError as error:
        raise UserError("a window needs Python's tkinter (python3-tk on Debian); or give --output live.mp4") from error
    try:
        root = tkinter.Tk()
    except tkinter.TclError as error:
        raise UserError("there is no display for a window; give --output live.mp4") from error
    root.title("fast-nst")
    label: Any = tkinter.Label(root)
    closed: list[bool] = []
    label.pack()
    root.protocol("WM_DELETE_WINDOW", lambda: closed.append(True))

    def show(pixels: np.ndarray, seconds: float) -> bool:
        label.picture = ImageTk.PhotoImage(Image.fromarray(pixels))  # Tk itself keeps no hold of it
        label.configure(image=label.picture)
        root.update()
        return not closed

    try:
        yield show
    finally:
        root.destroy()


@contextmanager
def _opened(device: str) -> Iterator[av.container.InputContainer]:
    av, system = load_av(), SYSTEMS.get(sys.platform, "v4l2")
    if Path(device).is_file():
        with open_film(Path(device)) as given:
            yield given
        return
    try:
        options = {"framerate": str(RATE)} if system == "avfoundation" else {}
        given = av.open(_name(device, system), format=system, options=options)
    except (av.FFmpegError, ValueError, LookupError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"no camera {device} can be opened here: {reason}; is it plugged in, free, and allowed?") from error
    with given:
        if not given.streams.video:
            raise UserError(f"{device} gives no pictures; choose another --camera")
        yield given


def _name(device: str, system: str) -> str:
    """The system's name of a camera: number 0 is /dev/video0 on Linux, and the first of the list on Windows."""
    if system == "v4l2":
        return f"/dev/video{device}" if device.isdecimal() else device
    if system == "dshow":
        from av.device import enumerate_input_devices

        cameras = [found.description for found in enumerate_input_devices(system) if "video" in found.media_types]
        return f"video={cameras[int(device)] if device.isdecimal() else device}"
    return device
