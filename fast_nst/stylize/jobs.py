"""Which picture goes where: the inputs and the output of a command as pairs of files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fast_nst.errors import UserError
from fast_nst.imaging.frames import WRITABLE, written_suffix
from fast_nst.imaging.images import FOUND, find_images
from fast_nst.imaging.video import WRITTEN_FILMS, is_film
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.library import find_styles
from fast_nst.system.files import check_writable

STANDARD = "-"


@dataclass(frozen=True)
class Job:
    """A picture to stylise; ``source`` None is standard input, ``target`` None is standard output."""

    source: Path | None
    target: Path | None


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


def check_single(job: Job, overwrite: bool) -> None:
    """Raise a UserError where the target of ``job`` cannot be written, or may not be."""
    if job.target is None:
        return
    check_writable(job.target)
    if job.source is not None and job.source.exists() and job.target.exists() and job.source.samefile(job.target):
        raise UserError(f"{job.target} is the photograph itself; choose another --output")
    if job.target.exists() and not overwrite:
        raise UserError(f"{job.target} exists; choose another --output, or replace it with --overwrite")
