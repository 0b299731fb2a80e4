"""Picture files through a stylizer: which goes where, read and written by other threads while the network works."""

from __future__ import annotations

import glob
import io
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from fast_nst.camera import check_live_film, draw_camera
from fast_nst.errors import PartlyDone, UserError
from fast_nst.files import check_writable
from fast_nst.images import FOUND, find_images, open_image
from fast_nst.picture_files import WRITABLE, Picture, frames_with, read_picture, write_picture, written_suffix
from fast_nst.styles import find_styles
from fast_nst.stylize_settings import StylizeSettings
from fast_nst.stylizer import Stylizer
from fast_nst.video import WRITTEN_FILMS, is_film, redraw_film

STANDARD = "-"
AHEAD = 4  # pictures that are read before the network needs them

One = TypeVar("One")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Job:
    """A picture to stylise; ``source`` None is standard input, ``target`` None is standard output."""

    source: Path | None
    target: Path | None


def stylize_files(settings: StylizeSettings, stylizer: Stylizer | None = None) -> list[Path]:
    """Stylise the pictures that ``settings`` name; with several, one that fails does not stop the others.

    Args:
        stylizer: draws (none: the one that ``settings`` describe).
    Returns:
        the files written; those that existed and may not be overwritten are left out.
    Raises:
        UserError: nothing to do, an unusable output, or one picture that fails.
        PartlyDone: some of several pictures failed, and the others are written.
    """
    if settings.camera is not None:
        return _stylize_camera(settings, stylizer)
    stylizer = stylizer or stylizer_of(settings)
    mask = open_image(settings.mask) if settings.mask else None
    jobs = plan(settings)
    if len(jobs) == 1:
        _check_single(jobs[0], settings.overwrite)
        if is_film(jobs[0].source):
            _stylize_film(jobs[0], stylizer, mask, settings)
        else:
            _write(jobs[0], _drawn(jobs[0], stylizer, _read(jobs[0], settings), mask))
        return [jobs[0].target] if jobs[0].target else []
    return _stylize_many(stylizer, mask, jobs, settings)


def stylizer_of(settings: StylizeSettings) -> Stylizer:
    """The stylizer that ``settings`` describe."""
    names = ("style", "threads", "strength", "stroke_size", "preserve_color", "engine", "provider", "tile")
    return Stylizer(**{name: getattr(settings, name) for name in names})


def plan(settings: StylizeSettings) -> list[Job]:
    """Which picture goes where; no two targets are alike, and none is a source.

    A file named as the output gets the picture. In a folder, and beside the photographs, a picture keeps its name and ending
    with the style's name between.

    Raises:
        UserError: no pictures, a pattern that matches none, or one output for several.
    """
    if STANDARD in settings.inputs or settings.output == STANDARD:
        return [_streamed(settings)]
    output = None if settings.output is None else Path(settings.output)
    found = [pair for source in settings.inputs for pair in _found(source, settings.recursive, output)]
    if not found:
        named = f"no pictures in {', '.join(settings.inputs)}" if settings.inputs else "no pictures named"
        raise UserError(f"{named}; give photographs, or folders of them")
    alone = len(found) == 1 and not Path(settings.inputs[0]).is_dir()
    if output is not None and alone and not output.is_dir():
        return [Job(found[0][0], _writable_name(output, is_film(found[0][0])))]
    if output is not None and (output.suffix.lower() in WRITABLE | WRITTEN_FILMS or output.is_file()):
        raise UserError(f"{len(found)} pictures need a folder as --output, got {output}")
    tag = tag_of(settings.style)
    targets = [(root if output is None else output) / tagged(source.relative_to(root), tag) for source, root in found]
    return _distinct([source for source, _ in found], targets)


def tag_of(style: str) -> str:
    """What a style adds to a picture's name: great_wave, or great_wave-the_scream for a blend."""
    names = [Path(part.partition(":")[0].strip()).name.removesuffix(".onnx") for part in style.split(",")]
    return re.sub(r"[^\w.-]+", "_", "-".join(filter(None, names))) or "stylised"


def tagged(path: Path, tag: str) -> Path:
    """photo.jpg -> photo.great_wave.jpg; an ending that is not written becomes .jpg or .png, or a film's .mkv."""
    if is_film(path):
        suffix = path.suffix if path.suffix.lower() in WRITTEN_FILMS else ".mkv"
    else:
        suffix = written_suffix(path.suffix)
    return path.with_name(f"{path.stem}.{tag}{suffix}")


def _found(source: str, recursive: bool, output: Path | None) -> Iterator[tuple[Path, Path]]:
    """The pictures that an input names, each with the folder that its own name counts from."""
    path = Path(source)
    if path.is_dir():
        pictures = [one for one in find_images(path, recursive) if not _below(one, output, path)]
        yield from ((picture, path) for picture in pictures if not _is_tagged(picture))
    elif path.exists() or not glob.has_magic(source):
        yield path, path.parent
    else:
        matches = [Path(match) for match in sorted(glob.glob(source, recursive=recursive))]
        yield from ((match, match.parent) for match in matches if match.is_file())


def _below(picture: Path, output: Path | None, root: Path) -> bool:
    """Whether ``picture``, found in ``root``, is a result of an earlier run: it lies in the output folder below ``root``."""
    if output is None or not output.is_dir() or root.resolve() not in output.resolve().parents:
        return False
    return output.resolve() in picture.resolve().parents


def _is_tagged(picture: Path) -> bool:
    """Whether ``picture`` is what a style of the library made of the photograph beside it: photo.great_wave.jpg."""
    stem, _, tag = picture.stem.rpartition(".")
    if not stem or not set(tag.split("-")) <= set(find_styles()):
        return False
    photos = (photo for photo in picture.parent.glob(f"{glob.escape(stem)}.*") if photo.suffix.lower() in FOUND)
    return any(tagged(photo, tag) == picture for photo in photos if photo.stem == stem)


def _streamed(settings: StylizeSettings) -> Job:
    if len(settings.inputs) != 1:
        raise UserError("standard input and output take one picture; give one input")
    source = None if settings.inputs[0] == STANDARD else Path(settings.inputs[0])
    if is_film(source):
        raise UserError("a film does not go through standard output; give --output a file's name")
    if settings.output in (None, STANDARD):
        return Job(source, None)
    return Job(source, _writable_name(Path(settings.output)))


def _distinct(sources: list[Path], targets: list[Path]) -> list[Job]:
    """Targets that would fall on one another, or on a source, get a number."""
    taken = {source.resolve() for source in sources}
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        candidate, number = target, 1
        while candidate.resolve() in taken:
            number += 1
            candidate = target.with_name(f"{target.stem}_{number}{target.suffix}")
        taken.add(candidate.resolve())
        jobs.append(Job(source, candidate))
    return jobs


def _writable_name(output: Path, film: bool = False) -> Path:
    kind, written = ("film", WRITTEN_FILMS) if film else ("picture", WRITABLE)
    if output.suffix.lower() not in written:
        raise UserError(f"--output {output} has no {kind}'s ending; choose one of {' '.join(sorted(written))}")
    return output


def _check_single(job: Job, overwrite: bool) -> None:
    if job.target is None:
        return
    check_writable(job.target)
    if job.source is not None and job.source.exists() and job.target.exists() and job.source.samefile(job.target):
        raise UserError(f"{job.target} is the photograph itself; choose another --output")
    if job.target.exists() and not overwrite:
        raise UserError(f"{job.target} exists; choose another --output, or replace it with --overwrite")


def _stylize_many(stylizer: Stylizer, mask: Image.Image | None, jobs: list[Job], settings: StylizeSettings) -> list[Path]:
    wanted = [job for job in jobs if settings.overwrite or not job.target.exists()]
    if len(wanted) < len(jobs):
        print(f"{len(jobs) - len(wanted)} pictures exist and are left alone; --overwrite replaces them", file=sys.stderr)
    with ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(2) as writers:
        way = _Way(stylizer, mask, settings, writers)
        for job, reading in tqdm(
            ahead(readers, lambda job: _read(job, settings), wanted), total=len(wanted), unit="picture"
        ):
            way.take(job, reading)
        way.finish()
    if way.failures:
        listed = "".join(f"\n  {failure}" for failure in way.failures)
        raise PartlyDone(f"{len(way.failures)} of {len(wanted)} pictures failed, the others are written:{listed}")
    return way.written


class _Way:
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
                result = drawn[place] if drawn else _drawn(job, self.stylizer, picture, self.mask)
                self.writing.append((job, self.writers.submit(_write, job, result)))
        while len(self.writing) > AHEAD:
            self._settle()

    def _film(self, job: Job) -> None:
        while self.writing:
            self._settle()
        _stylize_film(job, self.stylizer, self.mask, self.settings)
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


def _read(job: Job, settings: StylizeSettings) -> Picture | None:
    """The picture of ``job``; None for a film, which is not read at once."""
    if is_film(job.source):
        return None
    source = sys.stdin.buffer.read() if job.source is None else job.source
    return read_picture(source, settings.size, settings.max_pixels, "standard input")


def _drawn(job: Job, stylizer: Stylizer, picture: Picture, mask: Image.Image | None) -> Picture:
    try:
        return frames_with(picture, (stylizer(frame.pixels, mask) for frame in picture.frames))
    except UserError as error:
        raise UserError(str(error).replace("the picture", str(job.source or "standard input"), 1)) from error


def _stylize_film(job: Job, stylizer: Stylizer, mask: Image.Image | None, settings: StylizeSettings) -> None:
    film = stylizer.for_film(settings.stabilize)
    redraw_film(job.source, job.target, lambda pixels: film(pixels, mask), settings.size, settings.max_pixels)


def _stylize_camera(settings: StylizeSettings, stylizer: Stylizer | None) -> list[Path]:
    """Draw what a camera sees, into a film or a window."""
    target = None if settings.output is None else Path(settings.output)
    if settings.inputs:
        raise UserError(f"--camera takes no photographs beside it, got {', '.join(settings.inputs)}; give one or the other")
    if target is not None:
        check_live_film(target)
        _check_single(Job(None, target), settings.overwrite)
    mask = open_image(settings.mask) if settings.mask else None
    film = (stylizer or stylizer_of(settings)).for_film(settings.stabilize)
    seen = draw_camera(settings.camera, lambda pixels: film(pixels, mask), target, settings.size)
    print(f"{seen.drawn} pictures drawn, {seen.passed_over} passed over for newer ones", file=sys.stderr)
    return [target] if target else []


def _write(job: Job, picture: Picture) -> None:
    if job.target is not None:
        write_picture(picture, job.target, job.target.suffix)
        return
    encoded = io.BytesIO()  # a picture that cannot be written must not leave half of it on standard output
    write_picture(picture, encoded, picture.suffix.lower())
    sys.stdout.buffer.write(encoded.getvalue())
    sys.stdout.buffer.flush()
