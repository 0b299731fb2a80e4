"""Pictures read, drawn and written: other threads read and write while the network works."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.imaging.frames import Picture, frames_with, read_picture, write_picture
from fast_nst.imaging.video import is_film, redraw_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.jobs import Job
from fast_nst.stylize.stylizer import Stylizer

AHEAD = 4  # pictures that are read before the network needs them
One = TypeVar("One")
Other = TypeVar("Other")


class Way:
    """The way of many pictures from their readers to their files; neighbours of one size are drawn together where it pays.

    Attributes:
        written: the files so far, in the order of the pictures.
        failures: a sentence for each picture that failed.
    """

    def __init__(
        self, stylizer: Stylizer, mask: Image.Image | None, settings: StylizeSettings, writers: ThreadPoolExecutor
    ) -> None:
        self.stylizer, self.mask, self.settings, self.writers = stylizer, mask, settings, writers
        self.alike: list[tuple[Job, Picture]] = []  # stills of one size that wait for each other
        self.writing: deque[tuple[Job, Future]] = deque()
        self.written: list[Path] = []
        self.failures: list[str] = []

    def take(self, job: Job, reading: Future[Picture | None]) -> None:
        """Take the next picture, or film, when it is read."""
        with self._noting():
            picture = reading.result()
            if self.alike and (picture is None or _still_size(picture) != _still_size(self.alike[0][1])):
                self._draw()
            if picture is None:
                self._film(job)
                return
            self.alike.append((job, picture))
            size = _still_size(picture)
            if not size or len(self.alike) >= self.stylizer.together(*size):
                self._draw()

    def finish(self) -> None:
        """Draw and write what is on the way."""
        if self.alike:
            self._draw()
        while self.writing:
            self._settle()

    def _draw(self) -> None:
        """Draw what waits: at once, or where that fails one by one, so that each failure is of one picture."""
        waiting, self.alike = self.alike, []
        drawn: list[Picture] = []
        with suppress(UserError):
            drawn = _drawn_together(self.stylizer, [picture for _, picture in waiting], self.mask)
        for place, (job, picture) in enumerate(waiting):
            with self._noting():
                result = drawn[place] if drawn else draw_job(job, self.stylizer, picture, self.mask)
                self.writing.append((job, self.writers.submit(write_job, job, result)))
        while len(self.writing) > AHEAD:
            self._settle()

    def _film(self, job: Job) -> None:
        while self.writing:
            self._settle()
        stylize_film(job, self.stylizer, self.mask, self.settings)
        self.written.append(job.target)

    def _settle(self) -> None:
        job, future = self.writing.popleft()
        with self._noting():
            future.result()
            self.written.append(job.target)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """A picture's failure is noted, and the others go on."""
        try:
            yield
        except UserError as error:
            self.failures.append(str(error))


def _still_size(picture: Picture) -> tuple[int, int] | None:
    """(height, width) of a still; None for an animation, which is drawn frame by frame."""
    return picture.frames[0].pixels.shape[:2] if len(picture.frames) == 1 else None


def _drawn_together(stylizer: Stylizer, stills: list[Picture], mask: Image.Image | None) -> list[Picture]:
    """Stills of one size drawn as a batch; none where there is but one."""
    if len(stills) < 2:
        return []
    drawn = stylizer(np.stack([still.frames[0].pixels for still in stills]), mask)
    return [frames_with(still, iter([pixels])) for still, pixels in zip(stills, drawn, strict=True)]


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[One], Other], items: Iterable[One], most: int = AHEAD
) -> Iterator[tuple[One, Future[Other]]]:
    """Each of ``items`` with the future of ``function`` of it, in order; at most ``most`` are begun ahead of their turn."""
    begun: deque[tuple[One, Future[Other]]] = deque()
    for item in items:
        begun.append((item, pool.submit(function, item)))
        if len(begun) >= most:
            yield begun.popleft()
    yield from begun


def read_job(job: Job, settings: StylizeSettings) -> Picture | None:
    """The picture of ``job``; None for a film, which is not read at once."""
    if is_film(job.source):
        return None
    source = sys.stdin.buffer.read() if job.source is None else job.source
    return read_picture(source, settings.size, settings.max_pixels, "standard input")


def draw_job(job: Job, stylizer: Stylizer, picture: Picture, mask: Image.Image | None) -> Picture:
    """``picture`` drawn frame by frame; an error tells which one it is of."""
    try:
        return frames_with(picture, (stylizer(frame.pixels, mask) for frame in picture.frames))
    except UserError as error:
        raise UserError(str(error).replace("the picture", str(job.source or "standard input"), 1)) from error


def stylize_film(job: Job, stylizer: Stylizer, mask: Image.Image | None, settings: StylizeSettings) -> None:
    """Draw the film of ``job``, steadied as ``settings`` say."""
    film = stylizer.for_film(settings.stabilize)
    redraw_film(job.source, job.target, lambda pixels: film(pixels, mask), settings.size, settings.max_pixels)


def write_job(job: Job, picture: Picture) -> None:
    """Write ``picture`` to the target of ``job``."""
    if job.target is not None:
        write_picture(picture, job.target, job.target.suffix)
        return
    encoded = io.BytesIO()  # a picture that cannot be written must not leave half of it on standard output
    write_picture(picture, encoded, picture.suffix.lower())
    sys.stdout.buffer.write(encoded.getvalue())
    sys.stdout.buffer.flush()
