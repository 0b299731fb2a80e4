"""Uploaded pictures: inputs for them, and a look at their size before they are decoded."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from fast_nst.errors import UserError
from fast_nst.imaging.images import load_image
from fast_nst.imaging.opening import open_checked
from fast_nst.imaging.video import is_film

KEPT = 24 * 3600  # seconds that uploads and results are kept
SHOWN = 1280  # pixels of a picture's longer side on the page


def picture_input(label: str, **options: Any) -> gr.Image:
    """An input for one picture, whose file arrives as it is, with its metadata: this package reads it, not Gradio."""
    component = gr.Image(label=label, type="filepath", image_mode=None, sources=["upload", "webcam", "clipboard"], **options)
    vars(component)["preprocess"] = _path_of
    return component


def check_picture(path: str | None, max_pixels: int, what: str) -> str:
    """``path``, if it is a picture of no more than ``max_pixels``.

    Raises:
        UserError: there is none, it is no picture, or it is too large.
    """
    if not path:
        raise UserError(f"{what} is missing: choose a picture")
    if not is_film(path):
        with open_checked(path, path, max_pixels):
            pass
    return path


def reduced(path: str | Path, max_pixels: int, side: int = SHOWN) -> np.ndarray:
    """A picture for the page, uint8 RGB (H, W, 3)."""
    check_picture(str(path), max_pixels, "the picture")
    return load_image(path, side)


def new_folder(parent: Path) -> Path:
    """An empty folder for the results of one request; those of requests more than ``KEPT`` seconds ago are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for older in parent.iterdir():
        if older.stat().st_mtime < time.time() - KEPT:
            shutil.rmtree(older, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=parent))


def paths_of(files: Sequence[str] | None) -> list[str]:
    """The files of a file input, of which there may be none."""
    return [str(path) for path in files or ()]


def _path_of(payload: Any) -> str | None:
    """The uploaded file of an image input. Gradio has checked that it lies in the upload folder."""
    return None if payload is None else payload.path
