"""Jobs: the inputs and the output of a command as pairs of files."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.frames import WRITABLE, written_suffix
from fast_nst.imaging.scanning import FOUND, find_images
from fast_nst.imaging.video import WRITTEN_FILMS, is_film
from fast_nst.settings.stylize import RANDOM, StylizeSettings
from fast_nst.stylize.choices import chosen_styles, in_part
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
        path: of the source in the folder that was named, with slashes; choices are made by it.
        style: what draws it, as ``--style`` names it; empty where the whole command has one style.
        shown: the source in a message, where that is no path of this machine.
    """

    source: Path | None
    target: Path | None
    problem: str = ""
    path: str = ""
    style: str = ""
    shown: str = ""

    @property
    def name(self) -> str:
        """The source in a message."""
        return "standard input" if self.source is None else escape_name(self.shown or self.source)

    @property
    def is_film(self) -> bool:
        """Whether a film is drawn anew, or a GIF into a film."""
        return is_film(self.source) or (is_film(self.target) and self.source is not None)

    def fate(self, overwrite: bool) -> str:
        """A note on a target that exists: replaced or left alone; empty for a new one."""
        if self.target is None or not os.path.lexists(self.target):
            return ""
        return " (replaced)" if overwrite else " (exists, left alone)"


def plan(settings: StylizeSettings) -> list[Job]:
    """A job for each picture in each of its styles; no two targets are alike, and none is a source.

    A file named as the output gets the picture. In a folder, and beside the photographs, a picture keeps its name and ending
    with the style's name between. What cannot be read, such as a folder without permission, is a job with a problem. Of a
    run that is split, the jobs of one part are left, none perhaps; their targets are those of the whole run.

    Raises:
        UserError: no pictures, a pattern that matches none, or one output for several.
    """
    if any("\0" in name for name in (*settings.inputs, settings.output or "")):
        raise UserError("a file's name holds no NUL character; check the names")
    if STANDARD in settings.inputs or settings.output == STANDARD:
        return [_streamed(settings)]
    output = None if settings.output is None else Path(settings.output)
    problems: dict[Path, tuple[Path, OSError]] = {}
    found = [pair for source in settings.inputs for pair in _found(source, settings.recursive, output, problems)]
    if not found and not problems:
        named = f"no pictures in {', '.join(settings.inputs)}" if settings.inputs else "no pictures named"
        raise UserError(f"{named}; give photographs, or folders of them")
    alone = len(found) == 1 and not problems and not os.path.isdir(settings.inputs[0])
    gallery, choice = gallery_of(settings), (settings.seed, settings.styles_per_picture)
    styles = {pair: chosen_styles(path_in(*pair), gallery, *choice) for pair in found}
    drawn = [(*pair, style) for pair in found for style in styles[pair]]
    if output is not None and alone and len(drawn) == 1 and not os.path.isdir(output):
        source, root, style = drawn[0]
        return _in_part([Job(source, _writable_name(output, source), "", path_in(source, root), style)], settings)
    if output is not None and (output.suffix.lower() in WRITABLE | WRITTEN_FILMS or os.path.isfile(output)):
        raise UserError(f"{len(drawn)} pictures need a folder as --output, got {escape_name(output)}")
    return _in_part(_distinct(drawn, output, settings) + _unreadable(problems), settings)


def gallery_of(settings: StylizeSettings) -> list[str]:
    """The styles that ``--style random`` chooses from; the empty name where the whole command has one style."""
    if settings.style != RANDOM:
        return [""]
    styles = list(find_styles())
    if len(styles) < settings.styles_per_picture:
        raise UserError(f"--styles_per_picture is at most {len(styles)}, as many as `fast-nst styles` lists")
    return styles


def path_in(source: Path, root: Path) -> str:
    """``source`` below ``root``, with slashes."""
    return source.relative_to(root).as_posix()


def _in_part(jobs: list[Job], settings: StylizeSettings) -> list[Job]:
    part, parts = settings.part()
    return jobs if parts == 1 else [job for job in jobs if in_part(job.path, part, parts)]


def _unreadable(problems: dict[Path, tuple[Path, OSError]]) -> list[Job]:
    return [
        Job(path, None, f"cannot read {escape_name(path)}: {error.strerror or error}", path_in(path, root))
        for path, (root, error) in problems.items()
    ]


def tag_of(style: str) -> str:
    """The part of a picture's name that tells its style: great_wave, or great_wave-the_scream for a blend."""
    names = [Path(part.partition(":")[0].strip()).name.removesuffix(".onnx") for part in style.split(",")]
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


def _found(
    source: str, recursive: bool, output: Path | None, problems: dict[Path, tuple[Path, OSError]]
) -> Iterator[tuple[Path, Path]]:
    """The pictures that an input names, each with the folder that its own name counts from; ``problems`` gets the rest."""
    path = Path(source)
    if os.path.isdir(path):
        unreadable: dict[Path, OSError] = {}
        pictures = [one for one in find_images(path, recursive, unreadable) if not _below(one, output, path)]
        problems |= {one: (path, error) for one, error in unreadable.items()}
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
    return is_result(picture, styles, lambda start: picture.parent.glob(f"{glob.escape(start)}*"))


def is_result(picture: Path, styles: Set[str], beside: Callable[[str], Iterable[Path]]) -> bool:
    """Whether ``picture`` is what one of ``styles`` made of the photograph beside it: photo.great_wave.jpg.

    Args:
        beside: the files of its folder whose names begin so.
    """
    stem, _, tag = picture.stem.rpartition(".")
    if not stem or not set(tag.split("-")) <= styles | {ALL}:
        return False
    return any(tagged(photo, tag) == picture for photo in beside(stem[:40]) if photo.suffix.lower() in FOUND)


def _streamed(settings: StylizeSettings) -> Job:
    if len(settings.inputs) != 1:
        raise UserError("standard input and output take one picture; give one input")
    if settings.style == RANDOM or settings.shard:
        raise UserError("--style random and --shard go by the names of files; give files instead of -, or one style")
    source = None if settings.inputs[0] == STANDARD else Path(settings.inputs[0])
    if is_film(source):
        raise UserError("a film does not go through standard output; give --output a file's name")
    if settings.output in (None, STANDARD):
        return Job(source, None)
    return Job(source, _writable_name(Path(settings.output)))


def _distinct(drawn: list[tuple[Path, Path, str]], output: Path | None, settings: StylizeSettings) -> list[Job]:
    """Jobs for (source, root, style); targets that would fall on one another, or on a source, get a number."""
    taken = {_real(source) for source, _, _ in drawn}
    jobs = []
    for source, root, style in drawn:
        relative = source.relative_to(root)
        target = (root if output is None else output) / tagged(relative, tag_of(style or settings.style))
        candidate = next(candidate for candidate in numbered(target) if _real(candidate) not in taken)
        taken.add(_real(candidate))
        jobs.append(Job(source, candidate, "", relative.as_posix(), style))
    return jobs


def numbered(target: Path) -> Iterator[Path]:
    """``target``, then photo.great_wave_2.jpg, photo.great_wave_3.jpg and so on."""
    yield target
    yield from (target.with_name(f"{target.stem}_{number}{target.suffix}") for number in count(2))


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
