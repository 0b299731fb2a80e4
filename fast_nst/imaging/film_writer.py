"""A film written picture by picture (PyAV): H.264, VP9, MJPEG or GIF by the suffix of its name.

MPEG-4 takes the place of an encoder that PyAV's build lacks. Films have even sides, which the encoders need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.images import RESAMPLING
from fast_nst.system.files import atomic_path

if TYPE_CHECKING:
    import av

YUV, YUV_FULL, PALETTE = "yuv420p", "yuvj420p", "rgb8"
FULL_RANGE = 2


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg with its options, and those that keep up with a camera."""

    name: str
    options: dict[str, str]
    live: dict[str, str]
    pixels: str = YUV


H264 = Encoder("libx264", {"crf": "18"}, {"preset": "veryfast", "crf": "20"})
VP9 = Encoder("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"}, {"deadline": "realtime", "b": "4M"})
MJPEG = Encoder("mjpeg", {"qmin": "2", "qmax": "4"}, {"qmin": "2", "qmax": "4"}, YUV_FULL)
GIF = Encoder("gif", {}, {}, PALETTE)
MPEG4 = Encoder("mpeg4", {"q": "3"}, {"q": "3"})
ENCODERS = {
    ".mp4": H264,
    ".mkv": H264,
    ".mov": H264,
    ".m4v": H264,
    ".webm": VP9,
    ".gif": GIF,
    ".avi": MJPEG,
    ".mjpeg": MJPEG,
}
FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".m4v": "mp4", ".webm": "webm", ".gif": "gif", ".avi": "avi"}
FORMATS |= {".mjpeg": "mjpeg"}  # muxers


@dataclass(frozen=True)
class Colors:
    """Color space of a film's pictures, in FFmpeg's codes; 2 is unspecified."""

    matrix: int = 2
    range: int = 0
    primaries: int = 2
    transfer: int = 2


class Film:
    """Video writer (context manager): the file appears when the block ends without error.

    Args:
        path: the file to write; its suffix chooses encoder and container.
        size: (height, width), rounded down to even numbers; None is that of the first picture. Others are resized to it.
        rate: pictures a second.
        time_base: seconds of one unit of the times given to ``add``; None is 1 / ``rate``.
        colors: how the pictures are to be stored; None leaves it to the players.
        sounds: tracks that are copied, see ``add_sound``.
        live: encode as fast as a camera gives pictures.
        keep_partial: the file appears also when the block ends with an error.

    Attributes:
        left_out: a clause for each track of ``sounds`` that the container cannot hold.
    Raises:
        UserError: no PyAV, or a suffix that is no film's.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int] | None = None,
        rate: Fraction | int = 25,
        *,
        time_base: Fraction | None = None,
        colors: Colors | None = None,
        sounds: Sequence[av.AudioStream] = (),
        live: bool = False,
        keep_partial: bool = False,
    ) -> None:
        check_film(path)
        self.path, self.size, self.rate, self.time_base = Path(path), size, rate, time_base or 1 / Fraction(rate)
        self.colors, self.sounds, self.live, self.keep_partial = colors or Colors(), sounds, live, keep_partial
        self.left_out: list[str] = []
        self._stream: av.VideoStream | None = None
        self._last, self._next, self._shift = -(2**62), 0, 0  # times of the last picture and of one that is given none

    def __enter__(self) -> Film:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = _File(stack.enter_context(open(temporary, "w+b", buffering=0)))
            stack.callback(self._file.check)
            form = FORMATS[self.path.suffix.lower()]
            self._container = stack.enter_context(load_av().open(self._file, "w", format=form))
            if self.size is not None:
                self._stream = self._new_stream(*self.size)
            self._tracks = {sound.index: track for sound in self.sounds if (track := self._track(sound)) is not None}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not self.keep_partial:
            with _whatever_closing_raises(error):
                self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._stream is not None:
                self._container.mux(self._stream.encode())

    def add(self, pixels: np.ndarray, time: int | None = None) -> None:
        """Append a picture, uint8 RGB (H, W, 3), that is shown from ``time`` on (none: one ``rate`` after the last)."""
        if self._stream is None:
            self._stream = self._new_stream(*(self.size or pixels.shape[:2]))
        stream, time = self._stream, self._later(time)
        if pixels.shape[:2] != (stream.height, stream.width):
            pixels = _fitted(pixels, stream.height, stream.width)
        frame = load_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        if stream.pix_fmt != PALETTE:
            matrix = None if self.colors.matrix in (0, 2) else self.colors.matrix
            frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=matrix, dst_color_range=self.colors.range or None)
        else:
            frame = frame.reformat(format=PALETTE)
        frame.pts, frame.time_base = time, self.time_base
        self._container.mux(stream.encode(frame))
        self._file.check()

    def _later(self, time: int | None) -> int:
        """``time``, moved from where times begin anew, as in films that were put together."""
        time = self._next if time is None else time + self._shift
        if time <= self._last:
            self._shift, time = self._shift + self._next - time, self._next
        self._last, self._next = time, time + max(1, round(1 / (self.rate * self.time_base)))
        return time

    def add_sound(self, packet: av.Packet) -> None:
        """Append a packet of one of ``sounds``, as it is."""
        track = self._tracks.get(packet.stream.index)
        if track is not None and packet.dts is not None:  # the last packet of a stream is empty
            packet.stream = track
            self._container.mux(packet)

    def _track(self, sound: av.AudioStream) -> av.AudioStream | None:
        codec = None if sound.codec_context is None else sound.codec_context.name
        try:
            if codec is None or codec not in self._container.supported_codecs:
                raise ValueError(f"{self.path.suffix} does not hold it")
            return self._container.add_stream_from_template(sound)
        except (ValueError, load_av().FFmpegError) as error:
            self.left_out.append(f"sound track {sound.index} ({codec or 'unknown codec'}) cannot be copied: {error}")
            return None

    def _new_stream(self, height: int, width: int) -> av.VideoStream:
        encoder = ENCODERS[self.path.suffix.lower()]
        encoder = encoder if encoder.name in load_av().codecs_available else MPEG4
        stream = self._container.add_stream(
            encoder.name, rate=self.rate, options=dict(encoder.live if self.live else encoder.options)
        )
        stream.width, stream.height = max(2, width - width % 2), max(2, height - height % 2)
        full = self.colors.range == FULL_RANGE and encoder.pixels == YUV
        stream.pix_fmt = YUV_FULL if full else encoder.pixels
        context: Any = stream.codec_context
        context.time_base = Fraction(1, 100) if encoder is GIF else self.time_base
        if encoder.pixels != PALETTE:
            context.color_range, context.colorspace = self.colors.range, self.colors.matrix or 2
            context.color_primaries, context.color_trc = self.colors.primaries, self.colors.transfer
        return stream


class _File:
    """A file for FFmpeg, which keeps the first error of writing for ``check``: PyAV would print and lose it in places."""

    def __init__(self, file: RawIOBase) -> None:
        self.file = file
        self.error: OSError | None = None
        self.tell = file.tell

    def write(self, content: bytes) -> int:
        rest = memoryview(content)
        try:
            while rest and self.error is None:
                rest = rest[self.file.write(rest) :]  # the system may take a part of it
        except OSError as error:
            self.error = error
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def check(self) -> None:
        """Raise the first error of writing, if there was one."""
        if self.error is not None:
            raise self.error


def check_film(path: str | Path) -> None:
    """Raise a UserError where no film can be written to ``path`` by its suffix, or PyAV is absent."""
    if Path(path).suffix.lower() not in ENCODERS:
        raise UserError(
            f"cannot write a film to {escape_name(path)}: choose a name that ends in one of {' '.join(sorted(ENCODERS))}"
        )
    load_av()


def load_av() -> Any:
    """PyAV, or a UserError that tells how to get it."""
    try:
        import av
    except ImportError as error:
        raise UserError("a film or a camera needs PyAV: pip install 'fast_nst[video]'") from error
    return av


def _fitted(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """``pixels`` cut by an odd row or column, or resized where they have another size."""
    if 0 <= pixels.shape[0] - height <= 1 and 0 <= pixels.shape[1] - width <= 1:
        return pixels[:height, :width]
    return np.asarray(Image.fromarray(pixels).resize((width, height), RESAMPLING))


@contextmanager
def _whatever_closing_raises(error: BaseException) -> Iterator[None]:
    """The block closes what ``error`` broke: a second error, of closing, does not hide it."""
    try:
        yield
    except Exception as second:
        if second is error or isinstance(second, UserError) and isinstance(error, OSError):
            raise
