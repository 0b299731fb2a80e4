"""Pictures -> a film, by PyAV (H.264, or MPEG-4 where that encoder is absent)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.files import atomic_path

SUFFIXES = {".mp4", ".mkv", ".mov"}


class Film:
    """A film in the making: a context manager; the file appears when the block ends, whatever ends it.

    Args:
        path: the file to write.
        size: (height, width); rounded down to even numbers, which the encoders need. Other pictures are resized.
        rate: pictures a second.
        keep: begin with so many pictures of the film that lies there already.
    Raises:
        UserError: no PyAV, or a suffix that is no film's.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], rate: int = 25, keep: int = 0) -> None:
        check_film(path)
        self.path, self.rate, self.keep = Path(path), rate, keep
        self.height, self.width = (side - side % 2 for side in size)

    def __enter__(self) -> Film:
        import av

        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w"))
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            self._stream = self._container.add_stream(codec, self.rate)
            self._stream.width, self._stream.height, self._stream.pix_fmt = self.width, self.height, "yuv420p"
            for pixels in itertools.islice(read_film(self.path), self.keep) if self.keep and self.path.exists() else ():
                self.add(pixels)
            self._stack = stack.pop_all()
        return self

    def add(self, pixels: np.ndarray) -> None:
        """Append a picture, uint8 RGB (H, W, 3)."""
        import av

        if pixels.shape[:2] != (self.height, self.width):
            pixels = np.asarray(Image.fromarray(pixels).resize((self.width, self.height), Image.Resampling.BICUBIC))
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode())
        self._stack.close()


def check_film(path: str | Path) -> None:
    """Raise a UserError where no film can be written to ``path`` by its suffix, or PyAV is absent."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot write a film to {path}: choose a name that ends in one of {' '.join(sorted(SUFFIXES))}")
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError("a film needs PyAV: pip install 'fast_nst[video]'") from error


def read_film(path: str | Path) -> Iterator[np.ndarray]:
    """The pictures of a film, uint8 RGB (H, W, 3)."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")
