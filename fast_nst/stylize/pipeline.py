"""Pictures read, drawn and written: other threads read and write while the network draws.

Whatever goes wrong with one file is a sentence in a list, and the others go on.
"""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from fast_nst.errors import PartlyDone, UserError, escape_name, printable
from fast_nst.imaging.frames import Picture, check_format, count_pixels, frames_with, read_picture, write_picture
from fast_nst.imaging.opening import MAX_PIXELS
from fast_nst.imaging.video import redraw_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.effects import Mask
from fast_nst.stylize.jobs import Job
from fast_nst.stylize.stylizer import Stylizer, UnfitPicture
from fast_nst.system.files import is_full

AHEAD = 4  # pictures that are read before the network needs them
LONGEST_REASON = 500  # letters
One = TypeVar("One")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Outcome:
    """Result of a job.

    Attributes:
        problem: why its picture could not be stylized, in a line; empty where the file is written.
        seconds: that reading, drawing and writing took, each by itself.
        is_full: whether there was no room for the file.
    """

    job: Job
    problem: str = ""
    seconds: float = 0.0
    is_full: bool = False


def stylize_jobs(
    jobs: Iterable[Job],
    stylizer_for: Callable[[Job], Stylizer],
    mask: Mask | None,
    settings: StylizeSettings,
    files: Files | None = None,
) -> Iterator[Outcome]:
    """Read, draw and write ``jobs``; the outcome of each as soon as it is known.

    Args:
        stylizer_for: what draws a job.
        files: reads and writes (none: files of this machine).
    """
    with ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:
        pipeline = Pipeline(stylizer_for, mask, settings, writers, files or Files())
        weight = partial(pixels_of_job, settings=settings)
        for job, picture in ahead(readers, pipeline.read, jobs, weight, budget(settings)):
            pipeline.add(job, picture)
            yield from pipeline.taken()
        pipeline.finish()
        yield from pipeline.taken()


class Files:
    """The pictures of jobs, read from files of this machine and written there."""

    def read(self, job: Job, settings: StylizeSettings) -> Picture | None:
        """The picture of ``job``; None for a film."""
        return read_job(job, settings)

    def write(self, job: Job, picture: Picture) -> None:
        """Write the result of ``job``."""
        write_job(job, picture)


class Pipeline:
    """Many pictures from their readers to their files; neighbors of one size and style are drawn together where that is
    faster.
    """

    def __init__(
        self,
        stylizer_for: Callable[[Job], Stylizer],
        mask: Mask | None,
        settings: StylizeSettings,
        writers: ThreadPoolExecutor,
        files: Files,
    ) -> None:
        self.stylizer_for, self.mask, self.settings = stylizer_for, mask, settings
        self.writers, self.files = writers, files
        self.batch: list[tuple[Job, Picture]] = []  # stills of one size that wait to be drawn together
        self.writing: deque[tuple[Job, int, Future]] = deque()  # with their pixels
        self._outcomes: list[Outcome] = []
        self._seconds: dict[Job, float] = {}

    def read(self, job: Job) -> Picture | None:
        """The picture of ``job``; None for a film."""
        with self._clock(job):
            return self.files.read(job, self.settings)

    def add(self, job: Job, reading: Future[Picture | None]) -> None:
        """Take the next picture, or film, when it is read."""
        with self._noting(job):
            picture = reading.result()
            if self.batch and not self._fits(job, picture):
                self._draw()
            if picture is None:
                self._film(job)
                return
            self.batch.append((job, picture))
            size = _still_size(picture)
            if not size or len(self.batch) >= self.stylizer_for(job).batch_size_for(*size):
                self._draw()

    def finish(self) -> None:
        """Draw and write what is left."""
        if self.batch:
            self._draw()
        while self.writing:
            self._settle()

    def taken(self) -> list[Outcome]:
        """The outcomes that nobody took yet."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _fits(self, job: Job, picture: Picture | None) -> bool:
        """Whether ``picture`` can be drawn together with the batch."""
        first, still = self.batch[0]
        return picture is not None and _still_size(picture) == _still_size(still) and job.style == first.style

    def _draw(self) -> None:
        """Draw the batch: at once, or where that fails one by one, so that each failure is of one picture."""
        batch, self.batch = self.batch, []
        stylizer, drawn, began = self.stylizer_for(batch[0][0]), [], time.perf_counter()
        with suppress(Exception):
            drawn = _drawn_together(stylizer, [picture for _, picture in batch], self.mask)
        together = (time.perf_counter() - began) / len(batch)
        for place, (job, picture) in enumerate(batch):
            with self._noting(job), self._clock(job, together):
                result = drawn[place] if drawn else draw_job(job, stylizer, picture, self.mask)
                self.writing.append((job, _pixels_of(result), self.writers.submit(self._write, job, result)))
        while len(self.writing) > AHEAD or sum(pixels for _, pixels, _ in self.writing) > budget(self.settings):
            self._settle()

    def _film(self, job: Job) -> None:
        while self.writing:
            self._settle()
        with self._clock(job):
            stylize_film(job, self.stylizer_for(job), self.mask, self.settings)
        self._note(job)

    def _write(self, job: Job, picture: Picture) -> None:
        with self._clock(job):
            self.files.write(job, picture)

    def _settle(self) -> None:
        job, _, future = self.writing.popleft()
        with self._noting(job):
            future.result()
            self._note(job)

    def _note(self, job: Job, problem: str = "", full: bool = False) -> None:
        self._outcomes.append(Outcome(job, problem, self._seconds.pop(job, 0.0), full))

    @contextmanager
    def _noting(self, job: Job) -> Iterator[None]:
        """Note the failure of a picture, and go on."""
        try:
            with naming(job):
                yield
        except UserError as error:
            self._note(job, str(error), is_full(error.__cause__))

    @contextmanager
    def _clock(self, job: Job, spent: float = 0.0) -> Iterator[None]:
        """Add the seconds of the block, and those ``spent`` before, to those of ``job``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[job] = self._seconds.get(job, 0.0) + spent + time.perf_counter() - began


@contextmanager
def naming(job: Job) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a UserError of one line that names the file.

    A decoder may raise anything on a damaged file, so every exception is caught here.
    """
    try:
        yield
    except PartlyDone:
        raise
    except UnfitPicture as error:
        raise error.of(job.name) from error
    except UserError as error:
        raise UserError(_naming_line(str(error), job)) from error
    except Exception as error:
        raise UserError(f"cannot stylize {job.name}: {_reason(error)}") from error


def _naming_line(text: str, job: Job) -> str:
    line = printable(" ".join(text.split("\n")))
    named = job.source is None or any(name in line for name in (job.source.name, escape_name(job.source.name)))
    return line if named else f"{job.name}: {line}"


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "memory does not suffice; reduce it with --size"
    text = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return printable(" ".join(text.split()), LONGEST_REASON)


def _still_size(picture: Picture) -> tuple[int, int] | None:
    """(height, width) of a still; None for an animation, which is drawn frame by frame."""
    return picture.frames[0].pixels.shape[:2] if len(picture.frames) == 1 else None


def _drawn_together(stylizer: Stylizer, stills: list[Picture], mask: Mask | None) -> list[Picture]:
    """Stills of one size drawn as a batch; none where there is only one."""
    if len(stills) < 2:
        return []
    pixels = np.stack([still.frames[0].pixels for still in stills])
    drawn = stylizer(pixels, mask.image if mask else None)
    return [frames_with(still, iter([pixels])) for still, pixels in zip(stills, drawn, strict=True)]


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[One], Other],
    items: Iterable[One],
    weight: Callable[[One], int] = lambda item: 0,
    budget: int = 0,
) -> Iterator[tuple[One, Future[Other]]]:
    """Each of ``items`` with the future of ``function`` of it, in order.

    At most ``AHEAD`` are begun before their turn, and no more than weigh ``budget`` together.
    """
    begun: deque[tuple[int, tuple[One, Future[Other]]]] = deque()
    for item in items:
        own = weight(item)
        while begun and (len(begun) >= AHEAD or own + sum(other for other, _ in begun) > budget):
            yield begun.popleft()[1]
        begun.append((own, (item, pool.submit(function, item))))
    yield from (pair for _, pair in begun)


def budget(settings: StylizeSettings) -> int:
    """Pixels that may wait to be drawn, and to be written."""
    return MAX_PIXELS if settings.max_pixels is None else settings.max_pixels


def pixels_of_job(job: Job, settings: StylizeSettings) -> int:
    """The pixels that reading ``job`` takes; 0 for a film, and for what cannot be read."""
    with suppress(Exception):  # the reader tells what is wrong with a file
        if not (job.problem or job.is_film or job.source is None):
            return count_pixels(job.source, settings.max_pixels)
    return 0


def _pixels_of(picture: Picture) -> int:
    return sum(frame.pixels.size // 3 for frame in picture.frames)


def read_job(job: Job, settings: StylizeSettings) -> Picture | None:
    """The picture of ``job``; None for a film, which is not read at once."""
    if job.problem:
        raise UserError(job.problem)
    if job.is_film:
        return None
    source = _standard_input() if job.source is None else job.source
    picture = read_picture(source, settings.size, settings.max_pixels, job.name)
    check_format(picture, job.target.suffix if job.target else picture.suffix)  # before it is drawn in vain
    return picture


def draw_job(job: Job, stylizer: Stylizer, picture: Picture, mask: Mask | None) -> Picture:
    """``picture`` drawn frame by frame."""
    image = mask.image if mask else None
    if mask and (told := mask.mismatch(*picture.frames[0].pixels.shape[1::-1])):
        say(f"{job.name} {told}")
    return frames_with(picture, (stylizer(frame.pixels, image) for frame in picture.frames))


def stylize_film(job: Job, stylizer: Stylizer, mask: Mask | None, settings: StylizeSettings) -> None:
    """Draw the film of ``job``, stabilized as ``settings`` say."""
    assert job.source is not None and job.target is not None  # a film is a file
    film, image = stylizer.for_film(settings.stabilize), mask.image if mask else None
    redraw_film(job.source, job.target, lambda pixels: film(pixels, image), settings.size, settings.max_pixels)


def write_job(job: Job, picture: Picture) -> None:
    """Write ``picture`` to the target of ``job``; what the format cannot hold is noted."""
    if job.target is not None:
        notes = write_picture(picture, job.target, job.target.suffix)
    else:
        encoded = io.BytesIO()  # a picture that cannot be written must not leave half of it on standard output
        notes = write_picture(picture, encoded, picture.suffix.lower())
        _write_standard_output(encoded.getvalue())
    if notes:
        say(f"{job.name}: {'; '.join(notes)}")


def say(text: str) -> None:
    """Print a line that is no result, above a progress bar."""
    from tqdm import tqdm

    tqdm.write(printable(" ".join(text.split("\n"))), file=sys.stderr)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise UserError("standard input is closed; give a photograph's name instead of -")
    return sys.stdin.buffer.read()


def _write_standard_output(content: bytes) -> None:
    if sys.stdout is None:
        raise UserError("standard output is closed; give --output a file's name")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
