"""Image files in a folder, for training photographs and for what is to be stylized."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}  # that images are written under
HEIF = {".heic", ".heif"}
FOUND = SUFFIXES | HEIF | {".gif", ".avif", ".jfif", ".jpe", ".jp2"}  # that images in folders are recognized by


class NotAFile(OSError):
    """Something that has an image's name and is no regular file: a pipe, a device."""


def find_images(folder: str | Path, recursive: bool = True, problems: dict[Path, OSError] | None = None) -> list[Path]:
    """The files in ``folder``, and below it if ``recursive``, that have an image's suffix, by name, hidden ones left out.

    Links to folders are followed, after the folders themselves and never twice to the same one.

    Args:
        problems: gets what cannot be read: folders that cannot be entered, links to nothing, pipes.
    """
    return sorted(chain.from_iterable(images_by_folder(folder, recursive, problems)))


def images_by_folder(
    folder: str | Path, recursive: bool = True, problems: dict[Path, OSError] | None = None
) -> Iterator[list[Path]]:
    """The files that ``find_images`` finds, one folder after the other; only those of one are held at a time."""
    problems = {} if problems is None else problems
    seen: set[tuple[int, int]] = set()
    folders, links = [Path(folder)], list[Path]()
    while folders or links:
        here = folders.pop() if folders else links.pop()
        try:
            entries = _entries(here, seen)
        except OSError as error:
            problems[here] = error
            continue
        found: list[Path] = []
        for entry in entries:
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(Path(entry))
            elif Path(entry).suffix.lower() in FOUND and not entry.name.startswith("."):
                if (problem := _problem(entry)) is None:
                    found.append(Path(entry))
                else:
                    problems[Path(entry)] = problem
        yield found
        if not recursive:
            break


def _entries(folder: Path, seen: set[tuple[int, int]]) -> list[os.DirEntry]:
    """Entries of ``folder``, by name; none where it was ``seen`` before under another path."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return []
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    seen.add((status.st_dev, status.st_ino))
    return found


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _problem(entry: os.DirEntry) -> OSError | None:
    """The error that reading ``entry`` would raise; None where it is a file."""
    try:
        if entry.is_file():
            return None
        os.stat(entry)  # raises where a link leads to nothing
    except OSError as error:
        return error
    return NotAFile("no regular file")
