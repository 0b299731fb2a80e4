"""Every style of the library on one labeled sheet, beside the photograph."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.imaging.images import resize_long_side
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.stylize.library import find_styles
from fast_nst.stylize.stylizer import Stylizer

CELL, COLUMNS = 320, 4  # pixels of a picture's width, and pictures in a row


class StyleSheet:
    """Draws a photograph as a sheet: itself and what every style makes of it. It stands in for a ``Stylizer``.

    Args:
        settings: of every ``Stylizer``, but for the style.
    """

    def __init__(self, **settings: Any) -> None:
        self.stylizers = {name: Stylizer(name, **settings) for name in find_styles()}

    def __call__(self, photo: np.ndarray, mask: Image.Image | None = None) -> np.ndarray:
        """The sheet of a photograph, both uint8 RGB (H, W, 3)."""
        if photo.ndim != 3:
            raise UserError("--style all takes one photograph after the other")
        small = np.asarray(resize_long_side(Image.fromarray(photo), CELL))
        cells = [("photograph", small)] + [(name, draw(small, mask)) for name, draw in self.stylizers.items()]
        return labelled_sheet([cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)], CELL)

    def batch_size_for(self, height: int, width: int) -> int:
        """One photograph a sheet."""
        return 1

    def for_film(self, stabilize: float) -> Stylizer:
        """Raises a UserError: a film has no sheet."""
        raise UserError("--style all is for photographs; choose one style for a film")
