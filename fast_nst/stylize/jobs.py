"""Jobs: the inputs and the output of a command as pairs of files."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.frames import WRITABLE, written_suffix
from fast_nst.imaging.scanning import FOUND, find_images
from fast_nst.imaging.video import WRITTEN_FILMS, is_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.library import find_styles
from fast_nst.system.files import check_writable

STANDARD = "-"
GIF = ".gif"  # a picture that becomes a film, or a film that becomes a picture, where the output is called so
ALL = "all"  # as a style: all of them, on one sheet
MAX_NAME, MAX_TAG = 240, 100  # bytes of a file's name, of which systems allow 255, and of a style's part of it


@dataclass(frozen=True)
class Job:
    """A picture to stylize.

    Attributes:
        source: None is standard input.
        target: None is standard output.
        problem: why it cannot be stylized, as known before; empty otherwise.
    """

    source: Path | None
    target: Path | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The source in a message."""
        return "standard input" if self.source is None else escape_name(self.source)

    @property
    def is_film(self) -> bool:
        """Whether a film is drawn anew, or a GIF into a film."""
        return is_film(self.source) or (is_film(self.target) and self.source is not None)

    def fate(self, overwrite: bool) -> str:
        """What would happen to a target that exists; empty for a new one."""
        if self.target is None or not os.path.lexists(self.target):
            return ""
        return " (replaced)" if overwrite else " (exists, left alone)"


def plan(settings: StylizeSettings) -> list[Job]:
    """A job for each picture; no two targets are alike, and none is a source.

    A file named as the output gets the picture. In a folder, and beside the photographs, a picture keeps its name and ending
    with the style's name between. What cannot be read, such as a folder without permission, is a job with a problem.

    Raises:
        UserError: no pictures, a pattern that matches none, or one output for several.
    """
    if any("\0" in name for name in (*settings.inputs, settings.output or "")):
        raise UserError("a file's name holds no NUL character; check the names")
    if STANDARD in settings.inputs or settings.output == STANDARD:
        return [_streamed(settings)]
    output = None if settings.output is None else Path(settings.output)
    problems: dict[Path, OSError] = {}
    found = [pair for source in settings.inputs for pair in _found(source, settings.recursive, output, problems)]
    if not found and not problems:
        named = f"no pictures in {', '.join(settings.inputs)}" if settings.inputs else "no pictures named"
        raise UserError(f"{named}; give photographs, or folders of them")
    alone = len(found) == 1 and not problems and not os.path.isdir(settings.inputs[0])
    if output is not None and alone and not os.path.isdir(output):
        return [Job(found[0][0], _writable_name(output, found[0][0]))]
    if output is not None and (output.suffix.lower() in WRITABLE | WRITTEN_FILMS or os.path.isfile(output)):
        raise UserError(f"{len(found)} pictures need a folder as --output, got {escape_name(output)}")
    tag = tag_of(settings)
    targets = [(root if output is None else output) / tagged(source.relative_to(root), tag) for source, root in found]
    unreadable = [
        Job(path, None, f"cannot read {escape_name(path)}: {error.strerror or error}") for path, error in problems.items()
    ]
    return _distinct([source for source, _ in found], targets) + unreadable


def tag_of(settings: StylizeSettings) -> str:
    """What a style adds to a picture's name: great_wave, or great_wave-the_scream for a blend."""
    names = [Path(part.partition(":")[0].strip()).name.removesuffix(".onnx") for part in settings.style.split(",")]
    tag = re.sub(r"[^\w.-]+", "_", "-".join(filter(None, names))) or "stylized"
    return shortened(tag, MAX_TAG)


def shortened(text: str, most: int) -> str:
    """``text`` cut to ``most`` bytes, between letters."""
    while len(os.fsencode(text)) > most:
        text = text[:-1]
    return text


def tagged(path: Path, tag: str) -> Path:
    """photo.jpg -> photo.great_wave.jpg; an ending that is not written becomes .jpg or .png, or a film's .mkv."""
    if is_film(path):
        suffix = path.suffix if path.suffix.lower() in WRITTEN_FILMS else ".mkv"
    else:
        suffix = written_suffix(path.suffix)
    added = f".{tag}{suffix}"
    room = MAX_NAME - len(os.fsencode(added))
    if len(os.fsencode(path.stem)) <= room:
        return path.with_name(path.stem + added)
    number = hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:8]  # two long names stay two
    return path.with_name(f"{shortened(path.stem, room - 9)}-{number}{added}")


def _found(source: str, recursive: bool, output: Path | None, problems: dict[Path, OSError]) -> Iterator[tuple[Path, Path]]:
    """The pictures that an input names, each with the folder that its own name counts from; ``problems`` gets the rest."""
    path = Path(source)
    if os.path.isdir(path):
        pictures = [one for one in find_images(path, recursive, problems) if not _below(one, output, path)]
        styles = set(find_styles())
        yield from ((picture, path) for picture in pictures if not _is_tagged(picture, styles))
    elif os.path.lexists(path) or not glob.has_magic(source):
        yield path, path.parent
    else:
        matches = [Path(match) for match in sorted(glob.glob(source, recursive=recursive))]
        yield from ((match, match.parent) for match in matches if os.path.isfile(match))


def _below(picture: Path, output: Path | None, root: Path) -> bool:
    """Whether ``picture``, found in ``root``, is a result of an earlier run: it lies in the output folder below ``root``."""
    if output is None or not os.path.isdir(output) or _real(root) not in _real(output).parents:
        return False
    return _real(output) in _real(picture).parents


def _is_tagged(picture: Path, styles: Set[str]) -> bool:
    """Whether ``picture`` is what one of ``styles`` made of the photograph beside it: photo.great_wave.jpg."""
    stem, _, tag = picture.stem.rpartition(".")
    if not stem or not set(tag.split("-")) <= styles | {ALL}:
        return False
    photos = picture.parent.glob(f"{glob.escape(stem[:40])}*")
    return any(tagged(photo, tag) == picture for photo in photos if photo.suffix.lower() in FOUND)


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
    taken = set(map(_real, sources))
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        candidate, number = target, 1
        while _real(candidate) in taken:
            number += 1
            candidate = target.with_name(f"{target.stem}_{number}{target.suffix}")
        taken.add(_real(candidate))
        jobs.append(Job(source, candidate))
    return jobs


def _real(path: Path) -> Path:
    """``path`` without links; unlike ``Path.resolve``, it never fails on a loop of links or a name that is too long."""
    return Path(os.path.realpath(path))


def _writable_name(output: Path, source: Path | None = None) -> Path:
    kind, written = ("film", WRITTEN_FILMS | {GIF}) if is_film(source) else ("picture", WRITABLE)
    if source is not None and source.suffix.lower() == GIF:
        written = WRITABLE | WRITTEN_FILMS
    if output.suffix.lower() not in written:
        raise UserError(f"--output {escape_name(output)} has no {kind}'s ending; choose one of {' '.join(sorted(written))}")
    return output


def check_single(job: Job, overwrite: bool) -> None:
    """Raise a UserError where the target of ``job`` cannot be written, or may not be."""
    if job.target is None:
        return
    check_writable(job.target)
    shown, there = escape_name(job.target), os.path.lexists(job.target)
    if job.source is not None and there and os.path.exists(job.source) and _is_same(job.source, job.target):
        raise UserError(f"{shown} is the photograph itself; choose another --output")
    if there and not overwrite:
        raise UserError(f"{shown} exists; choose another --output, or replace it with --overwrite")


def _is_same(source: Path, target: Path) -> bool:
    return os.path.exists(target) and os.path.samefile(source, target)
