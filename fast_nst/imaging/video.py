"""Films drawn anew picture by picture, and films from a camera's pictures (PyAV).

A film that is drawn anew keeps its sound, its frame times and the meaning of its colors. Pictures are as players show them:
turned or mirrored by the display matrix, with square pixels, in standard dynamic range. One of them is in memory at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image
from tqdm import tqdm

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.film_writer import Colors, Film, load_av
from fast_nst.imaging.hdr import is_hdr, to_standard_range
from fast_nst.imaging.images import RESAMPLING
from fast_nst.imaging.opening import MAX_PIXELS
from fast_nst.system.files import check_readable
from fast_nst.system.signals import StopSignals

if TYPE_CHECKING:
    import av

WRITTEN_FILMS = {".mp4", ".mkv", ".mov", ".m4v", ".webm"}
FILMS = WRITTEN_FILMS | {".avi", ".3gp", ".mts", ".m2ts", ".wmv"}
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,asf,gif"  # FFmpeg has others that open further files
BT709 = Colors(matrix=1, range=1, primaries=1, transfer=1)
LIVE_FILMS = (".mjpeg", ".avi", ".mp4", ".mkv", ".mov")
RATE = 30  # pictures a second of a camera's film
Draw = Callable[[np.ndarray], np.ndarray]
Show = Callable[[np.ndarray, float], bool]  # a picture and its seconds -> whether to go on


def is_film(path: str | Path | None) -> bool:
    """Whether ``path`` has a film's suffix."""
    return path is not None and Path(path).suffix.lower() in FILMS


def redraw_film(source: Path, target: Path, draw: Draw, long_side: int | None = None, max_pixels: int | None = None) -> int:
    """Write ``source`` with every picture drawn anew to ``target``, which appears whole or not at all.

    What is left out is told on standard error: pictures that cannot be decoded, sound that ``target`` cannot hold.

    Args:
        source: a film, or a GIF.
        draw: uint8 RGB (H, W, 3) -> the same shape; called in the order of the film.
        long_side: reduce the longer side of the pictures to so many pixels first.
        max_pixels: refuse larger pictures; None is ``MAX_PIXELS``.
    Returns:
        the number of pictures.
    Raises:
        UserError: no PyAV, a film of which no picture can be decoded, too large pictures, an unwritable target.
        Stopped: a signal came; nothing is left of ``target``.
    """
    limit, notes = MAX_PIXELS if max_pixels is None else max_pixels, list[str]()
    first = _first_picture(source, limit)
    with open_film(source) as given, StopSignals(), _errors_of_writing(target):
        video, sounds = _video_of(given), () if target.suffix.lower() == ".gif" else given.streams.audio
        size = upright(first, long_side, video.sample_aspect_ratio).shape[:2]
        rate = video.average_rate or 25
        film = Film(target, size, rate, time_base=video.time_base, colors=_colors(first), sounds=sounds)
        with film, tqdm(total=video.frames or None, unit="frame") as bar:
            for packet in _packets(given, [video, *sounds], notes):
                if packet.stream.type == "audio":
                    film.add_sound(packet)
                    continue
                for frame in _decoded(packet, notes):
                    _check_size(frame, source, limit)
                    film.add(draw(upright(frame, long_side, video.sample_aspect_ratio)), frame.pts)
                    bar.update()
        notes += film.left_out
        if len(given.streams.audio) > len(sounds):
            notes.append(f"its sound is left out, as {target.suffix} holds none")
    for note in dict.fromkeys(notes):
        print(f"{escape_name(source)}: {note}", file=sys.stderr)
    return int(bar.n)


@contextmanager
def open_film(source: Path) -> Iterator[av.container.InputContainer]:
    """A film in a container of ``DEMUXERS``, whatever it is called, that opens no other file.

    Raises:
        UserError: no such file, or no film.
    """
    av = load_av()
    check_readable(source, "film")
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    with open(source, "rb") as file:
        try:
            container = av.open(file, options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"cannot read {escape_name(source)} as a film: {reason}; it is damaged or no film") from error
        with container:
            if not container.streams.video:
                raise UserError(f"{escape_name(source)} holds no pictures; is it a film?")
            yield container


def read_film(path: str | Path) -> Iterator[np.ndarray]:
    """The pictures of a film, uint8 RGB (H, W, 3)."""
    with open_film(Path(path)) as container:
        for frame in container.decode(video=0):
            yield upright(frame)


def upright(frame: av.VideoFrame, long_side: int | None = None, aspect: Fraction | None = None) -> np.ndarray:
    """The picture in ``frame`` as players show it, uint8 RGB (H, W, 3); angles between quarter turns are not made.

    Args:
        long_side: reduce the longer side to so many pixels where it is larger.
        aspect: width of a pixel by its height; others than 1 become square by enlarging one side.
    """
    a, b, c, d = _display_matrix(frame)
    pixels, sideways = _rgb(frame), abs(b) + abs(c) > abs(a) + abs(d)
    if sideways:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    height, width = pixels.shape[:2]
    if aspect and aspect != 1:
        aspect = 1 / aspect if sideways else aspect
        height, width = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
    if long_side is not None and max(height, width) > long_side:
        scale = long_side / max(height, width)
        height, width = max(2, round(height * scale)), max(2, round(width * scale))
    if (height, width) == pixels.shape[:2]:
        return np.ascontiguousarray(pixels)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), RESAMPLING))


@contextmanager
def live_film(target: Path) -> Iterator[Show]:
    """A film of pictures with their seconds, at most ``RATE`` of them a second; it appears when the block ends well."""
    last = -1

    def show(pixels: np.ndarray, seconds: float) -> bool:
        nonlocal last
        if (place := round(seconds * RATE)) > last:
            film.add(pixels, place)
            last = place
        return True

    with Film(target, rate=RATE, live=True) as film:
        yield show


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    if is_hdr(int(frame.color_trc)):
        return to_standard_range(frame.to_ndarray(format="rgb48le"), int(frame.color_trc))
    return frame.to_ndarray(format="rgb24")


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d) with which players move a pixel: x' = a x + c y, y' = b x + d y."""
    sides: Any = frame.side_data
    matrix = next((bytes(side) for side in sides if side.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    return a, b, c, d


def _colors(frame: av.VideoFrame) -> Colors:
    if is_hdr(int(frame.color_trc)):
        return BT709
    return Colors(*map(int, (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)))


def _video_of(film: av.container.InputContainer) -> av.VideoStream:
    """The main pictures of a film; ``open_film`` makes sure that there are some."""
    return cast("av.VideoStream", film.streams.best("video"))


def _first_picture(source: Path, limit: int) -> av.VideoFrame:
    with open_film(source) as given:
        for packet in _packets(given, [_video_of(given)], []):
            for frame in _decoded(packet, []):
                _check_size(frame, source, limit)
                return frame
    raise UserError(f"cannot read {escape_name(source)} as a film: none of its pictures can be decoded; it is damaged")


def _check_size(frame: av.VideoFrame, source: Path, limit: int) -> None:
    if frame.width * frame.height > limit:
        name = escape_name(source)
        raise UserError(f"{name} has pictures of {frame.width}x{frame.height}; allow them with --max_pixels")


def _packets(
    given: av.container.InputContainer, streams: Sequence[av.stream.Stream], notes: list[str]
) -> Iterator[av.Packet]:
    """The packets of ``streams`` up to the end, or to where the film is cut off."""
    packets = given.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except (load_av().FFmpegError, OSError) as error:
            notes.append(f"it cannot be read to its end ({error.strerror or error}); what came before is kept")
            return
        if packet is None:
            return
        yield packet


def _decoded(packet: av.Packet, notes: list[str]) -> list[av.VideoFrame]:
    try:
        return packet.decode()
    except load_av().FFmpegError as error:
        notes.append(f"some of its pictures cannot be decoded ({error.strerror or error}), and are left out")
        return []


@contextmanager
def _errors_of_writing(target: Path) -> Iterator[None]:
    """FFmpeg's errors as a sentence about the new film; those of the old one are caught where it is read."""
    try:
        yield
    except load_av().FFmpegError as error:
        raise UserError(
            f"cannot write {escape_name(target)}: {error.strerror or error}; choose another ending, .mkv holds most"
        ) from error
