"""Photographs in folders: how they are found, why one cannot be used, and the wait for a disk that is away.

A folder may hold anything: text called .jpg, links to nothing and in circles, folders that cannot be entered. Whatever is
wrong with a file has a name, a Fault, and does not end a training.
"""

from __future__ import annotations

import errno
import os
import random
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from PIL import Image

from fast_nst.errors import ImageTooLarge, PackageMissing, UserError, escape_name
from fast_nst.imaging.images import open_image, resize_long_side
from fast_nst.imaging.opening import HEIF_NEEDS, MAX_PIXELS
from fast_nst.imaging.scanning import NotAFile, find_images
from fast_nst.system.files import check_folder

PAUSES = (1.0, 5.0, 20.0, 60.0, 180.0)  # seconds to wait for a folder that is gone
PROBES = 20  # other photographs that are tried before a folder counts as gone

COCO_TRAIN, COCO_VAL = "train2017", "val2017"
SMALLEST_PREVIEW = 32  # pixels on the short side


class Fault(IntEnum):
    """Reason for which a file is not used."""

    NONE, DAMAGED, EMPTY, LARGE, SMALL, MISSING, DENIED, UNREADABLE, NO_FILE, HEIF = range(10)

    @property
    def words(self) -> str:
        return FAULTS[self]


FAULTS = {
    Fault.NONE: "nothing is wrong with it",
    Fault.DAMAGED: "damaged, or no picture of a known format",
    Fault.EMPTY: "empty",
    Fault.LARGE: f"more than {MAX_PIXELS / 1e6:.3g} megapixels",
    Fault.SMALL: "shorter side under half a training crop",
    Fault.MISSING: "not there: removed, or a link to nothing or in a circle",
    Fault.DENIED: "no permission to read it",
    Fault.UNREADABLE: "the disk cannot read it",
    Fault.NO_FILE: "no file",
    Fault.HEIF: HEIF_NEEDS,
}


class Unusable(Exception):
    """One photograph cannot be used; ``error`` is the system's, where the file cannot be read."""

    def __init__(self, fault: Fault, error: OSError | None = None) -> None:
        super().__init__(fault.words)
        self.fault, self.error = fault, error


class PhotosGone(UserError):
    """The folder of photographs went away during a run, and did not come back."""


def fault_of(error: OSError) -> Fault:
    """The fault of a file that the system's ``error`` stands for."""
    if isinstance(error, NotAFile):
        return Fault.NO_FILE
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return Fault.MISSING
    return Fault.DENIED if error.errno in (errno.EACCES, errno.EPERM) else Fault.UNREADABLE


def open_photo(path: Path, enough: int, smallest: int) -> Image.Image:
    """A photograph in RGB, a JPEG at a fraction of its size where that leaves ``enough`` pixels a side.

    Raises:
        Unusable: whatever is wrong with the file; also a shorter side under ``smallest``.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            raise Unusable(Fault.EMPTY if stat.S_ISREG(status.st_mode) else Fault.NO_FILE)
        image = open_image(path, draft_size=(enough, enough))
    except (OSError, UserError) as error:
        raise _unusable(path, error) from error
    if min(image.size) < smallest:
        raise Unusable(Fault.SMALL)
    return image


def _unusable(path: Path, error: OSError | UserError) -> Unusable:
    """The reason not to use the file at ``path``: an error of the system has a number, one of the picture has none."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno:
        return Unusable(fault_of(cause), cause)
    if isinstance(error, PackageMissing):
        return Unusable(Fault.HEIF)
    return Unusable(Fault.LARGE if isinstance(error, ImageTooLarge) else Fault.DAMAGED)


def open_patiently(
    path: Path, enough: int, smallest: int, others: Callable[[], Sequence[Path]], tell: Callable[[int, str], None]
) -> Image.Image:
    """``open_photo`` that waits while neither ``path`` nor any of some ``others`` can be read.

    Args:
        tell: is called before each pause with its number, from 1, and a sentence; with 0 when the folder is back.
    Raises:
        Unusable: something is wrong with this file, and others can be read.
        PhotosGone: nothing could be read after all ``PAUSES``.
    """
    pauses = iter(enumerate(PAUSES, 1))
    while True:
        try:
            image = open_photo(path, enough, smallest)
        except Unusable as unusable:
            if unusable.error is None or _any_readable(others()):
                tell(0, "")
                raise
            reason = os.strerror(unusable.error.errno or errno.EIO)
            trouble = f"the photographs in {escape_name(path.parent)} cannot be read ({reason})"
        else:
            tell(0, "")
            return image
        number, pause = next(pauses, (0, None))
        if pause is None:
            raise PhotosGone(f"{trouble}, nor could they for {sum(PAUSES):.3g} s; bring the folder back, then --resume")
        tell(number, f"{trouble}; trying again in {pause:.3g} s")
        time.sleep(pause)


def _any_readable(paths: Sequence[Path]) -> bool:
    for path in random.Random(time.monotonic()).sample(paths, min(PROBES, len(paths))):
        try:
            with open(path, "rb") as file:
                file.read(1)
            return True
        except OSError:
            continue
    return False


def listing(skipped: dict[Path, Fault]) -> str:
    """A line for each skipped file, by name, with the reason; what cannot be printed in a name is escaped."""
    return "".join(f"{escape_name(path)}: {skipped[path].words}\n" for path in sorted(skipped))


def find_photos(folders: str | Path | Sequence[str | Path], faults: dict[Path, Fault] | None = None) -> list[Path]:
    """The training photographs of a COCO folder (its ``train2017``), of any other folder, or of several.

    Args:
        faults: gets what has an image's name and is no file, and folders that cannot be entered.
    Raises:
        UserError: a folder that is not there or has no picture.
    """
    photos: list[Path] = []
    for folder in map(Path, [folders] if isinstance(folders, str | Path) else folders):
        check_folder(folder, "folder of photographs", "--data")
        problems: dict[Path, OSError] = {}
        found = find_images(_part(folder, COCO_TRAIN) or folder, problems=problems)
        wrong = {path: fault_of(error) for path, error in problems.items()}
        if faults is not None:
            faults |= wrong
        if not found:
            reasons = f" that can be used ({counted(wrong.values())})" if wrong else ""
            raise UserError(
                f"no pictures in {escape_name(folder)}{reasons}; --data needs a folder of photographs (JPEG, PNG, WebP, ...)"
            )
        photos += found
    return photos


def find_preview_photos(folders: str | Path | Sequence[str | Path], count: int | None = None) -> list[Path]:
    """Photographs to show progress on: of ``val2017`` where there is one, so not trained on, else the first."""
    first = Path(folders if isinstance(folders, str | Path) else folders[0])
    held_out = _part(first, COCO_VAL)
    return ((find_images(held_out) if held_out else []) or find_photos(folders))[:count]


def _part(folder: Path, name: str) -> Path | None:
    """The folder ``name`` of COCO in ``folder``, if there is one."""
    return folder / name if os.path.isdir(folder / name) else None


def readable_photos(paths: Sequence[Path], count: int, long_side: int) -> list[np.ndarray]:
    """The first ``count`` of ``paths`` that can be used, uint8 RGB (H, W, 3), the longer side reduced to ``long_side``.

    Raises:
        UserError: there is none.
    """
    photos: list[np.ndarray] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            image = open_photo(path, long_side, SMALLEST_PREVIEW)
        except Unusable as unusable:
            faults.append(unusable.fault)  # training counts and names it
            continue
        image = resize_long_side(image, min(long_side, max(image.size)))
        if min(image.size) >= SMALLEST_PREVIEW:
            photos.append(np.asarray(image))
        else:
            faults.append(Fault.SMALL)
        if len(photos) == count:
            break
    if not photos:
        raise UserError(f"none of the {len(paths)} pictures in --data can be used ({counted(faults)}); check the folder")
    return photos


def counted(faults: Iterable[Fault]) -> str:
    """The number of files with each fault, the most frequent first."""
    return ", ".join(f"{count} {words}" for words, count in Counter(fault.words for fault in faults).most_common())
