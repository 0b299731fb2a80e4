"""Films, by PyAV: one drawn anew picture by picture, and new ones from pictures, or live from a camera's.

A film that is drawn anew keeps its sound, frame times and range of colours.

One picture is in memory at a time. A film that was held sideways is turned upright, as players show it. The result is H.264
(MPEG-4 where that encoder is absent) in the container that its name asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.imaging.images import RESAMPLING
from fast_nst.imaging.opening import MAX_PIXELS
from fast_nst.system.files import atomic_path

if TYPE_CHECKING:
    import av

FILMS = {".mp4", ".mkv", ".mov", ".m4v", ".webm", ".avi"}
WRITTEN_FILMS = {".mp4", ".mkv", ".mov", ".m4v"}
FULL_RANGE, YUV, YUV_FULL = 2, "yuv420p", "yuvj420p"
Draw = Callable[[np.ndarray], np.ndarray]

FILM_SUFFIXES = {".mp4", ".mkv", ".mov"}

RATE = 30  # places a second in a film
MJPEG, H264 = "mjpeg", "libx264"
LIVE_FILMS = {".mjpeg": MJPEG, ".avi": MJPEG, ".mp4": H264, ".mkv": H264, ".mov": H264}
OPTIONS = {MJPEG: {"qmin": "2", "qmax": "4"}, H264: {"preset": "veryfast", "crf": "20"}}
Show = Callable[[np.ndarray, float], bool]  # a picture and its seconds -> whether to go on


def is_film(path: str | Path | None) -> bool:
    """Whether ``path`` is a film's by its name."""
    return path is not None and Path(path).suffix.lower() in FILMS


def redraw_film(source: Path, target: Path, draw: Draw, long_side: int | None = None, max_pixels: int | None = None) -> int:
    """Write ``source`` with every picture drawn anew to ``target``, which appears whole or not at all.

    Args:
        draw: uint8 RGB (H, W, 3) -> the same shape; called in the order of the film.
        long_side: reduce the longer side of the pictures to so many pixels first.
        max_pixels: refuse larger pictures; None is ``MAX_PIXELS``.
    Returns:
        the number of pictures.
    Raises:
        UserError: no PyAV, a film that cannot be read or whose sound does not fit into ``target``, too large pictures.
    """
    with _opened(source) as given, atomic_path(target) as temporary, _errors_of(source, target), ExitStack() as stack:
        made = stack.enter_context(load_av().open(str(temporary), "w"))
        first = _first_picture(source)
        if first.width * first.height > (MAX_PIXELS if max_pixels is None else max_pixels):
            raise UserError(f"{source} has pictures of {first.width}x{first.height}; allow them with --max_pixels")
        video = _new_video(made, given.streams.video[0], first, long_side)
        sounds = {stream.index: made.add_stream_from_template(stream) for stream in given.streams.audio}
        count = _redraw(given, made, video, sounds, draw, long_side)
        made.mux(video.encode())
    return count


def _redraw(
    given: av.container.InputContainer,
    made: av.container.OutputContainer,
    video: av.VideoStream,
    sounds: dict[int, av.AudioStream],
    draw: Draw,
    long_side: int | None,
) -> int:
    source, count = given.streams.video[0], 0
    with tqdm(total=source.frames or None, unit="frame") as bar:
        for packet in given.demux(source, *given.streams.audio):
            if packet.stream.type == "audio":
                if packet.dts is not None:  # the last, empty packet of a stream
                    packet.stream = sounds[packet.stream.index]
                    made.mux(packet)
                continue
            for frame in packet.decode():
                made.mux(video.encode(_encodable(draw(upright(frame, long_side)), frame, video)))
                bar.update()
                count += 1
    return count


def upright(frame: av.VideoFrame, long_side: int | None) -> np.ndarray:
    """The picture in ``frame`` as players show it, uint8 RGB (H, W, 3)."""
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    if long_side is None or max(pixels.shape) <= long_side:
        return np.ascontiguousarray(pixels)
    height, width = _size(pixels.shape[0], pixels.shape[1], long_side)
    return np.asarray(Image.fromarray(pixels).resize((width, height), RESAMPLING))


def _encodable(pixels: np.ndarray, frame: av.VideoFrame, video: av.VideoStream) -> av.VideoFrame:
    """``pixels`` cut to even sides, in the colours and at the time of ``frame``."""
    picture = load_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels[: video.height, : video.width]), format="rgb24")
    picture = picture.reformat(
        format=video.pix_fmt, dst_colorspace=frame.colorspace, dst_color_range=frame.color_range or None
    )
    picture.pts, picture.time_base = frame.pts, frame.time_base
    return picture


def _new_video(
    made: av.container.OutputContainer, given: av.VideoStream, first: av.VideoFrame, long_side: int | None
) -> av.VideoStream:
    codec = "libx264" if "libx264" in load_av().codecs_available else "mpeg4"
    options = {"crf": "18"} if codec == "libx264" else {"q": "3"}
    video = made.add_stream(codec, rate=given.average_rate or 25, options=options)
    height, width = first.height, first.width
    if round(first.rotation / 90) % 2:
        height, width = width, height
    height, width = _size(height, width, long_side)
    video.width, video.height = width - width % 2, height - height % 2
    video.pix_fmt = YUV_FULL if first.color_range == FULL_RANGE else YUV
    video.codec_context.time_base = given.time_base
    video.codec_context.color_range, video.codec_context.colorspace = first.color_range, first.colorspace
    return video


def _size(height: int, width: int, long_side: int | None) -> tuple[int, int]:
    if long_side is None or max(height, width) <= long_side:
        return height, width
    scale = long_side / max(height, width)
    return max(2, round(height * scale)), max(2, round(width * scale))


def _first_picture(source: Path) -> av.VideoFrame:
    with _opened(source) as given:
        frame = next(given.decode(video=0), None)
        if frame is None:
            raise UserError(f"{source} holds no pictures; is it a film?")
        return frame


@contextmanager
def _opened(source: Path) -> Iterator[av.container.InputContainer]:
    av = load_av()
    if not source.is_file():
        raise UserError(f"no film at {source}; check the path")
    with _errors_of(source, None), av.open(str(source)) as container:
        if not container.streams.video:
            raise UserError(f"{source} holds no pictures; is it a film?")
        yield container


@contextmanager
def _errors_of(source: Path, target: Path | None) -> Iterator[None]:
    """FFmpeg's errors as sentences about the film."""
    try:
        yield
    except load_av().FFmpegError as error:
        hint = f", or its sound does not fit into {target.suffix} (try .mkv)" if target else ""
        raise UserError(f"cannot read {source} as a film: {error.strerror or error}; it is damaged{hint}") from error


def load_av() -> av:
    """PyAV, or a UserError that tells how to get it."""
    try:
        import av
    except ImportError as error:
        raise UserError("films and cameras need PyAV: pip install 'fast_nst[video]'") from error
    return av


class Film:
    """A film in the making: a context manager; the file appears when the block ends, whatever ends it.

    Args:
        path: the file to write.
        size: (height, width); rounded down to even numbers, which the encoders need. Other pictures are resized.
        rate: pictures a second.
        keep: begin with so many pictures of the film that lies there already.
    Raises:
        UserError: no PyAV, or a suffix that is no film's.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], rate: int = 25, keep: int = 0) -> None:
        check_film(path)
        self.path, self.rate, self.keep = Path(path), rate, keep
        self.height, self.width = (side - side % 2 for side in size)

    def __enter__(self) -> Film:
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w"))
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            self._stream = self._container.add_stream(codec, self.rate)
            self._stream.width, self._stream.height, self._stream.pix_fmt = self.width, self.height, "yuv420p"
            for pixels in itertools.islice(read_film(self.path), self.keep) if self.keep and self.path.exists() else ():
                self.add(pixels)
            self._stack = stack.pop_all()
        return self

    def add(self, pixels: np.ndarray) -> None:
        """Append a picture, uint8 RGB (H, W, 3)."""
        import av

        if pixels.shape[:2] != (self.height, self.width):
            pixels = np.asarray(Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BICUBIC))
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode())
        self._stack.close()


def check_film(path: str | Path) -> None:
    """Raise a UserError where no film can be written to ``path`` by its suffix, or PyAV is absent."""
    if Path(path).suffix.lower() not in FILM_SUFFIXES:
        raise UserError(
            f"cannot write a film to {path}: choose a name that ends in one of {' '.join(sorted(FILM_SUFFIXES))}"
        )
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError("a film needs PyAV: pip install 'fast_nst[video]'") from error


def read_film(path: str | Path) -> Iterator[np.ndarray]:
    """The pictures of a film, uint8 RGB (H, W, 3)."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@contextmanager
def live_film(target: Path) -> Iterator[Show]:
    """A film in the making: MJPEG or H.264 by its name; whole when the block ends well."""
    stream, last = None, -1

    def show(pixels: np.ndarray, seconds: float) -> bool:
        nonlocal stream, last
        stream = stream or _live_stream(container, target, *pixels.shape[:2])
        place = round(seconds * RATE)
        if place > last:
            even = np.ascontiguousarray(pixels[: stream.height, : stream.width])
            frame = load_av().VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base, last = place, Fraction(1, RATE), place
            container.mux(stream.encode(frame))
        return True

    with atomic_path(target) as temporary, load_av().open(str(temporary), "w") as container:
        yield show
        container.mux(stream.encode())


def _live_stream(container: av.container.OutputContainer, target: Path, height: int, width: int) -> av.VideoStream:
    codec = LIVE_FILMS[target.suffix.lower()]
    codec = codec if codec in load_av().codecs_available else "mpeg4"
    stream = container.add_stream(codec, rate=RATE, options=OPTIONS.get(codec, {}))
    stream.width, stream.height = width - width % 2, height - height % 2
    stream.pix_fmt = "yuvj420p" if codec == MJPEG else "yuv420p"
    return stream
