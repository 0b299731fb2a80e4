"""Layers of a huge picture in temporary files: written from top to bottom, read in strips, gone when done.

The files have no names (where the system can do that), so nothing is left even when the process is killed. A layer is
float16 (H, C, W): any strip of rows lies in one piece. A file that is not needed any more serves the next layer, as fresh
pages cost several times as much as used ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from fast_nst.errors import UserError

ITEM = np.dtype(np.float16)


class LayerFiles:
    """Named layers, each in a temporary file of its own; a context manager, after which they are gone.

    Args:
        room: bytes that they will take at once, at most.
    Raises:
        UserError: so much does not fit, now or while they are written.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.files: dict[str, BinaryIO] = {}
        self.shapes: dict[str, tuple[int, int, int]] = {}
        self.spare: list[BinaryIO] = []
        with self._failing_plainly():
            if shutil.disk_usage(tempfile.gettempdir()).free < room:
                raise OSError("it has less left")

    def __enter__(self) -> LayerFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep(())
        for file in self.spare:
            file.close()

    def append(self, name: str, rows: np.ndarray) -> None:
        """Write ``rows`` float16 (h, C, W) below those that are there."""
        with self._failing_plainly():
            if name not in self.files:
                self.files[name] = self.spare.pop() if self.spare else tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            height = self.shapes[name][0] if name in self.shapes else 0
            self.files[name].seek(height * rows[:1].nbytes)
            rest = memoryview(np.ascontiguousarray(rows)).cast("B")
            while rest:
                rest = rest[self.files[name].write(rest) :]
        self.shapes[name] = (height + len(rows), *rows.shape[1:])

    def read(self, name: str, rows: slice) -> np.ndarray:
        """The rows float16 (h, C, W) of a slice."""
        height, channels, width = self.shapes[name]
        start, stop, _ = rows.indices(height)
        found = np.empty((stop - start, channels, width), ITEM)
        self.files[name].seek(start * channels * width * ITEM.itemsize)
        rest = memoryview(found).cast("B")
        while rest:
            rest = rest[self.files[name].readinto(rest) :]
        return found

    def keep(self, names: Collection[str]) -> None:
        """Forget all layers but ``names``."""
        for name in self.files.keys() - set(names):
            self.spare.append(self.files.pop(name))
            self.shapes.pop(name, None)

    @contextmanager
    def _failing_plainly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"a picture of this size needs {self.room / 1e9:.2g} GB of temporary files, which do not fit in {_folder()} "
                f"({error.strerror or error}); set TMPDIR to a folder with more room, or reduce the picture with --size"
            ) from error


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "no folder here"
