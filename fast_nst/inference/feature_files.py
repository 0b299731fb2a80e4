"""Layers of a huge picture in temporary files: written from top to bottom, read in strips, removed at the end.

Where the system allows it the files have no names, so that nothing is left even when the process is killed. A layer is
float16 (H, C, W), so that a strip of rows is one piece of the file. A file that is not needed any more is used for the next
layer, as new pages cost several times as much as used ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import FileIO

import numpy as np

from fast_nst.errors import UserError

ITEM = np.dtype(np.float16)


class LayerFiles:
    """Named layers, each in a temporary file of its own (context manager, which removes them).

    Args:
        needed: bytes that they will take at once, at most.
    Raises:
        UserError: the disk has less left, now or while they are written.
    """

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.files: dict[str, FileIO] = {}
        self.shapes: dict[str, tuple[int, int, int]] = {}
        self.spare: list[FileIO] = []
        with self._one_sentence():
            if shutil.disk_usage(tempfile.gettempdir()).free < needed:
                raise OSError("it has less left")

    def __enter__(self) -> LayerFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep(())
        for file in self.spare:
            file.close()

    def append(self, name: str, rows: np.ndarray) -> None:
        """Write ``rows`` float16 (h, C, W) below the rows so far."""
        with self._one_sentence():
            if name not in self.files:
                self.files[name] = self.spare.pop() if self.spare else tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            height = self.shapes[name][0] if name in self.shapes else 0
            self.files[name].seek(height * rows[:1].nbytes)
            rest = np.ascontiguousarray(rows).data.cast("B")
            while rest:
                rest = rest[self.files[name].write(rest) :]
        self.shapes[name] = (height + len(rows), *rows.shape[1:])

    def read(self, name: str, rows: slice) -> np.ndarray:
        """The rows float16 (h, C, W) of a slice."""
        height, channels, width = self.shapes[name]
        start, stop, _ = rows.indices(height)
        found = np.empty((stop - start, channels, width), ITEM)
        self.files[name].seek(start * channels * width * ITEM.itemsize)
        rest = found.data.cast("B")
        while rest:
            rest = rest[self.files[name].readinto(rest) :]
        return found

    def keep(self, names: Collection[str]) -> None:
        """Drop all layers but ``names``."""
        for name in self.files.keys() - set(names):
            self.spare.append(self.files.pop(name))
            self.shapes.pop(name, None)

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"a picture of this size needs {self.needed / 1e9:.2g} GB of temporary files, which do not fit in "
                f"{_folder()} ({error.strerror or error}); set TMPDIR to a folder with more room, "
                "or reduce the picture with --size"
            ) from error


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "no folder here"
