"""The styles that the page offers: those of the library and the finished runs, with thumbnails that their models draw.

Thumbnails are kept in the user's cache folder, under a digest of the model and the row; a model that changes is drawn anew.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from fast_nst.errors import UserError, unknown
from fast_nst.imaging.images import load_image, save_image
from fast_nst.inference.model import Model
from fast_nst.stylize.library import Style, find_styles

WIDTH = 240  # pixels of a thumbnail


@dataclass(frozen=True)
class Entry:
    """A style on the page.

    Attributes:
        source: what ``--style`` takes.
        label: in the list.
        title: below the thumbnail.
        model: the ONNX file.
        row: its row there, empty for the model's own.
    """

    source: str
    label: str
    title: str
    model: Path
    row: str = ""


def entries(checkpoints: str | Path) -> dict[str, Entry]:
    """The styles at hand by ``source``: the library's, then the runs below ``checkpoints``, the newest first."""
    found = [_of_library(style) for style in find_styles().values()]
    models = sorted(Path(checkpoints).glob("*/*.onnx"), key=lambda path: -path.stat().st_mtime)
    found += [_of_run(path) for path in models if path.stem == path.parent.name]
    return {entry.source: entry for entry in found}


def find_entry(source: str | None, checkpoints: str | Path) -> Entry:
    """The style that the page means by ``source``; nothing else is opened as a model."""
    known = entries(checkpoints)
    if not source:
        raise UserError("no style is chosen: choose one of the gallery")
    if source not in known:
        raise unknown("style", source, known)
    return known[source]


def choices(checkpoints: str | Path) -> list[tuple[str, str]]:
    """(label, source) of each style."""
    return [(entry.label, entry.source) for entry in entries(checkpoints).values()]


def thumbnails(checkpoints: str | Path) -> list[tuple[np.ndarray, str]]:
    """(picture, title) of each style, uint8 RGB (H, W, 3); one whose model cannot draw is left gray."""
    return [(thumbnail(entry), entry.title) for entry in entries(checkpoints).values()]


def thumbnail(entry: Entry) -> np.ndarray:
    """The photograph drawn in a style, read from the cache or written to it."""
    path = _cache() / f"{_digest(entry)}.webp"
    try:
        return load_image(path)
    except UserError:
        pixels = _drawn(entry)
    try:
        save_image(pixels, path)
    except UserError:  # a cache that cannot be written to costs time alone
        return pixels
    return pixels


def shown_photo() -> np.ndarray:
    """The photograph of the thumbnails, uint8 RGB (H, W, 3): a cat."""
    from fast_nst.data.sample_photos import sample_photos

    return sample_photos(WIDTH)[1]


def _of_library(style: Style) -> Entry:
    title = style.title or style.name
    return Entry(style.name, " · ".join(filter(None, (title, style.painter))), title, Path(style.model), style.row)


def _of_run(model: Path) -> Entry:
    return Entry(str(model.parent), f"{model.stem} (trained here)", model.stem, model)


def _drawn(entry: Entry) -> np.ndarray:
    try:
        model = _model(entry.model, entry.model.stat().st_mtime_ns)
        return model(shown_photo()[None], model.weights({entry.row: 1.0} if entry.row else None))[0]
    except UserError:
        return np.full_like(shown_photo(), 128)


@lru_cache(2)
def _model(path: Path, changed: int) -> Model:
    """The model in a file that was last changed then; most styles share one."""
    return Model(path)


def _cache() -> Path:
    folder = user_cache_path("fast_nst", appauthor=False)
    if folder.parts[:1] == ("~",):  # what stays of a home folder that is not there
        folder = Path(tempfile.gettempdir()) / "fast_nst"
    return folder / "thumbnails"


def _digest(entry: Entry) -> str:
    status = entry.model.stat()
    known = (entry.model.resolve(), status.st_size, status.st_mtime_ns, entry.row, WIDTH)
    return hashlib.sha256("\0".join(map(str, known)).encode("utf-8", "surrogateescape")).hexdigest()[:32]
